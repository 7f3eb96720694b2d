"""The top-tagging reference set: HDF5 written by pandas (Zenodo 2603256, arXiv 1902.09914).

Frame ``table`` with columns E_i, PX_i, PY_i, PZ_i for 200 slots, zero padded, and ``is_signal_new``
(1 = top). Every row of a file is read, the last one included. Angles and the jet's own momentum
follow from the constituents. There are no particle types, charges, tracks or substructure: those
columns are absent. The generated top quark (``truth*``) is not read.
"""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from jetscale.jets.ingest.formats import hdf5, pandas_table
from jetscale.jets.ingest.formats.arrays import Slots, to_table
from jetscale.jets.ingest.formats.base import BadFile, Format, row_ranges
from jetscale.jets.ingest.formats.kinematics import Momenta

SLOTS = 200
LABEL = "is_signal_new"
NAMES = tuple(f"{axis}_{i}" for axis in ("E", "PX", "PY", "PZ") for i in range(SLOTS))


def _count(path: Path) -> int:
    with hdf5.opened(path) as file:
        frame = pandas_table.open_frame(file, "table")
        missing = [name for name in (*NAMES, LABEL) if name not in frame.names]
        if missing:
            raise BadFile(
                f"{path}: {len(missing)} columns are missing ({', '.join(missing[:4])}, ...); not "
                "a file of the top-tagging reference set"
            )
        return frame.rows


def _read(path: Path) -> Iterator[pa.Table]:
    with hdf5.opened(path) as file:
        frame = pandas_table.open_frame(file, "table")
        for rows in row_ranges(frame.rows):
            values = frame.read((*NAMES, LABEL), rows)
            padded = values[:, :-1].reshape(-1, 4, SLOTS)
            energy, px, py, pz = padded.swapaxes(0, 1)
            slots = Slots.of(energy != 0, px**2 + py**2)
            momenta = Momenta(
                **{
                    name: slots.pick(array)
                    for name, array in (("px", px), ("py", py), ("pz", pz), ("energy", energy))
                }
            )
            jets = momenta.jets(slots)
            angles = momenta.around(slots.spread(jets["jet_eta"]), slots.spread(jets["jet_phi"]))
            yield to_table(slots, momenta.columns() | angles, jets | {"jet_label": values[:, -1]})


FORMAT = Format(
    corpus="top",
    jet_columns=("jet_pt", "jet_eta", "jet_phi", "jet_energy", "jet_nparticles", "jet_label"),
    count=_count,
    read=_read,
)
