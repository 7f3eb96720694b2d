"""AspenOpenJets: jets of CMS collision data without labels, HDF5 (arXiv 2412.10504).

``PFCands`` (n, 150, 11) holds px, py, pz, E, d0, d0Err, dz, dzErr, charge, PDG code and PUPPI
weight of each constituent, zero padded; ``jet_kinematics`` (n, 4) pt, eta, phi and soft-drop mass;
``jet_tagging`` (n, 13) starts with the number of constituents and tau1 to tau4.

Momenta are taken as stored, without the PUPPI weight. ``jet_energy`` is the sum over constituents,
the files have none. CMS gives lengths in cm; they become mm. Constituents without charge have
no track: their impact parameters are 0, as in JetClass.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from jetscale.jets.ingest.formats import hdf5, particles
from jetscale.jets.ingest.formats.arrays import Array, Slots, to_table
from jetscale.jets.ingest.formats.base import Format, row_ranges
from jetscale.jets.ingest.formats.kinematics import Momenta

_WHAT = "an AspenOpenJets"
_MM = 10.0  # per cm
_TRACK = ("part_d0val", "part_d0err", "part_dzval", "part_dzerr")


def _count(path: Path) -> int:
    with hdf5.opened(path) as file:
        constituents = hdf5.dataset(file, "PFCands", (None, None, 11), _WHAT)
        jets = hdf5.dataset(file, "jet_kinematics", (None, 4), _WHAT)
        tagging = hdf5.dataset(file, "jet_tagging", (None, 13), _WHAT)
        return hdf5.same_rows(_WHAT, constituents, jets, tagging)


def _read(path: Path) -> Iterator[pa.Table]:
    with hdf5.opened(path) as file:
        constituents = file["PFCands"]
        for rows in row_ranges(constituents.shape[0]):
            kinematics, tagging = file["jet_kinematics"][rows], file["jet_tagging"][rows]
            yield _table(constituents[rows], kinematics, tagging)


def _table(padded: Array, kinematics: Array, tagging: Array) -> pa.Table:
    slots = Slots.of(padded[:, :, 3] != 0, np.hypot(padded[:, :, 0], padded[:, :, 1]))
    px, py, pz, energy, *track, charge, pdg, _ = slots.pick(padded).astype(float).T
    momenta = Momenta(px=px, py=py, pz=pz, energy=energy)
    pt, eta, phi, mass = kinematics.T
    parts = momenta.columns() | momenta.around(slots.spread(eta), slots.spread(phi))
    parts |= {
        name: np.where(charge == 0, 0.0, _MM * values)
        for name, values in zip(_TRACK, track, strict=True)
    }
    charge = np.where(np.isfinite(pdg), charge, np.nan)  # seen with the other non-finite values
    parts |= {"part_charge": charge, **particles.flags_of(pdg, charge)}
    jets = {"jet_pt": pt, "jet_eta": eta, "jet_phi": phi, "jet_energy": slots.total(energy)}
    jets |= {"jet_sdmass": mass} | {f"jet_tau{i}": tagging[:, i] for i in range(1, 5)}
    return to_table(slots, parts, jets | {"jet_label": np.zeros(len(pt), int)})


FORMAT = Format(
    corpus="unlabelled",
    jet_columns=(
        *("jet_pt", "jet_eta", "jet_phi", "jet_energy", "jet_sdmass"),
        *("jet_tau1", "jet_tau2", "jet_tau3", "jet_tau4", "jet_nparticles", "jet_label"),
    ),
    count=_count,
    read=_read,
)
