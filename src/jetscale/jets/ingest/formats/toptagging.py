"""The top-tagging reference set: HDF5 written by pandas (Zenodo 2603256, arXiv 1902.09914).

Frame ``table`` with columns E_i, PX_i, PY_i, PZ_i for 200 slots, zero padded, and ``is_signal_new``
(1 = top). Every row of a file is read, the last one included. Angles and the jet's own momentum
follow from the constituents. There are no particle types, charges, tracks or substructure: those
columns are absent. The generated top quark (``truth*``) is not read.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from jetscale.jets.ingest.formats.arrays import Slots, to_table
from jetscale.jets.ingest.formats.files import Format
from jetscale.jets.ingest.formats.kinematics import SUMMED, Momenta

SLOTS = 200
LABEL = "table/is_signal_new"
NAMES = tuple(f"table/{axis}_{i}" for axis in ("E", "PX", "PY", "PZ") for i in range(SLOTS))


def jets_of(path: Path, columns: dict[str, Any]) -> pa.Table:
    """Jets of four-momenta alone."""
    label = columns.pop(LABEL)
    padded = np.stack(list(columns.values()), axis=1, dtype=float)
    energy, px, py, pz = padded.reshape(-1, 4, SLOTS).swapaxes(0, 1)
    slots = Slots.of(energy != 0, px**2 + py**2)
    momenta = Momenta(*(slots.pick(values) for values in (px, py, pz, energy)))
    parts, jets = momenta.of_jets(slots)
    return to_table(slots, parts, jets | {"jet_label": label}, momenta.faults(slots))


FORMAT = Format(
    what="the top-tagging reference set",
    corpus="top",
    kinds=("HDF5",),
    wanted={**dict.fromkeys(NAMES, ("fiu", ())), LABEL: ("fiub", ())},
    table=jets_of,
    jet_columns=SUMMED,
)
