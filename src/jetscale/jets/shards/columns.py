"""Arrow form of the jet columns: types, checks on a table, and the Parquet encoding of a shard.

Constituent columns are lists of equal length per jet, in float32, int32 (charge) or bool
(particle flags); jet columns are float32 or int32; ``event_id`` is int64. Nothing is nullable.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from jetscale.errors import DataError, unknown
from jetscale.jets.schema import (
    EVENT,
    JET_COLUMNS,
    JET_FLOATS,
    PART_COLUMNS,
    PART_FLAGS,
    PART_FLOATS,
    classes_of,
)

COLUMNS = (*PART_COLUMNS, *JET_COLUMNS, EVENT)
REQUIRED = ("jet_nparticles", "jet_label")


def arrow_type(column: str) -> pa.DataType:
    """Storage type of a column of the schema."""
    if column == EVENT:
        return pa.int64()
    if column in PART_FLOATS or column in JET_FLOATS:
        scalar = pa.float32()
    else:
        scalar = pa.bool_() if column in PART_FLAGS else pa.int32()
    if column in PART_COLUMNS:
        return pa.list_(pa.field("element", scalar, nullable=False))
    return scalar


def conform(table: pa.Table, first_row: int = 0) -> pa.Table:
    """The table with columns in schema order and in storage types.

    Types may differ in width and list naming (float64, int64, large lists), not in kind.
    ``first_row`` is the number of the table's first row, for messages.

    Raises
    ------
    DataError
        A column is unknown, missing, of another kind, out of range for its type, or holds nulls;
        or the lists of a jet differ in length from each other or from ``jet_nparticles``.
    """
    for name in table.column_names:
        if name not in COLUMNS:
            raise DataError(unknown("column", name, COLUMNS))
    names = [name for name in COLUMNS if name in table.column_names]
    missing = [name for name in REQUIRED if name not in names]
    if missing or not any(name in PART_COLUMNS for name in names):
        raise DataError(f"columns {missing or 'part_*'} are missing; every shard needs them")
    fields = [pa.field(name, arrow_type(name), nullable=False) for name in names]
    arrays = [_stored(table[name], name) for name in names]
    result = pa.table(arrays, schema=pa.schema(fields))
    _check_lengths(result, first_row)
    return result


def _kind(dtype: pa.DataType) -> str:
    if pa.types.is_list(dtype) or pa.types.is_large_list(dtype):
        return f"list of {_kind(dtype.value_type)}"
    for name in ("floating", "integer", "boolean"):
        if getattr(pa.types, f"is_{name}")(dtype):
            return name
    return str(dtype)


def check_kind(name: str, found: pa.DataType) -> None:
    """Raise DataError if a column's type is not a float, integer, flag or list as it should be."""
    wanted = arrow_type(name)
    if _kind(found) != _kind(wanted):
        raise DataError(f"column {name!r} is {found}, needs {wanted}")


def check_nulls(column: pa.ChunkedArray, name: str) -> None:
    """Raise DataError if a column or one of its lists has a null."""
    inner = column.combine_chunks().flatten() if pa.types.is_nested(column.type) else column
    if column.null_count or inner.null_count:
        raise DataError(f"column {name!r} holds nulls; every jet needs a value")


def _stored(column: pa.ChunkedArray, name: str) -> pa.Array:
    check_kind(name, column.type)
    check_nulls(column, name)
    wanted = arrow_type(name)
    try:
        return column.combine_chunks().cast(wanted)
    except pa.ArrowInvalid as error:
        raise DataError(f"column {name!r} does not fit {wanted}: {error}") from error


def lengths_of(column: pa.ChunkedArray) -> NDArray[np.int64]:
    """Constituents per jet of a list column."""
    lengths: NDArray[np.int64] = pc.list_value_length(column).to_numpy().astype(np.int64)
    return lengths


def _check_lengths(table: pa.Table, first_row: int) -> None:
    expected = table["jet_nparticles"].to_numpy()
    for name in table.column_names:
        if name not in PART_COLUMNS:
            continue
        found = lengths_of(table[name])
        wrong = np.flatnonzero(found != expected)
        if wrong.size:
            row = int(wrong[0])
            raise DataError(
                f"row {first_row + row}: {name} has {found[row]} entries, "
                f"jet_nparticles is {expected[row]}"
            )


def check_labels(table: pa.Table, corpus: str, first_row: int = 0) -> None:
    """Raise DataError naming the first row whose label is not one of the corpus."""
    labels, n_classes = table["jet_label"].to_numpy(), len(classes_of(corpus))
    wrong = np.flatnonzero((labels < 0) | (labels >= n_classes))
    if wrong.size:
        row = int(wrong[0])
        raise DataError(
            f"row {first_row + row}: label {labels[row]} is not in 0..{n_classes - 1} of {corpus}"
        )


def parquet_writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    """A writer that stores floats as byte streams, which zstd shrinks best."""
    encoding = {
        f"{name}.list.element" if name in PART_COLUMNS else name: "BYTE_STREAM_SPLIT"
        for name in schema.names
        if name in PART_FLOATS or name in JET_FLOATS
    }
    return pq.ParquetWriter(
        path, schema, compression="zstd", use_dictionary=False, column_encoding=encoding
    )
