"""Writing shard folders: jets on disk with a manifest.

A shard folder holds ``shard-00000.parquet``, ... and ``manifest.json`` (see
`jetscale.jets.shards.manifest`). Columns are those of `jetscale.jets.schema`; a column the source
lacks is absent, never filled with zeros. A folder appears whole or not at all, and is never written
twice. This module is the front of the room: opening and verifying folders can be imported from here
too.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from jetscale.errors import DataError, StorageError, unknown
from jetscale.jets.schema import ROLES, classes_of
from jetscale.jets.shards import columns
from jetscale.jets.shards.manifest import (
    Manifest,
    Shard,
    check_roles,
    open_shards,
    sha256_of,
    write_manifest,
)
from jetscale.jets.shards.verify import Report, verify
from jetscale.store.local import atomic_path

__all__ = [
    "Manifest",
    "Report",
    "Shard",
    "ShardWriter",
    "check_roles",
    "open_shards",
    "shard_writer",
    "verify",
    "write_shards",
]

ROWS_PER_SHARD = 100_000
ROWS_PER_GROUP = 10_000


class ShardWriter:
    """Collects tables of any length into full row groups and shards of one folder.

    Use it through `shard_writer`. ``provenance`` may be filled until the block ends.
    """

    def __init__(self, folder: Path, corpus: str, role: str, *, may_be_empty: bool) -> None:
        self.provenance: dict[str, Any] = {}
        self._may_be_empty = may_be_empty
        self._folder, self._corpus, self._role = folder, corpus, role
        self._classes = classes_of(corpus)
        self._pending: list[pa.Table] = []
        self._waiting = 0
        self._parquet: pq.ParquetWriter | None = None
        self._schema: pa.Schema | None = None
        self._rows = 0
        self._counts: Counter[str] = Counter()
        self._shards: list[Shard] = []

    def write(self, table: pa.Table) -> None:
        """Add jets.

        Raises
        ------
        DataError
            A column is unknown, has another type, holds nulls or lists of unequal length, a label
            is not one of the corpus, or the columns differ from those of earlier tables.
        """
        table = columns.conform(table)
        self._schema = self._schema or table.schema
        if table.schema != self._schema:
            names = set(table.column_names) ^ set(self._schema.names)
            raise DataError(f"shards: columns {sorted(names)} are in some tables only")
        columns.check_labels(table, self._corpus)
        self._pending.append(table)
        self._waiting += table.num_rows
        while self._waiting >= ROWS_PER_GROUP:
            self._flush(ROWS_PER_GROUP)

    def finish(self) -> None:
        """Write what is waiting and the manifest."""
        if self._waiting:
            self._flush(self._waiting)
        if not self._shards and self._parquet is None and not self._may_be_empty:
            raise DataError(f"no jets to write for corpus {self._corpus!r}, role {self._role!r}")
        self._close_shard()
        names = self._schema.names if self._schema else []
        write_manifest(self._folder, self._corpus, self._role, self._shards, names, self.provenance)

    @property
    def _path(self) -> Path:
        return self._folder / f"shard-{len(self._shards):05d}.parquet"

    def _flush(self, rows: int) -> None:
        table = pa.concat_tables(self._pending)
        group, rest = table.slice(0, rows), table.slice(rows)
        self._pending, self._waiting = ([rest], rest.num_rows) if rest.num_rows else ([], 0)
        if self._parquet is None:
            self._parquet = columns.parquet_writer(self._path, group.schema)
        self._parquet.write_table(group, row_group_size=rows)
        self._rows += rows
        for label, count in Counter(group["jet_label"].to_pylist()).items():
            self._counts[self._classes[label]] += count
        if self._rows >= ROWS_PER_SHARD:
            self._close_shard()

    def _close_shard(self) -> None:
        if self._parquet is None:
            return
        self._parquet.close()
        path = self._path
        counts = {name: self._counts[name] for name in self._classes if self._counts[name]}
        shard = Shard(
            file=path.name,
            rows=self._rows,
            label_counts=counts,
            size=path.stat().st_size,
            sha256=sha256_of(path),
        )
        self._shards.append(shard)
        self._parquet, self._rows, self._counts = None, 0, Counter()


@contextmanager
def shard_writer(
    folder: Path, *, corpus: str, role: str, may_be_empty: bool = False
) -> Iterator[ShardWriter]:
    """A `ShardWriter` whose folder appears when the block ends well.

    Raises
    ------
    DataError
        Unknown corpus or role, or no jets were written although the folder may not be empty.
    StorageError
        The folder already holds something or cannot be written.
    """
    classes_of(corpus)
    if role not in ROLES:
        raise DataError(unknown("role", role, ROLES))
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise StorageError(f"{folder} is not empty; choose another folder or delete it first")
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        writer = ShardWriter(temporary, corpus, role, may_be_empty=may_be_empty)
        yield writer
        writer.finish()


def write_shards(
    folder: Path,
    tables: Iterable[pa.Table],
    *,
    corpus: str,
    role: str,
    provenance: Mapping[str, Any] | None = None,
) -> Manifest:
    """Write all tables as one shard folder; see `ShardWriter.write` and `shard_writer`.

    ``provenance`` is read after the last table, so whoever makes the tables may complete it.
    """
    with shard_writer(folder, corpus=corpus, role=role) as writer:
        for table in tables:
            writer.write(table)
        writer.provenance.update(provenance or {})
    return open_shards(folder)
