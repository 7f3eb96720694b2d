"""Kinematics of constituents and jets: what follows from the columns a format has.

GeV, radians, double precision. What is lost or too large is not finite: callers silence NumPy, and
such jets are counted later. As in JetClass (arXiv 2202.03772), ``part_deta`` is sign(jet_eta)
(eta - jet_eta) with sign(0) = -1, and ``part_dphi`` lies in [-pi, pi).
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from jetscale.jets.arrays import Bools, Floats
from jetscale.jets.ingest.formats.arrays import Slots
from jetscale.jets.ingest.formats.base import Array

# jet columns of formats that hold constituents and a label alone
SUMMED = ("jet_pt", "jet_eta", "jet_phi", "jet_energy", "jet_nparticles", "jet_label")


class Momenta(NamedTuple):
    """Flat four-momenta, (T,) each; made from a negative pT, the energy is negative and counted."""

    px: Floats
    py: Floats
    pz: Floats
    energy: Floats

    @classmethod
    def from_angles(
        cls, pt: Array, eta: Array, phi: Array, mass: Any = 0.0, energy: Array | None = None
    ) -> "Momenta":
        """From transverse momentum, pseudorapidity, azimuth, and energy or mass."""
        pt, pz = np.asarray(pt, float), pt * np.sinh(np.asarray(eta, float))
        energy = np.sqrt(pt**2 + pz**2 + np.square(mass)) if energy is None else energy
        signed = np.where(pt < 0, -np.abs(energy), energy)
        return cls(pt * np.cos(phi), pt * np.sin(phi), pz, signed)

    @classmethod
    def from_rapidity(cls, pt: Array, y: Array, phi: Array, mass: Array) -> "Momenta":
        """From transverse momentum, rapidity, azimuth and mass."""
        transverse = np.sqrt(np.square(pt, dtype=float) + np.square(mass))
        energy = transverse * np.cosh(y)
        signed = np.where(pt < 0, -energy, energy)
        return cls(pt * np.cos(phi), pt * np.sin(phi), transverse * np.sinh(y), signed)

    def columns(self) -> dict[str, Array]:
        """The four constituent columns."""
        return dict(zip(("part_px", "part_py", "part_pz", "part_energy"), self, strict=True))

    def jets(self, slots: Slots) -> dict[str, Array]:
        """Jet axis, transverse momentum and energy: the sum over the constituents, (n,) each."""
        px, py, pz, energy = map(slots.total, self)
        pt = np.hypot(px, py)
        axis = {"jet_eta": np.arcsinh(pz / pt), "jet_phi": np.arctan2(py, px)}
        return {"jet_pt": pt, **axis, "jet_energy": energy}

    def of_jets(
        self, slots: Slots, given: Mapping[str, Array] | None = None
    ) -> tuple[dict[str, Array], dict[str, Array]]:
        """Constituent columns with angles from the jet's axis, and jet columns, summed or given."""
        jets = self.jets(slots) | dict(given or {})
        axis = slots.spread(jets["jet_eta"]), slots.spread(jets["jet_phi"])
        return self.columns() | self.around(*axis), jets

    def faults(self, slots: Slots) -> dict[str, Bools]:
        """Jets with a constituent whose energy is below its momentum: columns are mixed up.

        Rounding to single precision, and to the coarser one of packed data, is left room for.
        """
        momentum = np.sqrt(self.px**2 + self.py**2 + self.pz**2)
        below = (self.energy > 0) & (self.energy < 0.99 * momentum) & np.isfinite(momentum)
        return {"energy below the momentum": slots.any(below)}

    def around(self, eta: Array, phi: Array) -> dict[str, Array]:
        """Angles of the constituents from an axis given per constituent, (T,) each."""
        own = np.arcsinh(self.pz / np.hypot(self.px, self.py))
        dphi = wrapped(np.arctan2(self.py, self.px) - phi)
        return {"part_deta": mirrored(own - eta, eta), "part_dphi": dphi}


def mirrored(deta: Array, jet_eta: Array) -> Array:
    """Pseudorapidity differences with the sign of forward jets."""
    return np.where(jet_eta > 0, deta, -deta)


def wrapped(dphi: Array) -> Array:
    """Angles in [-pi, pi)."""
    angles: Array = (dphi + np.pi) % (2 * np.pi) - np.pi
    return angles
