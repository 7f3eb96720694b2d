"""Public jet files to shard folders.

Formats: ``jetclass2``, the Parquet files of JetClass-II exactly as published (arXiv 2405.12972).
Only constituent and jet columns are decoded; generator columns, six tenths of a file, are skipped.
All files are opened before any is read, so a truncated or foreign file is refused at once. Jets
with a non-finite value or without constituents are left out and counted in the provenance; a label
outside the published list is an error, because its jet belongs to no class.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from jetscale.errors import DataError, unknown
from jetscale.jets import columns
from jetscale.jets.manifest import Manifest, open_shards, sha256_of
from jetscale.jets.schema import JET_COLUMNS, JET_FLOATS, PART_COLUMNS, PART_FLOATS
from jetscale.jets.shards import shard_writer

ROWS_PER_BATCH = 5_000

Progress = Callable[[int, int], None]
"""Called with jets read and jets to read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A public file format: the corpus it holds, how to count and how to read its jets."""

    corpus: str
    count: Callable[[Path], int]
    """Jets in a file, after checking that it can be read and has the columns and types."""
    read: Callable[[Path], Iterator[pa.Table]]
    """Tables of some thousand jets each, in file order."""


def ingest(
    format: str, role: str, files: Sequence[Path], out: Path, progress: Progress | None = None
) -> Manifest:
    """Convert public files to one shard folder.

    Parameters
    ----------
    format
        A key of `FORMATS`.
    role
        What the jets may be used for; take it from the published file numbers, never split a file.
    files
        Files to read, in this order.
    out
        Shard folder to make; must not exist or be empty.
    progress
        Called after each batch.

    Raises
    ------
    DataError
        Unknown format or role, no files, one file given twice, or a file that is missing or
        truncated, lacks columns, has columns of another type or labels outside the list.
    StorageError
        ``out`` is not empty or cannot be written.
    """
    if format not in FORMATS:
        raise DataError(unknown("format", format, FORMATS))
    if not files:
        raise DataError(f"ingest {format}: no files given")
    for path in files:
        if not path.is_file():
            raise DataError(f"file {path} does not exist; check the path")
    source = FORMATS[format]
    total = sum(source.count(path) for path in files)
    done, seen, entries = 0, dict[str, Path](), []
    with shard_writer(out, corpus=source.corpus, role=role) as writer:
        for path in files:
            digest = sha256_of(path)
            if digest in seen:
                raise DataError(
                    f"{path} and {seen[digest]} hold the same jets; give each file once"
                )
            seen[digest] = path
            dropped, rows = Counter[str](), 0
            for raw in source.read(path):
                writer.write(_clean(raw, source.corpus, path, rows, dropped))
                rows, done = rows + raw.num_rows, done + raw.num_rows
                if progress:
                    progress(done, total)
            entries.append(
                {"name": path.name, "sha256": digest, "rows": rows, "dropped": dict(dropped)}
            )
        writer.provenance.update(format=format, files=entries)
    return open_shards(out)


def _clean(
    raw: pa.Table, corpus: str, path: Path, first_row: int, dropped: Counter[str]
) -> pa.Table:
    """Storage types, checked labels, unusable jets removed and counted."""
    try:
        table = columns.conform(raw, first_row)
        columns.check_labels(table, corpus, first_row)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    empty = table["jet_nparticles"].to_numpy() == 0
    broken = _non_finite(table) & ~empty
    for reason, rows in (("no constituents", empty), ("non-finite", broken)):
        if rows.any():
            dropped[reason] += int(rows.sum())
    keep = ~(empty | broken)
    return table if keep.all() else table.filter(pa.array(keep))


def _non_finite(table: pa.Table) -> NDArray[np.bool_]:
    """(n,) True for jets with a NaN or infinity in any float column."""
    bad = np.zeros(table.num_rows, bool)
    for name in table.column_names:
        if name in JET_FLOATS:
            bad |= ~np.isfinite(table[name].to_numpy())
        elif name in PART_FLOATS:
            lists = table[name].combine_chunks()
            where = np.flatnonzero(~np.isfinite(lists.values.to_numpy()))
            bad[np.searchsorted(lists.offsets.to_numpy(), where, side="right") - 1] = True
    return bad


_JETCLASS2_COLUMNS = (*PART_COLUMNS, *JET_COLUMNS)


@contextmanager
def _parquet(path: Path) -> Iterator[pq.ParquetFile]:
    try:
        with pq.ParquetFile(path) as file:
            yield file
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(
            f"{path}: not a readable Parquet file ({reason}); download it again"
        ) from error


def _count_jetclass2(path: Path) -> int:
    with _parquet(path) as file:
        found = file.schema_arrow
        missing = [name for name in _JETCLASS2_COLUMNS if name not in found.names]
        if missing:
            raise DataError(f"{path}: columns {missing} are missing; not a JetClass-II file")
        try:
            for name in _JETCLASS2_COLUMNS:
                columns.check_kind(name, found.field(name).type)
        except DataError as error:
            raise DataError(f"{path}: {error}") from error
        return int(file.metadata.num_rows)


def _read_jetclass2(path: Path) -> Iterator[pa.Table]:
    with _parquet(path) as file:
        names = list(_JETCLASS2_COLUMNS)
        for batch in file.iter_batches(ROWS_PER_BATCH, columns=names, use_threads=False):
            yield pa.Table.from_batches([batch])


FORMATS = {
    "jetclass2": Format(corpus="jetclass2", count=_count_jetclass2, read=_read_jetclass2),
}
