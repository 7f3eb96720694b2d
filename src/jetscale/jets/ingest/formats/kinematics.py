"""Kinematics of constituents and jets: what follows from the columns a format has.

Momenta and energies in GeV, angles in radians, double precision. ``part_deta`` is mirrored for jets
with negative pseudorapidity and ``part_dphi`` wrapped to [-pi, pi), as in JetClass
(arXiv 2202.03772): sign(jet_eta) (eta - jet_eta) with sign(0) = -1.
"""

from dataclasses import dataclass

import numpy as np

from jetscale.jets.ingest.formats.arrays import Array, Floats, Slots


@dataclass(frozen=True, slots=True, kw_only=True)
class Momenta:
    """Flat four-momenta, (T,) each."""

    px: Floats
    py: Floats
    pz: Floats
    energy: Floats

    @classmethod
    def from_angles(cls, *, pt: Array, eta: Array, phi: Array, mass: Array | float) -> "Momenta":
        """From transverse momentum, pseudorapidity, azimuth and mass."""
        pt, pz = np.asarray(pt, float), pt * np.sinh(np.asarray(eta, float))
        energy = np.sqrt(pt**2 + pz**2 + np.square(mass))
        return cls(px=pt * np.cos(phi), py=pt * np.sin(phi), pz=pz, energy=energy)

    @classmethod
    def from_rapidity(cls, *, pt: Array, y: Array, phi: Array, mass: Array) -> "Momenta":
        """From transverse momentum, rapidity, azimuth and mass."""
        transverse = np.sqrt(np.square(pt, dtype=float) + np.square(mass))
        return cls(
            px=pt * np.cos(phi),
            py=pt * np.sin(phi),
            pz=transverse * np.sinh(y),
            energy=transverse * np.cosh(y),
        )

    def columns(self) -> dict[str, Array]:
        """The four constituent columns."""
        return {
            "part_px": self.px,
            "part_py": self.py,
            "part_pz": self.pz,
            "part_energy": self.energy,
        }

    def jets(self, slots: Slots) -> dict[str, Array]:
        """Jet axis, transverse momentum and energy: the sum over the constituents, (n,) each."""
        px, py, pz, energy = (slots.total(v) for v in (self.px, self.py, self.pz, self.energy))
        pt = np.hypot(px, py)
        with np.errstate(divide="ignore", invalid="ignore"):  # jets without constituents
            eta = np.arcsinh(pz / pt)
        return {
            "jet_pt": pt,
            "jet_eta": eta,
            "jet_phi": np.arctan2(py, px),
            "jet_energy": energy,
        }

    def around(self, eta: Array, phi: Array) -> dict[str, Array]:
        """Angles of the constituents from an axis given per constituent, (T,) each."""
        with np.errstate(divide="ignore", invalid="ignore"):  # without pT there is no direction
            own = np.arcsinh(self.pz / np.hypot(self.px, self.py))
        return {
            "part_deta": mirrored(own - eta, eta),
            "part_dphi": wrapped(np.arctan2(self.py, self.px) - phi),
        }


def mirrored(deta: Array, jet_eta: Array) -> Array:
    """Pseudorapidity differences with the sign of forward jets."""
    return np.where(jet_eta > 0, deta, -deta)


def wrapped(dphi: Array) -> Array:
    """Angles in [-pi, pi)."""
    angles: Array = (dphi + np.pi) % (2 * np.pi) - np.pi
    return angles
