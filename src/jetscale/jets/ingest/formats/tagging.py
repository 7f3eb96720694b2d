"""The two reference sets of four-momenta: top tagging, and quark against gluon.

Top tagging: HDF5 written by pandas (Zenodo 2603256, arXiv 1902.09914). Frame ``table`` with columns
E_i, PX_i, PY_i, PZ_i for 200 slots, zero padded, and ``is_signal_new`` (1 = top).

Quark and gluon jets: NumPy archives (Zenodo 3164691 Pythia, 3066475 Herwig; arXiv 1810.05165).
``X`` (n, M, 4) holds pT, rapidity, azimuth and PDG code of each particle, zero padded; ``y`` is 1
for quarks. The mass that rapidity needs is that of the code. Jets with other codes are refused:
EnergyFlow's remapped ones (.2, 0) and energies would all pass for neutral hadrons.

Angles and the jet's own momentum follow from the constituents; other columns are absent.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from jetscale.jets.ingest.formats import particles
from jetscale.jets.ingest.formats.arrays import Slots, to_table
from jetscale.jets.ingest.formats.base import ANY
from jetscale.jets.ingest.formats.files import Format, Wanted
from jetscale.jets.ingest.formats.kinematics import SUMMED, Momenta

SLOTS = 200
LABEL = "table/is_signal_new"
NAMES = tuple(f"table/{axis}_{i}" for axis in ("E", "PX", "PY", "PZ") for i in range(SLOTS))


def top_jets(path: Path, columns: dict[str, Any]) -> pa.Table:
    """Jets of four-momenta alone."""
    label = columns.pop(LABEL)
    padded = np.stack(list(columns.values()), axis=1, dtype=float)
    energy, px, py, pz = padded.reshape(-1, 4, SLOTS).swapaxes(0, 1)
    slots = Slots.of(energy != 0, px**2 + py**2)
    momenta = Momenta(*(slots.pick(values) for values in (px, py, pz, energy)))
    parts, jets = momenta.of_jets(slots)
    return to_table(slots, parts, jets | {"jet_label": label}, momenta.faults(slots))


def quark_gluon_jets(path: Path, columns: dict[str, Any]) -> pa.Table:
    """Jets with particle types; momenta follow from rapidity and the mass of the code."""
    padded = columns["X"]
    slots = Slots.of(padded[:, :, 0] != 0, padded[:, :, 0])  # a lost momentum is no empty slot
    pt, y, phi, pdg = slots.pick(padded).T
    parts, jets = Momenta.from_rapidity(pt, y, phi, particles.mass_of(pdg)).of_jets(slots)
    parts |= particles.columns_of(pdg)
    return to_table(slots, parts, jets | {"jet_label": columns["y"]}, particles.faults(slots, pdg))


TOP_WANTED: Wanted = {**dict.fromkeys(NAMES, ("fiu", ())), LABEL: ("fiub", ())}
TOP = Format("the top-tagging reference set", "top", ("HDF5",), TOP_WANTED, top_jets, SUMMED)
QG_WANTED: Wanted = {"X": ("fiu", (ANY, 4)), "y": ("fiub", ())}
KINDS = ("NumPy archive",)
QUARKGLUON = Format(
    "quark and gluon jets", "quarkgluon", KINDS, QG_WANTED, quark_gluon_jets, jet_columns=SUMMED
)
