"""Data frames that pandas wrote to HDF5 (``DataFrame.to_hdf``), read without pandas and PyTables.

Two layouts exist. ``table``: one structured data set ``KEY/table`` with a field ``index``, fields
``values_block_N`` that hold the columns of one type side by side, and a field of its own for each
column that can be searched; the column names of a block are a pickled list in its attribute
``values_block_N_kind``. ``fixed``: data sets ``blockN_values`` and ``blockN_items``, the latter
with the names. The pickled list is parsed for strings, never unpickled: unpickling would run
whatever the file says.
"""

import pickletools
from collections.abc import Iterator
from typing import Any, NamedTuple

from jetscale.errors import DataError

_STRINGS = {"UNICODE", "STRING", "BINUNICODE", "SHORT_BINUNICODE", "SHORT_BINSTRING", "BINSTRING"}
_STRUCTURE = {"MARK", "LIST", "EMPTY_LIST", "APPEND", "APPENDS", "PROTO", "FRAME", "STOP"}
_MEMO = {"PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"}


class Place(NamedTuple):
    """Where in an HDF5 file a column lies."""

    data: Any
    """The data set."""
    field: str | None = None
    """Its field, if it is a structured one."""
    at: int | None = None
    """Place in the last axis, where several columns lie side by side."""


def frame_columns(group: Any) -> Iterator[tuple[str, Place]]:
    """Name and place of the columns of a pandas frame in a group; none if it holds no frame."""
    table = group.get("table")
    if getattr(getattr(table, "dtype", None), "names", None) is not None:
        for field in table.dtype.names:
            if not field.startswith("values_block_"):
                yield field, Place(table, field)
                continue
            names, width = names_in(table.attrs[f"{field}_kind"]), table.dtype[field].shape
            if width != (len(names),):
                raise DataError(f"{field} has shape {width} and {len(names)} names")
            yield from ((name, Place(table, field, i)) for i, name in enumerate(names))
    elif "block0_values" in group:
        for block in range(int(group.attrs["nblocks"])):
            values, items = group[f"block{block}_values"], group[f"block{block}_items"]
            if values.shape[1:] != items.shape:
                raise DataError(f"{values.name} is {values.shape}, damaged")
            yield from ((name.decode(), Place(values, None, i)) for i, name in enumerate(items[:]))


def names_in(pickled: Any) -> tuple[str, ...]:
    """The strings of a pickled list of strings; raises DataError for any other pickle."""
    names = []
    try:
        for opcode, argument, _ in pickletools.genops(bytes(pickled)):
            if opcode.name in _STRINGS:
                names.append(str(argument))
            elif opcode.name not in _STRUCTURE | _MEMO:
                raise DataError(f"column names are no list of strings ({opcode.name}); refused")
    except ValueError as error:
        raise DataError(f"column names cannot be read: {error}") from error
    return tuple(names)
