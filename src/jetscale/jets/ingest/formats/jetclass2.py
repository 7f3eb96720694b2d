"""JetClass-II as published: Parquet files, or the ROOT files they were made from.

Of the 54 columns (arXiv 2405.12972, data card of jet-universe/jetclass2) only constituent and jet
columns are decoded; generator columns, six tenths of a file, are skipped. A published file is one
row group: Arrow holds the columns wanted of it compressed, about 0.14 GB, and decodes them batch by
batch. Which of the two kinds a file is shows in its first bytes.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from jetscale.errors import DataError
from jetscale.jets.ingest.formats import base, root
from jetscale.jets.ingest.formats.base import BadFile, Format, unreadable
from jetscale.jets.ingest.formats.jetclass import table_of
from jetscale.jets.schema import JET_COLUMNS, JET_FLOATS, PART_COLUMNS, PART_FLAGS, PART_FLOATS
from jetscale.jets.shards import columns

COLUMNS = (*PART_COLUMNS, *JET_COLUMNS)
BRANCHES = {
    **dict.fromkeys(PART_FLOATS, "F"),
    "part_charge": "I",
    **dict.fromkeys(PART_FLAGS, "B"),
    **dict.fromkeys(JET_FLOATS, "f"),
    **dict.fromkeys(("jet_nparticles", "jet_label"), "i"),
}


def _count(path: Path) -> int:
    if root.is_root(path):
        return root.count(path, BRANCHES, "JetClass-II")
    with _parquet(path) as file:
        found = file.schema_arrow
        missing = [name for name in COLUMNS if name not in found.names]
        if missing:
            raise BadFile(f"{path}: columns {missing} are missing; not a JetClass-II file")
        try:
            for name in COLUMNS:
                columns.check_kind(name, found.field(name).type)
        except DataError as error:
            raise BadFile(f"{path}: {error}") from error
        return int(file.metadata.num_rows)


def _read(path: Path) -> Iterator[pa.Table]:
    if root.is_root(path):
        for branches in root.batches(path, BRANCHES):
            yield table_of(branches, branches["jet_label"][1])
        return
    with _parquet(path) as file:
        chosen = list(COLUMNS)
        for batch in file.iter_batches(base.ROWS_PER_BATCH, columns=chosen, use_threads=False):
            yield pa.Table.from_batches([batch])


@contextmanager
def _parquet(path: Path) -> Iterator[pq.ParquetFile]:
    try:
        with pq.ParquetFile(path) as file:
            yield file
    except (pa.ArrowException, OSError) as error:
        raise unreadable(path, "Parquet", error) from error


FORMAT = Format(corpus="jetclass2", jet_columns=JET_COLUMNS, count=_count, read=_read)
