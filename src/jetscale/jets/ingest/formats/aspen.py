"""AspenOpenJets: jets of CMS collision data without labels, HDF5 (arXiv 2412.10504).

``PFCands`` (n, 150, 11) holds px, py, pz, E, d0, d0Err, dz, dzErr, charge, PDG code and PUPPI
weight of each constituent, zero padded; ``jet_kinematics`` (n, 4) pt, eta, phi and soft-drop mass;
``jet_tagging`` (n, 13) starts with the number of constituents and tau1 to tau4.

Momenta are taken without the PUPPI weight; ``jet_energy`` is the sum over constituents. Lengths in
cm become mm; impact parameters of constituents without charge are 0, as in JetClass.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from jetscale.jets.ingest.formats import particles
from jetscale.jets.ingest.formats.arrays import Slots, to_table
from jetscale.jets.ingest.formats.base import ANY
from jetscale.jets.ingest.formats.files import Format, Wanted
from jetscale.jets.ingest.formats.kinematics import Momenta
from jetscale.jets.schema import JET_COLUMNS

_MM = 10.0  # per cm
_TRACK = ("part_d0val", "part_d0err", "part_dzval", "part_dzerr")


def jets_of(path: Path, columns: dict[str, Any]) -> pa.Table:
    """Collision jets with tracks, particle types and substructure."""
    padded, tagging = columns["PFCands"], columns["jet_tagging"]
    slots = Slots.of(padded[:, :, 3] != 0, np.hypot(padded[:, :, 0], padded[:, :, 1]))
    px, py, pz, energy, *track, charge, pdg, _ = slots.pick(padded).astype(float).T
    momenta = Momenta(px, py, pz, energy)
    pt, eta, phi, mass = columns["jet_kinematics"].T
    parts = momenta.columns() | momenta.around(slots.spread(eta), slots.spread(phi))
    lengths = [np.where(charge == 0, 0.0, _MM * values) for values in track]
    parts |= dict(zip(_TRACK, lengths, strict=True))
    charge = np.where(np.isfinite(pdg), charge, np.nan)  # seen with the other non-finite values
    parts |= {"part_charge": charge, **particles.flags_of(pdg, charge)}
    jets = {"jet_pt": pt, "jet_eta": eta, "jet_phi": phi, "jet_energy": slots.total(energy)}
    jets |= {"jet_sdmass": mass, "jet_label": np.zeros(len(pt), int)}
    jets |= {f"jet_tau{i}": tagging[:, i] for i in range(1, 5)}
    return to_table(slots, parts, jets, momenta.faults(slots))


WANTED: Wanted = {
    "PFCands": ("fiu", (ANY, 11)),
    "jet_kinematics": ("fiu", (4,)),
    "jet_tagging": ("fiu", (13,)),
}
FORMAT = Format("AspenOpenJets", "unlabelled", ("HDF5",), WANTED, jets_of, JET_COLUMNS)
