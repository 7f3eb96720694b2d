"""Quark and gluon jets: NumPy archives (Zenodo 3164691 Pythia, 3066475 Herwig; arXiv 1810.05165).

``X`` (n, M, 4) holds transverse momentum, rapidity, azimuth and PDG code of each particle, zero
padded, with an M of its own in every file; ``y`` is 1 for quarks. Rapidity needs a mass to become a
momentum: it is taken from the PDG code. Arrays whose last feature is no PDG code of a particle that
reaches a detector are refused jet by jet: EnergyFlow's remapped codes (.2 for a charged pion, 0 for
a photon) and energies would all pass for neutral hadrons. There are no tracks and no substructure:
those columns are absent.
"""

from pathlib import Path
from typing import Any

import pyarrow as pa

from jetscale.jets.ingest.formats import particles
from jetscale.jets.ingest.formats.arrays import Slots, to_table
from jetscale.jets.ingest.formats.base import ANY
from jetscale.jets.ingest.formats.files import Format
from jetscale.jets.ingest.formats.kinematics import SUMMED, Momenta


def jets_of(path: Path, columns: dict[str, Any]) -> pa.Table:
    """Jets with particle types; momenta follow from rapidity and the mass of the code."""
    padded = columns["X"]
    slots = Slots.of(padded[:, :, 0] != 0, padded[:, :, 0])  # a lost momentum is no empty slot
    pt, y, phi, pdg = slots.pick(padded).T
    momenta = Momenta.from_rapidity(pt, y, phi, particles.mass_of(pdg))
    parts, jets = momenta.of_jets(slots)
    return to_table(
        slots,
        parts | particles.columns_of(pdg),
        jets | {"jet_label": columns["y"]},
        particles.faults(slots, pdg),
    )


FORMAT = Format(
    what="quark and gluon jets",
    corpus="quarkgluon",
    kinds=("NumPy archive",),
    wanted={"X": ("fiu", (ANY, 4)), "y": ("fiub", ())},
    table=jets_of,
    jet_columns=SUMMED,
)
