"""Kinematics of the particle gun: hard processes a b -> X X', drawn in NumPy blocks.

X and X' are back to back in the transverse plane with pT drawn from a falling exponential and
rapidities flat within 1.95, and four-vectors are exact. Decays X -> Y Y' are isotropic. Parton
densities and cross-sections are ignored: the gun fills the phase space that jets are wanted in.
Nothing here needs Pythia.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jetscale.jets.processes import BEAM_ENERGY, MASS_WIDTH, TOP, Process, W, Z

Floats = NDArray[np.float64]
Row = tuple[int | float, ...]

BLOCK = 512  # events drawn at once
MAX_RAPIDITY = 1.95
MAX_X = 0.95  # momentum fraction of an incoming parton
MAX_MASS, MIN_MASS, MIN_CASCADE_MASS = 500.0, 20.0, 40.0  # GeV, of X with a flat mass
BOOST = 0.45  # m / pT at most, so that 2 m / pT < 0.9 and the decay fits into one jet
UP_SHARE = 0.6  # of u ubar in q qbar -> Z Z and W W


@dataclass(frozen=True, slots=True, kw_only=True)
class HardEvent:
    """One hard process as Pythia's Les Houches interface wants it.

    ``rows`` are the arguments of ``addParticle``: id, status, mothers, colours, px, py, pz, e, m,
    lifetime, spin, scale.
    """

    rows: tuple[Row, ...]
    x1: float
    x2: float
    scale: float


def draw_events(process: Process, rng: np.random.Generator, n: int = BLOCK) -> list[HardEvent]:
    """At most n hard events; those that ask for more than the beams have are left out."""
    pt = draw_pt(process, rng, n)
    pairs = np.array(process.pairs)[rng.integers(len(process.pairs), size=n)]
    m1, m2 = _masses(process, pairs, pt, rng)
    y1, y2 = rng.uniform(-MAX_RAPIDITY, MAX_RAPIDITY, (2, n))
    phi = rng.uniform(0, 2 * np.pi, n)
    p1, p2 = _four_vector(m1, pt, y1, phi), _four_vector(m2, pt, y2, phi + np.pi)
    energy, pz = p1[:, 3] + p2[:, 3], p1[:, 2] + p2[:, 2]
    x1, x2 = (energy + pz) / (2 * BEAM_ENERGY), (energy - pz) / (2 * BEAM_ENERGY)
    scale = np.sqrt(np.hypot(m1, pt) * np.hypot(m2, pt))
    quarks, sides = rng.random(n) < UP_SHARE, rng.random(n) < 0.5
    decays = [_decays(process, p, m, rng) for p, m in ((p1, m1), (p2, m2))]
    events = []
    for i in np.flatnonzero((x1 < MAX_X) & (x2 < MAX_X)):
        first, second = int(pairs[i, 0]), int(pairs[i, 1])
        beams, colours = _incoming(first, x1[i], x2[i], 2 if quarks[i] else 1, bool(sides[i]))
        status = 2 if process.cascade else 1  # 2: decayed here, not by Pythia
        rows = [*beams]
        rows.append(_row(first, status, (1, 2), colours[0], p1[i], m1[i]))
        rows.append(_row(second, status, (1, 2), colours[1], p2[i], m2[i]))
        for mother, decay in zip((3, 4), decays, strict=True):
            rows += [_row(int(y[i]), 1, (mother, 0), (0, 0), p[i], m[i]) for y, p, m in decay]
        events.append(
            HardEvent(rows=tuple(rows), x1=float(x1[i]), x2=float(x2[i]), scale=float(scale[i]))
        )
    return events


def draw_pt(process: Process, rng: np.random.Generator, n: int) -> Floats:
    """(n,) transverse momenta in GeV of the process's truncated exponential."""
    span = process.pt.high - process.pt.low
    reach = -np.expm1(-span / process.pt.slope)
    pt: Floats = process.pt.low - process.pt.slope * np.log1p(-reach * rng.random(n))
    return pt


def breit_wigner(mass: float, width: float, rng: np.random.Generator, n: int) -> Floats:
    """(n,) masses of a Breit-Wigner, cut at 8 widths."""
    half_angle = np.arctan(16.0)
    return mass + 0.5 * width * np.tan(rng.uniform(-half_angle, half_angle, n))


def _masses(
    process: Process, pairs: NDArray[np.int64], pt: Floats, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    code = abs(process.pairs[0][0])
    if code in MASS_WIDTH:
        first, second = (breit_wigner(*MASS_WIDTH[code], rng, len(pt)) for _ in range(2))
        return first, second
    top = np.minimum(MAX_MASS, BOOST * pt)
    low = MIN_CASCADE_MASS if process.cascade else MIN_MASS
    mass = rng.uniform(low, top)
    return mass, mass  # equal, as X and its partner are one kind of particle


def _four_vector(mass: Floats, pt: Floats, y: Floats, phi: Floats) -> Floats:
    """(n, 4) px, py, pz, e."""
    mt = np.hypot(mass, pt)
    return np.stack([pt * np.cos(phi), pt * np.sin(phi), mt * np.sinh(y), mt * np.cosh(y)], axis=1)


def _decays(
    process: Process, p: Floats, m: Floats, rng: np.random.Generator
) -> list[tuple[NDArray[np.int64], Floats, Floats]]:
    """(code, momentum, mass) of Y and of Y' for each X, or nothing without a cascade."""
    if not process.cascade:
        return []
    n = len(m)
    codes = np.array(process.cascade)[rng.integers(len(process.cascade), size=n)]
    mass = rng.uniform(np.minimum(12.0, 0.3 * m), 0.48 * m)
    first, second = two_body(p, m, mass, rng)
    return [(codes[:, 0], first, mass), (codes[:, 1], second, mass)]


def two_body(
    p: Floats, m: Floats, daughter: Floats, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Isotropic decay of (n, 4) momenta p of mass m into two daughters of equal mass."""
    n, half = len(m), 0.5 * m
    momentum = np.sqrt(half**2 - daughter**2)
    cosine, phi = rng.uniform(-1, 1, n), rng.uniform(0, 2 * np.pi, n)
    sine = np.sqrt(1 - cosine**2)
    direction = np.stack([sine * np.cos(phi), sine * np.sin(phi), cosine], axis=1)
    kick = momentum[:, None] * direction
    return _boost(kick, half, p, m), _boost(-kick, half, p, m)


def _boost(kick: Floats, energy: Floats, p: Floats, m: Floats) -> Floats:
    """Momentum ``kick`` and energy in the rest frame of p, seen where X has momentum p."""
    along = (kick * p[:, :3]).sum(axis=1)
    factor = along / (p[:, 3] + m) / m + energy / m
    space = kick + factor[:, None] * p[:, :3]
    return np.concatenate([space, ((p[:, 3] * energy + along) / m)[:, None]], axis=1)


def _incoming(
    first: int, x1: float, x2: float, quark: int, swapped: bool
) -> tuple[list[Row], tuple[tuple[int, int], tuple[int, int]]]:
    """The two incoming partons, and the colours of X and X': q qbar for Z and W, else gluons."""
    colours = ((0, 0), (0, 0))
    if abs(first) in (Z, W):
        partons = [(quark, (101, 0)), (-quark, (0, 101))]
        if swapped:
            partons.reverse()
    elif abs(first) == TOP:
        partons, colours = [(21, (101, 102)), (21, (103, 101))], ((103, 0), (0, 102))
    else:
        partons = [(21, (101, 102)), (21, (102, 101))]
    rows = []
    for (code, colour), x, sign in zip(partons, (x1, x2), (1.0, -1.0), strict=True):
        energy = x * BEAM_ENERGY
        momentum = np.array([0.0, 0.0, sign * energy, energy])
        rows.append(_row(code, -1, (0, 0), colour, momentum, 0.0))
    return rows, colours


def _row(
    code: int,
    status: int,
    mothers: tuple[int, int],
    colours: tuple[int, int],
    momentum: Floats,
    mass: float,
) -> Row:
    return (code, status, *mothers, *colours, *momentum.tolist(), float(mass), 0.0, 9.0, -1.0)
