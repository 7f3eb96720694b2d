"""HDF5 files: every data set, field of a structured data set, and column of a pandas frame.

Names are paths in the file: ``jets/pt`` is the data set ``pt`` of the group ``jets``, the field
``pt`` of a structured data set ``jets``, or the column ``pt`` of the data frame ``jets``. Nothing
in a file is unpickled or executed. A data set compressed with a filter that HDF5 does not bring
along (Blosc, for instance) needs the package ``hdf5plugin``, which is used if it is there.
"""

import importlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from jetscale.jets.ingest.formats import base, pandas_table
from jetscale.jets.ingest.formats.base import (
    LIST,
    Array,
    BadFile,
    Column,
    File,
    Layout,
    Ragged,
    load,
    row_ranges,
)
from jetscale.jets.ingest.formats.pandas_table import Block


@contextmanager
def opened(path: Path) -> Iterator[File]:
    """The columns of a file; those of one call to ``batches`` must be equally long."""
    h5py = load("h5py")
    with suppress(ImportError):
        importlib.import_module("hdf5plugin")
    with h5py.File(path, "r") as file:
        # name to its block and its place there; no place is the whole block
        columns = {
            f"{block.prefix}{name}": (block, place)
            for block in _blocks(file)
            for place, name in (enumerate(block.names) if block.names else [(None, "")])
        }

        def layout(name: str) -> Layout:
            block, place = columns[name]
            text = h5py.check_string_dtype(block.dtype) is not None
            vlen = None if text else h5py.check_vlen_dtype(block.dtype)
            kind = "S" if text else np.dtype(vlen or block.dtype).kind
            shape = tuple(map(int, block.shape[1:])) if place is None else ()
            return Layout(
                kind="" if kind in "OV" else kind,
                rows=int(block.shape[0]),
                shape=(*shape, LIST) if vlen else shape,
                text=f"{vlen or block.dtype} {block.shape}",
            )

        def batches(names: Sequence[str]) -> Iterator[dict[str, Column]]:
            blocks = list(dict.fromkeys(columns[name][0] for name in names))
            for block in blocks:
                _check_filters(h5py, path, block.stored)
            for rows in row_ranges(blocks[0].shape[0]):
                # a block is read once per batch, however many of its columns are asked for
                read = {block: block.read(rows) for block in blocks}
                yield {n: _column(read[columns[n][0]], columns[n][1]) for n in names}

        yield File(names=list(columns), layout=layout, batches=batches)


def _blocks(file: Any) -> list[Block]:
    """All data sets of a file as blocks of columns; those of a pandas frame under its name."""
    found: list[Block] = []

    def visit(name: str, item: Any) -> None:
        if any(block.prefix == f"{name.rpartition('/')[0]}/" for block in found):
            return  # inside a frame
        if hasattr(item, "keys"):
            found.extend(pandas_table.frame_blocks(name, item))
        elif item.dtype.names is not None:
            for field in item.dtype.names:
                found.append(pandas_table.field_block(f"{name}/", item, field, (field,)))
        elif item.shape:
            found.append(
                Block(
                    prefix=name,
                    names=(),
                    dtype=item.dtype,
                    shape=item.shape,
                    read=item.__getitem__,
                    stored=item,
                )
            )

    file.visititems(visit)
    return found


def _column(values: Array, place: int | None) -> Column:
    values = values if place is None else values[:, place]
    if values.dtype == object and len(values) and isinstance(values[0], np.ndarray):
        counts = np.fromiter(map(len, values), np.int64, len(values))
        return Ragged(counts=counts, values=base.native(np.concatenate(values)))
    return values if values.dtype == object else base.native(values)


def _check_filters(h5py: Any, path: Path, found: Any) -> None:
    """Raise BadFile for a data set whose compression this installation cannot read."""
    properties = found.id.get_create_plist()
    for i in range(properties.get_nfilters()):
        code = properties.get_filter(i)[0]
        if not h5py.h5z.filter_avail(code):
            raise BadFile(
                f"{path}: {found.name} is compressed with HDF5 filter {code}; "
                "run `pip install hdf5plugin` to read it"
            )
