"""A parametrised detector: particles in, reconstructed candidates out, a whole batch at once.

Tracks and calorimeter cells follow the Delphes CMS card (arXiv 1307.6346): track efficiencies,
momentum and energy resolutions, cell sizes and thresholds. Impact parameters come from the helix in
a 3.8 T field, smeared by a (+) b / pT with constants read off figure 15 of arXiv 1405.6569 by eye.
Candidates follow particle flow in its ideal form: a found track replaces its calorimeter deposit.
The published jets hold almost nothing softer than 1 GeV, so candidates turn on around there.

Simplified away: bending of charged particles without a track, fake leptons, shower shapes.
Lengths in mm, momenta and energies in GeV.
"""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jetscale.jets.simulate import Particles

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

CHARGED_HADRON, NEUTRAL_HADRON, PHOTON, ELECTRON, MUON = range(5)  # in the order of the flags

FIELD = 3.8  # T
TRACKER_RADIUS, TRACKER_LENGTH, CALORIMETER_RADIUS = 600.0, 3000.0, 1290.0
MAX_TRACK_ETA, MIN_TRACK_PT = 2.5, 0.1
TURN_ON, TURN_ON_WIDTH = 0.88, 0.05  # GeV of candidate pT at half height, and the step's width
SOFT_LOSS, SOFT_LOSS_RANGE = 0.4, 1.2  # share lost at 1 GeV, and GeV over which it fades
LOOPER_PT = 0.73  # GeV; softer charged particles never reach the barrel calorimeter
EM_SHARE_OF_LONG_LIVED = 0.3  # of K0S and Lambda energy in the electromagnetic calorimeter
_K0S, _LAMBDA = 310, 3122


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """Reconstructed particles, sorted by event; impact parameters are 0 for neutral ones."""

    event: Ints
    kind: Ints
    charge: Floats
    px: Floats
    py: Floats
    pz: Floats
    energy: Floats
    d0: Floats
    d0_error: Floats
    dz: Floats
    dz_error: Floats

    def __len__(self) -> int:
        return len(self.event)

    def columns(self) -> dict[str, NDArray[Any]]:
        """The arrays by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def take(self, rows: NDArray[Any]) -> "Candidates":
        """The candidates ``rows`` (indices or a mask)."""
        return Candidates(**{name: column[rows] for name, column in self.columns().items()})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kinematics:
    pt: Floats
    eta: Floats
    phi: Floats
    mass: Floats
    radius: Floats  # of the production vertex, from the beam axis
    electron: Bools
    muon: Bools


def detect(particles: Particles, rng: np.random.Generator) -> Candidates:
    """What the detector makes of the particles."""
    kin = _kinematics(particles)
    found = _is_tracked(particles, kin, rng)
    pieces = [_tracks(particles, kin, np.flatnonzero(found), rng)]
    looper = (particles.charge != 0) & (kin.pt < LOOPER_PT) & (np.abs(kin.eta) < 1.5)
    rest = ~found & ~kin.muon & (kin.radius < CALORIMETER_RADIUS) & ~looper
    share = _electromagnetic_share(particles, kin)
    for kind, weight in ((PHOTON, share), (NEUTRAL_HADRON, 1 - share)):
        rows = np.flatnonzero(rest & (weight > 0))
        deposit = weight[rows] * particles.energy[rows]
        pieces.append(
            _towers(particles.event[rows], kin.eta[rows], kin.phi[rows], deposit, kind, rng)
        )
    names = [field.name for field in fields(Candidates)]
    joined = {name: np.concatenate([getattr(piece, name) for piece in pieces]) for name in names}
    passed = turn_on(np.hypot(joined["px"], joined["py"])) > rng.random(len(joined["event"]))
    rows = np.flatnonzero(passed)
    rows = rows[np.argsort(joined["event"][rows], kind="stable")]
    return Candidates(**joined).take(rows)


def turn_on(pt: Floats) -> Floats:
    """Chance that a candidate of this pT is kept: a logistic step near 1 GeV, then a slow rise.

    Chosen so that constituents below 1, 2 and 5 GeV are about as many as in published H -> bb jets.
    """
    step = 1 / (1 + np.exp(np.clip((TURN_ON - pt) / TURN_ON_WIDTH, -50, 50)))
    chance: Floats = step * (1 - SOFT_LOSS * np.exp(np.minimum(1 - pt, 0) / SOFT_LOSS_RANGE))
    return chance


def _kinematics(p: Particles) -> _Kinematics:
    pt = np.hypot(p.px, p.py)
    code = np.abs(p.code)
    mass2 = p.energy**2 - pt**2 - p.pz**2
    return _Kinematics(
        pt=pt,
        eta=np.arcsinh(p.pz / pt),
        phi=np.arctan2(p.py, p.px),
        mass=np.sqrt(np.maximum(mass2, 0)),
        radius=np.hypot(p.vx, p.vy),
        electron=code == 11,
        muon=code == 13,
    )


def _electromagnetic_share(p: Particles, kin: _Kinematics) -> Floats:
    code = np.abs(p.code)
    long_lived = np.where((code == _K0S) | (code == _LAMBDA), EM_SHARE_OF_LONG_LIVED, 0.0)
    share: Floats = np.where((code == 22) | kin.electron, 1.0, long_lived)
    return share


def _is_tracked(p: Particles, kin: _Kinematics, rng: np.random.Generator) -> Bools:
    inside = (kin.radius < TRACKER_RADIUS) & (np.abs(p.vz) < TRACKER_LENGTH)
    inside &= (np.abs(kin.eta) < MAX_TRACK_ETA) & (kin.pt > MIN_TRACK_PT) & (p.charge != 0)
    lucky = rng.random(len(p)) < track_efficiency(kin.pt, np.abs(kin.eta), kin.electron, kin.muon)
    tracked: Bools = inside & lucky
    return tracked


def track_efficiency(pt: Floats, abs_eta: Floats, electron: Bools, muon: Bools) -> Floats:
    """Chance that the tracker finds a charged particle (Delphes CMS card)."""
    forward = (abs_eta >= 1.5).astype(np.int64)
    step = (pt >= 1.0).astype(np.int64)
    hadrons = np.array([[0.70, 0.60], [0.95, 0.85]])[step, forward]
    muons = np.array([[0.75, 0.70], [0.99, 0.98]])[step, forward]
    electrons = np.array([[0.73, 0.50], [0.95, 0.83], [0.99, 0.90]])[step + (pt > 100), forward]
    chance: Floats = np.where(electron, electrons, np.where(muon, muons, hadrons))
    return chance


def momentum_resolution(pt: Floats, abs_eta: Floats, electron: Bools, muon: Bools) -> Floats:
    """sigma(pT) / pT = a (+) b pT for tracks (Delphes CMS card)."""
    k = np.digitize(abs_eta, [0.5, 1.5])
    constant = np.array([[0.06, 0.10, 0.25], [0.03, 0.05, 0.15], [0.01, 0.015, 0.025]])
    linear = np.array([[1.3e-3, 1.7e-3, 3.1e-3], [1.3e-3, 1.7e-3, 3.1e-3], [1e-4, 1.5e-4, 3.5e-4]])
    kind = np.where(electron, 1, np.where(muon, 2, 0))
    relative: Floats = np.hypot(constant[kind, k], linear[kind, k] * pt)
    return relative


def impact_resolution(pt: Floats, abs_eta: Floats) -> tuple[Floats, Floats]:
    """Resolutions of d0 and dz in mm, a (+) b / pT by pseudorapidity."""
    k = np.digitize(abs_eta, [0.9, 1.4])
    pt = np.maximum(pt, 0.15)
    d0 = np.hypot(np.array([0.0085, 0.0095, 0.0135])[k], np.array([0.080, 0.092, 0.150])[k] / pt)
    dz = np.hypot(np.array([0.031, 0.035, 0.080])[k], np.array([0.105, 0.19, 0.62])[k] / pt)
    return d0, dz


def impact_parameters(
    charge: Floats, pt: Floats, eta: Floats, phi: Floats, vertex: tuple[Floats, Floats, Floats]
) -> tuple[Floats, Floats]:
    """Signed d0 and dz in mm of helices that start at ``vertex`` with direction eta, phi.

    The circle of signed radius R = q pT / (0.3 B) has its centre at the vertex plus
    R (sin phi, -cos phi); d0 = sign(R) (|centre| - |R|), and dz follows the arc back to the point
    of closest approach to the beam axis.
    """
    radius = charge * pt / (0.299792458 * FIELD) * 1e3
    x = vertex[0] + radius * np.sin(phi)
    y = vertex[1] - radius * np.cos(phi)
    sign = np.sign(radius)
    d0 = sign * (np.hypot(x, y) - np.abs(radius))
    closest = np.arctan2(sign * x, -sign * y)
    turned = (phi - closest + np.pi) % (2 * np.pi) - np.pi
    return d0, vertex[2] + radius * turned * np.sinh(eta)


def _log_normal(mean: Floats, relative: Floats, rng: np.random.Generator) -> Floats:
    """Positive values with the given mean and relative standard deviation."""
    s2 = np.log1p(relative**2)
    values: Floats = mean * np.exp(rng.standard_normal(len(mean)) * np.sqrt(s2) - 0.5 * s2)
    return values


def _tracks(p: Particles, kin: _Kinematics, t: Ints, rng: np.random.Generator) -> Candidates:
    pt, eta, phi, charge = kin.pt[t], kin.eta[t], kin.phi[t], p.charge[t]
    electron, muon = kin.electron[t], kin.muon[t]
    measured = _log_normal(pt, momentum_resolution(pt, np.abs(eta), electron, muon), rng)
    d0, dz = impact_parameters(charge, pt, eta, phi, (p.vx[t], p.vy[t], p.vz[t]))
    d0_error, dz_error = impact_resolution(pt, np.abs(eta))
    return Candidates(
        event=p.event[t],
        kind=np.where(electron, ELECTRON, np.where(muon, MUON, CHARGED_HADRON)),
        charge=charge,
        px=measured * np.cos(phi),
        py=measured * np.sin(phi),
        pz=measured * np.sinh(eta),
        energy=np.hypot(measured * np.cosh(eta), kin.mass[t]),
        d0=d0 + d0_error * rng.standard_normal(len(t)),
        d0_error=d0_error,
        dz=dz + dz_error * rng.standard_normal(len(t)),
        dz_error=dz_error,
    )


def calorimeter_resolution(energy: Floats, eta: Floats, kind: int) -> Floats:
    """sigma(E) in GeV of one cell of the electromagnetic (PHOTON) or hadronic calorimeter."""
    if kind == NEUTRAL_HADRON:
        return np.sqrt((0.05 * energy) ** 2 + 1.5**2 * energy)
    distance = np.abs(eta)
    endcap = np.where(distance < 2.5, 2.16 + 5.6 * (distance - 2) ** 2, 5.0)
    shape = np.where(distance < 1.5, 1 + 0.64 * eta**2, endcap)
    return np.sqrt((0.008 * energy) ** 2 + 0.11**2 * energy + 0.4**2) * shape


def _towers(
    event: Ints, eta: Floats, phi: Floats, deposit: Floats, kind: int, rng: np.random.Generator
) -> Candidates:
    """One neutral candidate per hit cell, at a random place in it."""
    cell, threshold, significance = (0.0174, 0.5, 2.0) if kind == PHOTON else (0.087, 1.0, 1.0)
    eta_index = np.floor(eta / cell).astype(np.int64)
    phi_index = np.floor((phi + np.pi) / cell).astype(np.int64)
    key = (event * 4096 + eta_index + 2048) * 4096 + phi_index
    cells, which = np.unique(key, return_inverse=True)
    energy = np.bincount(which, deposit, len(cells)).astype(np.float64)
    eta_cell, phi_cell = (cells >> 12) % 4096 - 2048, cells % 4096
    sigma = calorimeter_resolution(energy, (eta_cell + 0.5) * cell, kind)
    measured = _log_normal(energy, sigma / energy, rng)
    keep = (measured > threshold) & (measured > significance * sigma)
    measured, n = measured[keep], int(keep.sum())
    place_eta, place_phi = rng.random((2, n))
    eta = (eta_cell[keep] + place_eta) * cell
    phi = (phi_cell[keep] + place_phi) * cell - np.pi
    pt, zero = measured / np.cosh(eta), np.zeros(n)
    return Candidates(
        event=cells[keep] >> 24,
        kind=np.full(n, kind),
        charge=zero,
        px=pt * np.cos(phi),
        py=pt * np.sin(phi),
        pz=pt * np.sinh(eta),
        energy=measured,
        d0=zero,
        d0_error=zero,
        dz=zero,
        dz_error=zero,
    )
