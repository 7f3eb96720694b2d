"""Data frames that pandas wrote to HDF5 (``DataFrame.to_hdf``), read without pandas and PyTables.

Two layouts exist. ``table``: one structured data set ``KEY/table`` with a field ``index``, fields
``values_block_N`` that hold the columns of one type side by side, and a field of its own for each
column that can be searched; the column names of a block are a pickled list in its attribute
``values_block_N_kind``. ``fixed``: data sets ``blockN_values`` and ``blockN_items``, the latter
with the names. The pickled list is parsed for strings, never unpickled: unpickling would run
whatever the file says.
"""

import pickletools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jetscale.jets.ingest.formats.arrays import Array
from jetscale.jets.ingest.formats.base import BadFile
from jetscale.jets.ingest.formats.hdf5 import check_filters

_STRINGS = {"UNICODE", "STRING", "BINUNICODE", "SHORT_BINUNICODE", "SHORT_BINSTRING", "BINSTRING"}
_STRUCTURE = {"MARK", "LIST", "EMPTY_LIST", "APPEND", "APPENDS", "PROTO", "FRAME", "STOP"}
_MEMO = {"PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Columns that lie side by side."""

    names: tuple[str, ...]
    read: Callable[[slice], Array]
    """(n, columns) values of some rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A data frame in an open file."""

    rows: int
    blocks: tuple[Block, ...]

    @property
    def names(self) -> set[str]:
        """All column names."""
        return {name for block in self.blocks for name in block.names}

    def read(self, names: Sequence[str], rows: slice) -> Array:
        """(n, len(names)) float64 values of some rows."""
        out = np.empty((rows.stop - rows.start, len(names)))
        place = {name: i for i, name in enumerate(names)}
        for block in self.blocks:
            found = [i for i, name in enumerate(block.names) if name in place]
            if found:
                out[:, [place[block.names[i]] for i in found]] = block.read(rows)[:, found]
        return out


def open_frame(file: Any, key: str) -> Frame:
    """The data frame below a key; raises BadFile where there is none."""
    group = file.get(key)
    if group is None or not hasattr(group, "keys"):
        raise BadFile(f"{file.filename}: no pandas frame {key!r}, found {sorted(file)}")
    if "table" in group:
        return _table(group["table"])
    if "block0_values" in group:
        return _fixed(group)
    raise BadFile(f"{file.filename}: {key!r} holds {sorted(group)}; not a pandas frame")


def _table(data: Any) -> Frame:
    if data.dtype.names is None:
        raise BadFile(f"{data.file.filename}: {data.name} has no fields; not a pandas frame")
    check_filters(data)
    blocks = []
    for field in data.dtype.names:
        width = int(np.prod(data.dtype[field].shape, dtype=int))
        names: tuple[str, ...] = (field,)
        if field.startswith("values_block_"):
            names = names_in(data.attrs[f"{field}_kind"])
        if len(names) != width:
            raise BadFile(
                f"{data.file.filename}: {field} has {width} columns and {len(names)} names"
            )
        blocks.append(Block(names=names, read=_field_reader(data, field, width)))
    return Frame(rows=data.shape[0], blocks=tuple(blocks))


def _field_reader(data: Any, field: str, width: int) -> Callable[[slice], Array]:
    return lambda rows: data.fields(field)[rows].reshape(-1, width)


def _fixed(group: Any) -> Frame:
    blocks, rows = [], 0
    for i in range(int(group.attrs["nblocks"])):
        values, items = group[f"block{i}_values"], group[f"block{i}_items"]
        check_filters(values)
        names = tuple(name.decode() for name in items[:])
        rows = values.shape[0]
        if values.shape != (rows, len(names)):
            raise BadFile(f"{group.file.filename}: {values.name} is {values.shape}, damaged")
        blocks.append(Block(names=names, read=values.__getitem__))
    return Frame(rows=rows, blocks=tuple(blocks))


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
