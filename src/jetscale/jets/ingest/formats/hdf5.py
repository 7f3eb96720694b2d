"""HDF5 files: every data set, field of a structured data set, and column of a pandas frame.

Names are paths: ``jets/pt`` is a data set in a group, a field of a structured data set, or a column
of a frame ``jets``. Filters such as Blosc need the package ``hdf5plugin``.

Frames that pandas wrote are read without pandas and PyTables. Layout ``table``: a structured data
set ``KEY/table`` whose fields ``values_block_N`` hold columns of one type side by side, with their
names as a pickled list in an attribute; ``fixed``: ``blockN_values`` and ``blockN_items``, the
names. The list is parsed for strings, never unpickled: that would run whatever the file says.
"""

import importlib
import pickletools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jetscale.errors import DataError
from jetscale.jets.ingest.formats import base
from jetscale.jets.ingest.formats.base import LIST, Column, File, Layout, Ragged, native

_STRINGS = {"UNICODE", "STRING", "BINUNICODE", "SHORT_BINUNICODE", "SHORT_BINSTRING", "BINSTRING"}
_STRUCTURE = {"MARK", "LIST", "EMPTY_LIST", "APPEND", "APPENDS", "PROTO", "FRAME", "STOP"}
_MEMO = {"PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"}


class Place(NamedTuple):
    """Where in an HDF5 file a column lies."""

    data: Any  # the data set
    field: str | None = None  # of a structured data set
    at: int | None = None  # in the last axis, where several columns lie side by side


@contextmanager
def opened(path: Path) -> Iterator[File]:
    """The columns of a file; those of one call to ``batches`` must be equally long."""
    h5py = base.load("h5py")
    with suppress(ImportError):
        importlib.import_module("hdf5plugin")
    columns: dict[str, Place] = {}
    frames = set()

    def visit(name: str, item: Any) -> None:
        if name.rpartition("/")[0] in frames:
            return
        if hasattr(item, "keys"):
            found = {f"{name}/{column}": place for column, place in frame_columns(item)}
            frames.update([name] if found else [])
            columns.update(found)
        elif item.dtype.names is not None:
            columns.update({f"{name}/{field}": Place(item, field) for field in item.dtype.names})
        elif item.shape:
            columns[name] = Place(item)

    def layout(name: str) -> Layout:
        data, field, at = columns[name]
        dtype = data.dtype if field is None else data.dtype[field]
        shape = data.shape[1:] + dtype.shape
        text = h5py.check_string_dtype(dtype.base) is not None
        vlen = None if text else h5py.check_vlen_dtype(dtype.base)
        kind = "S" if text else np.dtype(vlen or dtype.base).kind
        shape = (*shape, LIST) if vlen else shape if at is None else shape[:-1]
        words = f"{vlen or dtype.base} {data.shape + dtype.shape}"
        return Layout("" if kind in "OV" else kind, data.shape[0], shape, words)

    def batches(names: Sequence[str]) -> Iterator[dict[str, Column]]:
        places = {name: columns[name] for name in names}
        for data in {place.data for place in places.values()}:
            properties = data.id.get_create_plist()
            for code in (properties.get_filter(i)[0] for i in range(properties.get_nfilters())):
                if not h5py.h5z.filter_avail(code):
                    fix = "run `pip install hdf5plugin` to read it"
                    raise DataError(f"{data.name} is compressed with HDF5 filter {code}; {fix}")
        for rows in base.row_ranges(places[names[0]].data.shape[0]):
            # a data set is read once per batch, however many columns of it are asked for
            read = {
                (data, field): (data if field is None else data.fields(field))[rows]
                for data, field in {place[:2] for place in places.values()}
            }
            yield {
                name: _column(read[data, field] if at is None else read[data, field][..., at])
                for name, (data, field, at) in places.items()
            }

    with h5py.File(path, "r") as file:
        file.visititems(visit)
        yield File(list(columns), layout, batches)


def _column(values: Any) -> Column:
    """Numbers as an array; an array of arrays, which variable-length data are read as, as lists."""
    if values.dtype != object:
        return native(values)
    if not isinstance(values[0], np.ndarray):
        return np.asarray(values)  # text
    counts = np.fromiter(map(len, values), np.int64, len(values))
    return Ragged(counts, native(np.concatenate(values)))


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
