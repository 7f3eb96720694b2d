"""NumPy archives (``np.savez``), read as a stream.

A published array takes 450 MB unpacked: rows come in batches, only Fortran order is read whole.
Arrays of Python objects, which would have to be unpickled, are refused.
"""

import zipfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from jetscale.jets.ingest.formats import base
from jetscale.jets.ingest.formats.base import Array, Column, File, Layout, row_ranges

_HEADERS: dict[tuple[int, int], Any] = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


@contextmanager
def opened(path: Path) -> Iterator[File]:
    """The arrays of an archive; those of one call to ``batches`` must be equally long."""
    with zipfile.ZipFile(path) as archive:

        def layout(name: str) -> Layout:
            with archive.open(f"{name}.npy") as file:
                shape, _, dtype = _header(file)
            kind, rows = dtype.kind.replace("U", "S"), shape[0] if shape else 0
            return Layout(kind * (kind in "fiubS"), rows, shape[1:], f"{dtype} {shape}")

        def batches(names: Sequence[str]) -> Iterator[dict[str, Column]]:
            with ExitStack() as stack:
                files = [stack.enter_context(archive.open(f"{name}.npy")) for name in names]
                for batch in zip(*(_arrays(file, *_header(file)) for file in files), strict=True):
                    yield dict(zip(names, batch, strict=True))

        names = [n.removesuffix(".npy") for n in archive.namelist() if n.endswith(".npy")]
        yield File(names, layout, batches)


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether in Fortran order, and type of the array that starts here."""
    version = np.lib.format.read_magic(file)
    if version not in _HEADERS:
        raise NotImplementedError(f"array version {version}")
    shape, fortran, dtype = _HEADERS[version](file)
    if min(shape, default=0) < 0:
        raise ValueError(f"array of shape {shape}")
    return shape, fortran, dtype


def _arrays(
    file: IO[bytes], shape: tuple[int, ...], fortran: bool, dtype: np.dtype[Any]
) -> Iterator[Array]:
    def take(count: int) -> Array:
        content = file.read(count * dtype.itemsize)
        if len(content) != count * dtype.itemsize:
            raise EOFError(f"ends {count * dtype.itemsize - len(content)} bytes early")
        return np.frombuffer(content, dtype)

    row = int(np.prod(shape[1:], dtype=int))
    whole = take(shape[0] * row).reshape(shape[::-1]).T if fortran else None
    for rows in row_ranges(shape[0]):
        found = take((rows.stop - rows.start) * row) if whole is None else whole[rows]
        yield base.native(found.reshape(rows.stop - rows.start, *shape[1:]))
