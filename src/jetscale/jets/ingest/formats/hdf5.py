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

from jetscale.errors import DataError
from jetscale.jets.ingest.formats.base import (
    LIST,
    Column,
    File,
    Layout,
    Ragged,
    load,
    native,
    row_ranges,
)
from jetscale.jets.ingest.formats.pandas_table import Place, frame_columns


@contextmanager
def opened(path: Path) -> Iterator[File]:
    """The columns of a file; those of one call to ``batches`` must be equally long."""
    h5py = load("h5py")
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
                    raise DataError(
                        f"{data.name} is compressed with HDF5 filter {code}; run `pip install "
                        "hdf5plugin` to read it"
                    )
        for rows in row_ranges(places[names[0]].data.shape[0]):
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
