"""Quark and gluon jets: NumPy archives (Zenodo 3164691 Pythia, 3066475 Herwig; arXiv 1810.05165).

``X`` (n, M, 4) holds transverse momentum, rapidity, azimuth and PDG code of each particle, zero
padded, with an M of its own in every file; ``y`` is 1 for quarks. Rapidity needs a mass to become a
momentum: it is taken from the PDG code. There are no tracks and no substructure: those columns are
absent. The archive is read as a stream, because ``X`` of one file takes 450 MB unpacked; arrays of
Python objects, which would have to be unpickled, are refused.
"""

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa

from jetscale.errors import JetscaleError
from jetscale.jets.ingest.formats import particles
from jetscale.jets.ingest.formats.arrays import Array, Slots, to_table
from jetscale.jets.ingest.formats.base import BadFile, Format, row_ranges, unreadable
from jetscale.jets.ingest.formats.kinematics import Momenta

_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stream:
    """An array in an archive, read from its start to its end."""

    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]
    file: IO[bytes]

    def next(self, rows: int) -> Array:
        size = rows * int(np.prod(self.shape[1:], dtype=int)) * self.dtype.itemsize
        content = self.file.read(size)
        if len(content) != size:
            raise EOFError(f"ends {size - len(content)} bytes early")
        return np.frombuffer(content, self.dtype).reshape(rows, *self.shape[1:])


@contextmanager
def _opened(path: Path) -> Iterator[tuple[_Stream, _Stream]]:
    """The arrays ``X`` and ``y`` of an archive."""
    try:
        with (
            zipfile.ZipFile(path) as archive,
            archive.open("X.npy") as jets,
            archive.open("y.npy") as labels,
        ):
            yield _stream(path, jets), _stream(path, labels)
    except (JetscaleError, MemoryError):
        raise
    except Exception as error:  # what zipfile and NumPy raise depends on the byte that is damaged
        raise unreadable(path, "NumPy archive", error) from error


def _stream(path: Path, file: IO[bytes]) -> _Stream:
    version = np.lib.format.read_magic(file)
    if version not in _HEADERS:
        raise BadFile(f"{path}: array version {version} is not one of quark and gluon files")
    shape, fortran, dtype = _HEADERS[version](file)
    if fortran or dtype.kind not in "fiu":
        raise BadFile(f"{path}: array of {dtype} is not one of quark and gluon files")
    return _Stream(shape=shape, dtype=dtype, file=file)


def _count(path: Path) -> int:
    with _opened(path) as (jets, labels):
        if len(jets.shape) != 3 or jets.shape[2] != 4 or labels.shape != jets.shape[:1]:
            raise BadFile(
                f"{path}: X is {jets.shape} and y {labels.shape}, needs (n, M, 4) and (n,); not a "
                "quark and gluon file"
            )
        return jets.shape[0]


def _read(path: Path) -> Iterator[pa.Table]:
    with _opened(path) as (jets, labels):
        for rows in row_ranges(jets.shape[0]):
            n = rows.stop - rows.start
            yield _table(jets.next(n), labels.next(n))


def _table(padded: Array, label: Array) -> pa.Table:
    slots = Slots.of(padded[:, :, 0] > 0, padded[:, :, 0])
    pt, y, phi, pdg = slots.pick(padded).T
    momenta = Momenta.from_rapidity(pt=pt, y=y, phi=phi, mass=particles.mass_of(pdg))
    jets = momenta.jets(slots)
    angles = momenta.around(slots.spread(jets["jet_eta"]), slots.spread(jets["jet_phi"]))
    parts = momenta.columns() | angles | particles.columns_of(pdg)
    return to_table(slots, parts, jets | {"jet_label": label})


FORMAT = Format(
    corpus="quarkgluon",
    jet_columns=("jet_pt", "jet_eta", "jet_phi", "jet_energy", "jet_nparticles", "jet_label"),
    count=_count,
    read=_read,
)
