"""Decays of the X of JetClass-II, for a whole block of events at once.

X decays to two leaves, or to Y Y' and these to two leaves each. All decays are isotropic in the
rest frame of what decays, and Y and Y' have independent masses, uniform over what X allows. The
leaves carry the masses of Pythia's tables and, where they are quarks or gluons, a colour line per
pair.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jetscale.jets.generator.decays import Mode
from jetscale.jets.generator.processes import CHARGED_X, CHARGED_Y, NEUTRAL_X, NEUTRAL_Y

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MIN_Y_MASS = 12.0  # GeV; above the b b threshold
MAX_Y_SHARE = 0.96  # of the mass of X in the masses of Y and Y'
FINAL, DECAYED = 1, 2  # status: left to Pythia, or decayed here
_MASS = {1: 0.33, 2: 0.33, 3: 0.5, 4: 1.5, 5: 4.8, 11: 0.000511, 13: 0.10566, 15: 1.77682}
_LEAF_MASS = np.array([_MASS.get(code, 0.0) for code in range(26)])  # GeV, as in Pythia's tables
_FIRST_LINE = 500  # colour lines below belong to the incoming partons
_GLUON = 21


@dataclass(frozen=True, slots=True, kw_only=True)
class Fired:
    """One outgoing particle of each of n events.

    ``mothers`` are rows of the event, counted from 1; ``colour`` is (n, 2), colour and anticolour.
    """

    code: Ints
    momentum: Floats
    mass: Floats
    status: int
    mothers: tuple[int, int]
    colour: Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class Resonances:
    """X and X' of n events: (2, n, 4) momenta, (2, n) masses and numbers of decay modes."""

    momentum: Floats
    mass: Floats
    mode: Ints


def draw_modes(modes: tuple[Mode, ...], rng: np.random.Generator, n: int) -> Ints:
    """(2, n) decay modes of X and X'; a charged X comes with a charged X'."""
    weight = np.array([mode.weight for mode in modes])
    charged_x = np.array([_code_of_x(mode) == CHARGED_X for mode in modes])
    first = rng.choice(len(weight), n, p=weight / weight.sum())
    second = first.copy()
    for kind in (False, True):
        rows = np.flatnonzero(charged_x[first] == kind)
        alike = np.where(charged_x == kind, weight, 0.0)
        if len(rows):
            second[rows] = rng.choice(len(weight), len(rows), p=alike / alike.sum())
    return np.stack([first, second])


def decayed(
    modes: tuple[Mode, ...], resonances: Resonances, rng: np.random.Generator
) -> list[Fired]:
    """X and X', then their Y, then the leaves, in the order of their rows in an event (from 3)."""
    leaves = np.array([mode.leaves for mode in modes])
    codes = np.array([_code_of_x(mode) for mode in modes])
    charged_y = np.array([mode.charged for mode in modes])
    fired = []
    for side, sign in ((0, 1), (1, -1)):
        code = codes[resonances.mode[side]]
        code = np.where(code == CHARGED_X, sign * code, code)
        p, m = resonances.momentum[side], resonances.mass[side]
        fired.append(_particle(code, p, m, DECAYED, mothers=(1, 2)))
    last: list[Fired] = []
    for side in (0, 1):
        mothers = [(fired[side], side + 3, leaves[resonances.mode[side]])]
        if leaves.shape[1] == 4:
            pair = _y_pair(fired[side], side + 3, charged_y[resonances.mode[side]], rng)
            fired += pair
            four = mothers[0][2]
            mothers = [(pair[0], 5 + 2 * side, four[:, :2]), (pair[1], 6 + 2 * side, four[:, 2:])]
        for mother, row, pair_codes in mothers:
            if leaves.shape[1] == 2 and side == 1:
                charged = np.abs(mother.code) == CHARGED_X
                pair_codes = np.where(charged[:, None], -pair_codes, pair_codes)
            last += _leaf_pair(mother, row, pair_codes, _FIRST_LINE + 2 * len(last), rng)
    return fired + last


def two_body(
    p: Floats, m: Floats, daughters: tuple[Floats, Floats], rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Isotropic decay of (n, 4) momenta p of mass m into daughters of two masses."""
    n, (m1, m2) = len(m), daughters
    e1 = (m**2 + m1**2 - m2**2) / (2 * m)
    momentum = np.sqrt(np.maximum(e1**2 - m1**2, 0.0))
    cosine, phi = rng.uniform(-1, 1, n), rng.uniform(0, 2 * np.pi, n)
    sine = np.sqrt(1 - cosine**2)
    direction = np.stack([sine * np.cos(phi), sine * np.sin(phi), cosine], axis=1)
    kick = momentum[:, None] * direction
    return _boost(kick, e1, p, m), _boost(-kick, m - e1, p, m)


def y_masses(m: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Masses of Y and Y', uniform over the triangle that the mass of X leaves them."""
    room = MAX_Y_SHARE * m - 2 * MIN_Y_MASS
    first, second = room * rng.random((2, len(m)))
    beyond = first + second > room
    first, second = (np.where(beyond, room - share, share) for share in (first, second))
    return MIN_Y_MASS + first, MIN_Y_MASS + second


def _code_of_x(mode: Mode) -> int:
    return CHARGED_X if mode.charged and len(mode.leaves) == 2 else NEUTRAL_X


def _particle(
    code: Ints, momentum: Floats, mass: Floats, status: int, mothers: tuple[int, int]
) -> Fired:
    colour = np.zeros((len(code), 2), dtype=np.int64)
    return Fired(
        code=code, momentum=momentum, mass=mass, status=status, mothers=mothers, colour=colour
    )


def _y_pair(
    x: Fired, row: int, charged: NDArray[np.bool_], rng: np.random.Generator
) -> list[Fired]:
    masses = y_masses(x.mass, rng)
    momenta = two_body(x.momentum, x.mass, masses, rng)
    return [
        _particle(np.where(charged, sign * CHARGED_Y, NEUTRAL_Y), p, m, DECAYED, mothers=(row, 0))
        for sign, p, m in zip((1, -1), momenta, masses, strict=True)
    ]


def _leaf_pair(
    mother: Fired, row: int, codes: Ints, line: int, rng: np.random.Generator
) -> list[Fired]:
    masses = tuple(_LEAF_MASS[np.abs(codes[:, i])] for i in (0, 1))
    momenta = two_body(mother.momentum, mother.mass, (masses[0], masses[1]), rng)
    pair = [_particle(codes[:, i], momenta[i], masses[i], FINAL, mothers=(row, 0)) for i in (0, 1)]
    for i, particle in enumerate(pair):
        gluon = particle.code == _GLUON
        quark = (np.abs(particle.code) <= 6) & (particle.code > 0)
        antiquark = (particle.code < 0) & (particle.code >= -6)
        # a quark pair shares one line, a gluon pair two, crossed
        particle.colour[:, 0] = np.where(quark, line, np.where(gluon, line + i, 0))
        particle.colour[:, 1] = np.where(antiquark, line, np.where(gluon, line + 1 - i, 0))
    return pair


def _boost(kick: Floats, energy: Floats, p: Floats, m: Floats) -> Floats:
    """Momentum ``kick`` and energy in the rest frame of p, seen where X has momentum p."""
    along = (kick * p[:, :3]).sum(axis=1)
    factor = along / (p[:, 3] + m) / m + energy / m
    space = kick + factor[:, None] * p[:, :3]
    return np.concatenate([space, ((p[:, 3] * energy + along) / m)[:, None]], axis=1)
