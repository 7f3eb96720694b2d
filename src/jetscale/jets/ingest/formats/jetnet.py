"""JetNet: HDF5 files of one class each (Zenodo 6975118 and 6975117, arXiv 2106.11535).

``particle_features`` (n, 30 or 150, 4) holds etarel, phirel, ptrel and a mask, relative to the jet;
``jet_features`` (n, 4) pt, eta, mass and number of particles. The class is in the file's name: g,
q, t, w or z, then 150 for the longer version.

Particles are massless: pT = ptrel jet_pt, eta = etarel + jet_eta. The jet's azimuth is not in the
files: px and py are measured from its axis. Particle types, tracks and substructure are absent.
"""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from jetscale.jets.ingest.formats.arrays import Slots, mask_faults, to_table
from jetscale.jets.ingest.formats.base import ANY, BadFile
from jetscale.jets.ingest.formats.files import Format, Wanted
from jetscale.jets.ingest.formats.kinematics import Momenta, mirrored
from jetscale.jets.schema import JETNET


def _label(path: Path) -> int:
    match = re.fullmatch(r"([a-z])(30|150)?", path.stem)
    if match is None or match[1] not in JETNET:
        names = f"one of {', '.join(JETNET)} as in t.hdf5 or t150.hdf5; rename it as published"
        raise BadFile(f"{path}: the class of JetNet jets is the name of their file, {names}")
    return JETNET.index(match[1])


def jets_of(path: Path, columns: dict[str, Any]) -> pa.Table:
    """Jets of the class that the file is named by."""
    padded = columns["particle_features"]
    slots = Slots.of(padded[:, :, 3] != 0, padded[:, :, 2])  # a lost mask is no empty slot
    deta, dphi, share, mask = slots.pick(padded).astype(float).T
    pt, eta, mass, _ = columns["jet_features"].astype(float).T
    axis = slots.spread(eta)
    momenta = Momenta.from_angles(share * slots.spread(pt), deta + axis, dphi)
    parts = momenta.columns() | {"part_deta": mirrored(deta, axis), "part_dphi": dphi}
    energy = np.sqrt((pt * np.cosh(eta)) ** 2 + mass**2)
    jets = {"jet_pt": pt, "jet_eta": eta, "jet_energy": energy}
    jets |= {"jet_label": np.full(len(pt), _label(path))}
    return to_table(slots, parts, jets, mask_faults(slots, mask))


WANTED: Wanted = {"particle_features": ("fiu", (ANY, 4)), "jet_features": ("fiu", (4,))}
COLUMNS = ("jet_pt", "jet_eta", "jet_energy", "jet_nparticles", "jet_label")
FORMAT = Format("JetNet", "jetnet", ("HDF5",), WANTED, jets_of, COLUMNS, _label)
