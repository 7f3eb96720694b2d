"""Parquet files: numbers, text, or one list of numbers per jet.

A published file is one row group: Arrow holds its columns compressed and decodes them in batches.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jetscale.jets.ingest.formats import base
from jetscale.jets.ingest.formats.base import LIST, Column, File, Layout, Ragged
from jetscale.jets.shards.columns import check_nulls, lengths_of


@contextmanager
def opened(path: Path) -> Iterator[File]:
    """The columns of a file."""
    with pq.ParquetFile(path) as file:
        schema, rows = file.schema_arrow, file.metadata.num_rows
        times = Counter(schema.names)

        def layout(name: str) -> Layout:
            if times[name] > 1:  # which of them is meant?
                return Layout("", rows, (), f"there {times[name]} times")
            found = schema.field(name).type
            shape = (LIST,) if pa.types.is_nested(found) else ()
            return Layout(_kind(getattr(found, "value_type", found)), rows, shape, str(found))

        def batches(names: Sequence[str]) -> Iterator[dict[str, Column]]:
            size = base.ROWS_PER_BATCH
            for batch in file.iter_batches(size, columns=list(names), use_threads=False):
                batch.validate(full=True)  # offsets of damaged pages would be used by native code
                yield {name: _column(name, batch[name]) for name in names}

        yield File(list(times), layout, batches)


def _kind(found: pa.DataType) -> str:
    """The NumPy kind of an Arrow type, S for text and empty for anything else.

    >>> _kind(pa.uint8()), _kind(pa.dictionary(pa.int8(), pa.string())), _kind(pa.date32())
    ('u', 'S', '')
    """
    if pa.types.is_dictionary(found):
        found = found.value_type
    if pa.types.is_string(found) or pa.types.is_large_string(found):
        return "S"
    plain = pa.types.is_floating(found) or pa.types.is_integer(found) or pa.types.is_boolean(found)
    return np.dtype(found.to_pandas_dtype()).kind if plain else ""


def _column(name: str, found: pa.Array) -> Column:
    check_nulls(pa.chunked_array([found]), name)
    if pa.types.is_nested(found.type):
        return Ragged(lengths_of(found), found.flatten().to_numpy(zero_copy_only=False))
    if pa.types.is_dictionary(found.type):
        found = found.dictionary_decode()
    return np.asarray(found.to_numpy(zero_copy_only=False))
