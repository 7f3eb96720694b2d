"""Data frames that pandas wrote to HDF5 (``DataFrame.to_hdf``), read without pandas and PyTables.

Two layouts exist. ``table``: one structured data set ``KEY/table`` with a field ``index``, fields
``values_block_N`` that hold the columns of one type side by side, and a field of its own for each
column that can be searched; the column names of a block are a pickled list in its attribute
``values_block_N_kind``. ``fixed``: data sets ``blockN_values`` and ``blockN_items``, the latter
with the names. The pickled list is parsed for strings, never unpickled: unpickling would run
whatever the file says.
"""

import pickletools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from jetscale.jets.ingest.formats.base import Array, BadFile

_STRINGS = {"UNICODE", "STRING", "BINUNICODE", "SHORT_BINUNICODE", "SHORT_BINSTRING", "BINSTRING"}
_STRUCTURE = {"MARK", "LIST", "EMPTY_LIST", "APPEND", "APPENDS", "PROTO", "FRAME", "STOP"}
_MEMO = {"PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Block:
    """Columns that lie side by side in an HDF5 file, or one data set that is a column itself."""

    prefix: str
    """Goes before the names: the path of the frame, or of the data set."""
    names: tuple[str, ...]
    """Of the columns; none for a data set that is one."""
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    read: Callable[[slice], Array]
    """Some rows: (n, columns), or (n, ...) of a data set that is a column itself."""
    stored: Any
    """The data set it is read from."""


def frame_blocks(name: str, group: Any) -> Iterator[Block]:
    """The blocks of a pandas frame in a group; none if the group holds no frame."""
    table = group.get("table")
    if getattr(getattr(table, "dtype", None), "names", None) is not None:
        for field in table.dtype.names:
            names: tuple[str, ...] = (field,)
            if field.startswith("values_block_"):
                names = names_in(table.attrs[f"{field}_kind"])
            yield field_block(f"{name}/", table, field, names)
    elif "block0_values" in group:
        for i in range(int(group.attrs["nblocks"])):
            values, items = group[f"block{i}_values"], group[f"block{i}_items"]
            names = tuple(item.decode() for item in items[:])
            if values.shape[1:] != (len(names),):
                raise BadFile(f"{group.file.filename}: {values.name} is {values.shape}, damaged")
            yield Block(
                prefix=f"{name}/",
                names=names,
                dtype=values.dtype,
                shape=values.shape,
                read=values.__getitem__,
                stored=values,
            )


def field_block(prefix: str, data: Any, field: str, names: tuple[str, ...]) -> Block:
    """A field of a structured data set with a name for each of its columns."""
    inner = data.dtype[field]
    width = int(np.prod(inner.shape, dtype=int))
    flat = len(data.shape) == 1 and len(names) == width
    if not flat and names != (field,):
        raise BadFile(f"{data.file.filename}: {field} has {width} columns and {len(names)} names")
    return Block(
        prefix=prefix if flat else f"{prefix}{field}",
        names=names if flat else (),
        dtype=inner.base,
        shape=(*data.shape, width) if flat else (*data.shape, *inner.shape),
        read=lambda rows: (
            data.fields(field)[rows].reshape(-1, width) if flat else data.fields(field)[rows]
        ),
        stored=data,
    )


def names_in(pickled: Any) -> tuple[str, ...]:
    """The strings of a pickled list of strings; raises BadFile for any other pickle."""
    names = []
    try:
        for opcode, argument, _ in pickletools.genops(bytes(pickled)):
            if opcode.name in _STRINGS:
                names.append(str(argument))
            elif opcode.name not in _STRUCTURE | _MEMO:
                raise BadFile(f"column names are no list of strings ({opcode.name}); refused")
    except ValueError as error:
        raise BadFile(f"column names cannot be read: {error}") from error
    return tuple(names)
