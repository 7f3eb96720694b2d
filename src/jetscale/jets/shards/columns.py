"""Arrow form of examples: types, checks on a table, and the Parquet encoding of a shard.

A schema says which columns there are (`jetscale.jets.example`). Constituent columns are lists of
equal length per example, other columns have one value per example. Nothing is nullable.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from jetscale.errors import DataError, unknown
from jetscale.jets.example import Kind, Schema
from jetscale.jets.schema import JETS

COLUMNS = JETS.columns
ENERGIES = ("jet_pt", "jet_energy", "part_energy")  # features take their logarithms
NUMBERS = ("floating", "integer", "boolean")
_STORED: dict[Kind, pa.DataType] = {
    **{"float": pa.float32(), "int": pa.int32(), "int64": pa.int64(), "flag": pa.bool_()}
}


def arrow_type(column: str, schema: Schema = JETS) -> pa.DataType:
    """Storage type of a column of a schema.

    >>> str(arrow_type("jet_label")), str(arrow_type("part_charge"))
    ('int32', 'list<element: int32 not null>')
    """
    if column in schema.scalars:
        return _STORED[schema.scalars[column]]
    return pa.list_(pa.field("element", _STORED[schema.lists[column]], nullable=False))


def conform(table: pa.Table, schema: Schema = JETS) -> pa.Table:
    """The table with columns in schema order and in storage types.

    Types may differ in width and list naming (float64, large lists), not in kind. In a field of
    your own numbers of any kind, lists of fixed size, and plain numbers (lists of one) will do.
    Raises DataError for whatever does not fit, nulls, and lists of unequal length.
    """
    for name in table.column_names:
        if name not in schema.columns:
            raise DataError(unknown("column", name, schema.columns))
        if table.column_names.count(name) > 1:
            raise DataError(f"column {name!r} is there twice; names must differ")
    names = [name for name in schema.columns if name in table.column_names]
    missing = [name for name in schema.required if name not in names]
    if missing or not any(name in schema.lists for name in names):
        lists = "part_*" if schema == JETS else ", ".join(schema.lists)
        raise DataError(f"columns {missing or lists} are missing; every shard needs them")
    arrays, fields = [], []
    for name in names:
        column, wanted = table[name], arrow_type(name, schema)
        if schema != JETS and name in schema.lists:
            column = _as_lists(column, name)
        if _kind(column.type) != _kind(wanted):
            raise DataError(f"column {name!r} is {column.type}, needs {wanted}")
        check_nulls(column, name)
        fields.append(pa.field(name, wanted, nullable=False))
        try:
            arrays.append(column.combine_chunks().cast(wanted))
        except pa.ArrowInvalid as error:
            raise DataError(f"column {name!r} does not fit {wanted}: {error}") from error
    result = pa.table(arrays, schema=pa.schema(fields))
    _check_rows(result, schema)
    return result


def _as_lists(column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    """Lists of float32 from lists of any form and number, or from plain numbers (lists of one)."""
    array = column.combine_chunks()
    nested = pa.types.is_nested(array.type)
    if _kind(array.type.value_type if nested else array.type) not in NUMBERS:
        raise DataError(f"column {name!r} is {array.type}, needs numbers or lists of numbers")
    if not nested:
        array = pa.ListArray.from_arrays(np.arange(len(array) + 1, dtype=np.int32), array)
    elif pa.types.is_fixed_size_list(array.type):
        array = array.cast(pa.list_(array.type.value_type))
    return pa.chunked_array([array.cast(pa.list_(pa.float32()), safe=False)])


def _kind(dtype: pa.DataType) -> str:
    if pa.types.is_list(dtype) or pa.types.is_large_list(dtype):
        return f"list of {_kind(dtype.value_type)}"
    return next((name for name in NUMBERS if getattr(pa.types, f"is_{name}")(dtype)), str(dtype))


def check_nulls(column: pa.ChunkedArray, name: str) -> None:
    """Raise DataError if a column or one of its lists has a null."""
    inner = column.combine_chunks().flatten() if pa.types.is_nested(column.type) else column
    if column.null_count or inner.null_count:
        raise DataError(f"column {name!r} holds nulls; every example needs a value")


def lengths_of(column: pa.ChunkedArray) -> NDArray[np.int64]:
    """Constituents per jet of a list column, or of an array of lists."""
    return np.array(pc.list_value_length(column), np.int64)


def _check_rows(table: pa.Table, schema: Schema) -> None:
    """Refuse lists of unequal length, and what no model can take."""
    names = [name for name in table.column_names if name in schema.lists]
    count = schema.count or names[0]
    expected = table[count].to_numpy() if count in schema.scalars else lengths_of(table[count])
    for name in names:
        found = lengths_of(table[name])
        if len(wrong := np.flatnonzero(found != expected)):
            row = wrong[0]
            says = f"{count} {'is' if schema.count else 'has'} {expected[row]}"
            raise DataError(f"row {row}: {name} has {found[row]} entries, {says}")
    if len(empty := np.flatnonzero(expected < 1)):
        raise DataError(f"row {empty[0]}: a {schema.noun} without constituents")
    _check_values(table, schema, expected)


def _check_values(table: pa.Table, schema: Schema, lengths: NDArray[np.int64]) -> None:
    """Refuse numbers of which no feature can be made: not finite, or energies below zero.

    A constituent that only pads has energy 0, whose logarithm is clipped; a jet has more.
    """
    for name in table.column_names:
        listed = name in schema.lists
        if (schema.lists[name] if listed else schema.scalars[name]) != "float":
            continue
        array = table[name].combine_chunks()
        values = (array.flatten() if listed else array).to_numpy()
        bad, needs = ~np.isfinite(values), "a finite number"
        if schema == JETS and name in ENERGIES and not bad.any():
            bad = values < 0 if listed else values <= 0
            needs = "zero or more" if listed else "a number above zero"
        if bad.any():
            at = int(bad.argmax())
            row = np.searchsorted(np.cumsum(lengths), at, side="right") if listed else at
            fix = f"correct it or leave that {schema.noun} out"
            raise DataError(f"row {row}: {name} holds {values[at]:g}, needs {needs}; {fix}")


def count_labels(
    table: pa.Table, classes: tuple[str, ...], corpus: str, schema: Schema = JETS
) -> dict[str, int]:
    """Class name to its examples, if there are any; DataError for a label not of the corpus."""
    labels: NDArray[Any] = table[schema.label].to_numpy()
    if len(wrong := np.flatnonzero((labels < 0) | (labels >= len(classes)))):
        known = f"0..{len(classes) - 1} of {corpus}"
        raise DataError(f"row {wrong[0]}: label {labels[wrong[0]]} is not in {known}")
    numbers = np.bincount(labels, minlength=len(classes)).tolist()
    return {name: number for name, number in zip(classes, numbers, strict=True) if number}


def parquet_writer(path: Path, table: pa.Schema, schema: Schema = JETS) -> pq.ParquetWriter:
    """A writer that stores floats as byte streams, which zstd shrinks best."""
    floats = [f"{n}.list.element" for n in table.names if schema.lists.get(n) == "float"]
    floats += [n for n in table.names if schema.scalars.get(n) == "float"]
    encoding = dict.fromkeys(floats, "BYTE_STREAM_SPLIT")
    return pq.ParquetWriter(
        path, table, compression="zstd", use_dictionary=False, column_encoding=encoding
    )
