"""Writing shard folders: ``shard-00000.parquet``, ... and ``manifest.json``.

A column the source lacks is absent, never filled with zeros. A folder appears whole or not at all,
and is never written twice.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from jetscale.errors import DataError, StorageError, unknown
from jetscale.jets.example import Schema
from jetscale.jets.schema import JETS, ROLES, classes_of
from jetscale.jets.shards import columns
from jetscale.jets.shards.manifest import Manifest, Shard, open_shards, sha256_of, write_manifest
from jetscale.store.local import atomic_path

ROWS_PER_SHARD = 100_000
ROWS_PER_GROUP = 10_000


@dataclass
class ShardWriter:
    """Collects tables into full row groups and shards; made by `shard_writer`."""

    folder: Path
    corpus: str
    role: str
    classes: tuple[str, ...]
    schema: Schema
    may_be_empty: bool
    provenance: dict[str, Any] = field(default_factory=dict)
    _pending: list[pa.Table] = field(default_factory=list)
    _waiting: int = 0
    _parquet: pq.ParquetWriter | None = None
    _stored: pa.Schema | None = None
    _rows: int = 0
    _counts: Counter[str] = field(default_factory=Counter)
    _shards: list[Shard] = field(default_factory=list)

    def write(self, table: pa.Table | pa.RecordBatch) -> None:
        """Add examples; DataError as `columns.conform`, for foreign labels and other columns."""
        if isinstance(table, pa.RecordBatch):
            table = pa.Table.from_batches([table])
        if not isinstance(table, pa.Table):
            found = f"{type(table).__name__}, needs an Arrow table"
            raise DataError(f"shards: a table is {found}; make one with pyarrow.table(columns)")
        table = columns.conform(table, self.schema)
        self._stored = self._stored or table.schema
        if table.schema != self._stored:
            names = set(table.column_names) ^ set(self._stored.names)
            raise DataError(f"shards: columns {sorted(names)} are in some tables only")
        columns.count_labels(table, self.classes, self.corpus, self.schema)
        self._pending.append(table)
        self._waiting += table.num_rows
        while self._waiting >= ROWS_PER_GROUP:
            self._flush(ROWS_PER_GROUP)

    def finish(self) -> None:
        """Write what is waiting and the manifest."""
        if self._waiting:
            self._flush(self._waiting)
        if not self._shards and self._parquet is None and not self.may_be_empty:
            asked = f"corpus {self.corpus!r}, role {self.role!r}"
            raise DataError(f"no {self.schema.noun}s to write for {asked}")
        self._close_shard()
        names = self._stored.names if self._stored else []
        what = self.folder, self.corpus, self.role, self._shards, names, self.provenance
        write_manifest(*what, classes=self.classes, schema=self.schema)

    @property
    def _path(self) -> Path:
        return self.folder / f"shard-{len(self._shards):05d}.parquet"

    def _flush(self, rows: int) -> None:
        """Write the first ``rows`` waiting examples as one row group."""
        table = pa.concat_tables(self._pending)
        group, rest = table.slice(0, rows), table.slice(rows)
        self._pending, self._waiting = ([rest], rest.num_rows) if rest.num_rows else ([], 0)
        if self._parquet is None:
            self._parquet = columns.parquet_writer(self._path, group.schema, self.schema)
        self._parquet.write_table(group, row_group_size=rows)
        self._rows += rows
        self._counts.update(columns.count_labels(group, self.classes, self.corpus, self.schema))
        if self._rows >= ROWS_PER_SHARD:
            self._close_shard()

    def _close_shard(self) -> None:
        if self._parquet is None:
            return
        self._parquet.close()
        path, rows = self._path, self._rows
        counts = {name: self._counts[name] for name in self.classes if self._counts[name]}
        size, sha256 = path.stat().st_size, sha256_of(path)
        shard = Shard(file=path.name, rows=rows, label_counts=counts, size=size, sha256=sha256)
        self._shards.append(shard)
        self._parquet, self._rows, self._counts = None, 0, Counter()


@contextmanager
def shard_writer(
    folder: Path | str,
    *,
    corpus: str,
    role: str,
    classes: Sequence[str] | None = None,
    schema: Schema = JETS,
    may_be_empty: bool = False,
) -> Iterator[ShardWriter]:
    """A `ShardWriter` whose folder appears when the block ends well; see `write_shards`.

    DataError for a wrong role or corpus, StorageError if the folder holds something already.
    """
    folder, names = Path(folder), classes_of(corpus, classes)
    if not isinstance(schema, Schema):
        raise DataError(f"schema is {schema!r}, needs one made with make_schema")
    if role not in ROLES:
        raise DataError(unknown("role", role, ROLES))
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise StorageError(f"{folder} is not empty; choose another folder or delete it first")
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        writer = ShardWriter(temporary, corpus, role, names, schema, may_be_empty)
        yield writer
        writer.finish()


def write_shards(
    folder: Path | str,
    tables: Iterable[pa.Table | pa.RecordBatch] | pa.Table | pa.RecordBatch,
    *,
    corpus: str,
    role: str,
    classes: Sequence[str] | None = None,
    schema: Schema = JETS,
    provenance: Mapping[str, Any] | None = None,
) -> Manifest:
    """Write tables of examples as one shard folder, which any study can read.

    Args:
        tables: Arrow tables or record batches with columns of the schema, or a single one.
        role: What the examples may be used for: pretrain, train, validation or test.
        classes: Class names in label order; built-in corpora have theirs.
        schema: What an example is; see `jetscale.jets.example.make_schema`.
        provenance: Notes for the manifest, read after the last table.

    Raises DataError and StorageError as `ShardWriter.write` and `shard_writer`.

    >>> import pyarrow as pa, tempfile
    >>> px, py = [[30.0, 12.0], [25.0]], [[1.0, -2.0], [0.5]]
    >>> jets = {"part_px": px, "part_py": py, "jet_nparticles": [2, 1], "jet_label": [1, 0]}
    >>> asked = {"corpus": "mysim", "role": "pretrain", "classes": ("background", "signal")}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     manifest = write_shards(Path(folder) / "mysim", [pa.table(jets)], **asked)
    >>> manifest.rows, manifest.classes, manifest.label_counts["signal"]
    (2, ('background', 'signal'), 1)
    """
    single = isinstance(tables, pa.Table | pa.RecordBatch | Mapping) or not isinstance(
        tables, Iterable
    )
    with shard_writer(folder, corpus=corpus, role=role, classes=classes, schema=schema) as writer:
        for table in [tables] if single else tables:
            writer.write(table)
        if not isinstance(provenance, Mapping | None):
            raise DataError(f"provenance is {type(provenance).__name__}, needs names and values")
        writer.provenance.update(provenance or {})
    return open_shards(Path(folder))
