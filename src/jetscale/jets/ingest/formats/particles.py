"""Particle Data Group codes to charge, mass and the five particle flags.

The charge of a hadron follows from its quark digits (PDG, Monte Carlo numbering scheme). Flags are
those of JetClass-II (arXiv 2405.12972): hadrons are what is neither electron, muon nor photon, so
code 0 and the codes 1 and 2 that CMS gives to forward energy count as neutral hadrons.
"""

import numpy as np

from jetscale.jets.arrays import Bools, Floats, Ints
from jetscale.jets.ingest.formats.arrays import Slots
from jetscale.jets.ingest.formats.base import Array
from jetscale.jets.schema import PART_FLAGS

MASSES = {  # GeV, Review of Particle Physics 2024
    **{11: 0.000510999, 13: 0.105658, 111: 0.134977, 130: 0.497611, 211: 0.139570},
    **{310: 0.497611, 321: 0.493677, 2112: 0.939565, 2212: 0.938272, 3112: 1.197449},
    **{3122: 1.115683, 3222: 1.18937, 3312: 1.32171, 3322: 1.31486, 3334: 1.67245},
}
"""Particles that live long enough to be a constituent; every other code counts as massless."""

FIRST = 11  # the electron; smaller codes are quarks, and no particle that a detector sees


def charge_of(pdg: Array) -> Ints:
    """Charge in units of the positron's, (T,)."""
    code = np.abs(pdg).astype(np.int64)
    q1, q2, q3 = ((code // 10**n) % 10 for n in (3, 2, 1))
    thirds = (_thirds(q2) - _thirds(q3)) * np.where(q2 % 2 == 0, 1, -1)  # heavier quark first
    thirds = np.where(q1 > 0, _thirds(q1) + _thirds(q2) + _thirds(q3), thirds)
    charge = np.where(code < 100, np.where(np.isin(code, (11, 13, 15)), -1, 0), thirds // 3)
    return np.sign(pdg).astype(np.int64) * charge


def _thirds(quark: Ints) -> Ints:
    """Three times the charge of a quark; digit 0 is no quark."""
    return np.where(quark == 0, 0, np.where(quark % 2 == 0, 2, -1))


def mass_of(pdg: Array) -> Floats:
    """Masses in GeV, (T,)."""
    known = np.nan_to_num(pdg, nan=0.0, posinf=0.0, neginf=0.0)
    codes, where = np.unique(np.abs(known).astype(np.int64), return_inverse=True)
    masses: Floats = np.array([MASSES.get(code, 0.0) for code in codes.tolist()], float)[where]
    return masses


def flags_of(pdg: Array, charge: Array) -> dict[str, Array]:
    """The five flag columns, (T,) each."""
    code = np.abs(pdg)
    electron, muon, photon = code == 11, code == 13, code == 22
    charged = (charge != 0) & ~electron & ~muon
    neutral = (charge == 0) & ~photon & ~electron & ~muon
    return dict(zip(PART_FLAGS, (charged, neutral, photon, electron, muon), strict=True))


def faults(slots: Slots, pdg: Array, first: int = FIRST) -> dict[str, Bools]:
    """Jets with a code (T,) that is no whole number, or smaller than the ``first`` there may be."""
    foreign = np.isfinite(pdg) & ((pdg != np.rint(pdg)) | (np.abs(pdg) < first))
    return {"particle code that is no PDG code": slots.any(foreign)}


def columns_of(pdg: Array) -> dict[str, Array]:
    """Charge and flag columns from codes alone; where a code is not finite, no charge is either."""
    known = np.nan_to_num(pdg, nan=0.0, posinf=0.0, neginf=0.0)
    charge = np.where(np.isfinite(pdg), charge_of(known), np.nan)
    return {"part_charge": charge, **flags_of(known, charge)}
