"""Decays of the X of JetClass-II, for a whole block of events at once.

X decays to two leaves, or to Y Y' and these to two leaves each. All decays are isotropic in the
rest frame of what decays.
"""

from dataclasses import dataclass

import numpy as np

from jetscale.jets.arrays import Floats, Ints
from jetscale.jets.generator.decays import Mode
from jetscale.jets.generator.processes import CHARGED_X, CHARGED_Y, NEUTRAL_X, NEUTRAL_Y

Row = tuple[int | float, ...]

MIN_Y_MASS = 12.0  # GeV; above the b b threshold
MAX_Y_SHARE = 0.96  # of the mass of X in the masses of Y and Y'
FINAL, DECAYED = 1, 2  # status: left to Pythia, or decayed here
_MASS = {1: 0.33, 2: 0.33, 3: 0.5, 4: 1.5, 5: 4.8, 11: 0.000511, 13: 0.10566, 15: 1.77682}
_LEAF_MASS = np.array([_MASS.get(code, 0.0) for code in range(26)])  # GeV, as in Pythia's tables
_FIRST_LINE = 500  # colour lines below belong to the incoming partons
_GLUON = 21


@dataclass(frozen=True, slots=True)
class Fired:
    """One particle of each of n events."""

    code: Ints
    momentum: Floats
    mass: Floats
    status: int
    mothers: tuple[int, int]  # rows of the event, counted from 1
    colour: Ints  # (n, 2) colour and anticolour

    def rows(self) -> list[Row]:
        """Per event the arguments of ``addParticle`` in Pythia's Les Houches interface.

        id, status, mothers, colours, px, py, pz, e, m, lifetime, spin (9: unknown), scale.
        """
        columns = (c.tolist() for c in (self.code, self.colour, self.momentum, self.mass))
        return [
            (code, self.status, *self.mothers, *colour, *p, mass, 0.0, 9.0, -1.0)
            for code, colour, p, mass in zip(*columns, strict=True)
        ]


def draw_modes(modes: tuple[Mode, ...], rng: np.random.Generator, n: int) -> Ints:
    """(2, n) decay modes of X and X'; a charged X comes with a charged X'."""
    weight = np.array([mode.weight for mode in modes])
    codes = np.array([_code_of_x(mode) for mode in modes])
    first = rng.choice(len(weight), n, p=weight / weight.sum())
    second = first.copy()
    for code in (NEUTRAL_X, CHARGED_X):
        rows = np.flatnonzero(codes[first] == code)
        alike = np.where(codes == code, weight, 0.0)
        if len(rows):
            second[rows] = rng.choice(len(weight), len(rows), p=alike / alike.sum())
    return np.stack([first, second])


def decay_pairs(
    modes: tuple[Mode, ...], mode: Ints, momentum: Floats, mass: Floats, rng: np.random.Generator
) -> list[Fired]:
    """X and X', then their Y, then the leaves, in the order of their rows in an event (from 3).

    ``mode`` (2, n) numbers the decays of X and X'; their momenta are (2, n, 4), masses (2, n).
    """
    leaves = np.array([mode.leaves for mode in modes])
    x_code = np.array([_code_of_x(mode) for mode in modes])
    charged_y = np.array([mode.charged for mode in modes])
    no_colour = np.zeros((mass.shape[1], 2), dtype=np.int64)
    fired: list[Fired] = []
    for side, sign in ((0, 1), (1, -1)):
        code = x_code[mode[side]]
        code = np.where(code == CHARGED_X, sign * code, code)
        fired.append(Fired(code, momentum[side], mass[side], DECAYED, (1, 2), no_colour))
    last: list[Fired] = []  # leaves follow all that decays here
    for side, x in enumerate(fired[:2]):
        row, x_leaves = side + 3, leaves[mode[side]]
        mothers = [(x, row, x_leaves)]
        if leaves.shape[1] == 4:
            mothers, masses = [], y_masses(x.mass, rng)
            momenta = two_body(x.momentum, x.mass, masses, rng)
            for i, sign in enumerate((1, -1)):
                code = np.where(charged_y[mode[side]], sign * CHARGED_Y, NEUTRAL_Y)
                fired.append(Fired(code, momenta[i], masses[i], DECAYED, (row, 0), no_colour))
                mothers.append((fired[-1], 5 + 2 * side + i, x_leaves[:, 2 * i : 2 * i + 2]))
        elif side == 1:  # a charged X' is the antiparticle of X, and so are its leaves
            charged = np.abs(x.code) == CHARGED_X
            mothers = [(x, row, np.where(charged[:, None], -x_leaves, x_leaves))]
        for mother, number, codes in mothers:
            last += _leaf_pair(mother, number, codes, _FIRST_LINE + 2 * len(last), rng)
    return fired + last


def two_body(
    p: Floats, m: Floats, daughters: tuple[Floats, Floats], rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """(n, 4) momenta px, py, pz, e of both daughters of an isotropic decay.

    ``p`` are (n, 4) momenta of what decays, ``m`` its masses, all in GeV. Energy and momentum in
    the rest frame: PDG review Kinematics, section "Two-body decays".
    """
    n, (m1, m2) = len(m), daughters
    e1 = (m**2 + m1**2 - m2**2) / (2 * m)
    momentum = np.sqrt(np.maximum(e1**2 - m1**2, 0.0))  # rounding can fall below 0 at threshold
    cosine, phi = rng.uniform(-1, 1, n), rng.uniform(0, 2 * np.pi, n)
    sine = np.sqrt(1 - cosine**2)
    direction = np.stack([sine * np.cos(phi), sine * np.sin(phi), cosine], axis=1)
    kick = momentum[:, None] * direction
    return _boost(kick, e1, p, m), _boost(-kick, m - e1, p, m)


def y_masses(m: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Masses of Y and Y', uniform over the triangle that the mass of X leaves them."""
    room = MAX_Y_SHARE * m - 2 * MIN_Y_MASS
    first, second = room * rng.random((2, len(m)))
    # a point of the square beyond the diagonal is folded back: uniform without drawing again
    beyond = first + second > room
    first, second = (np.where(beyond, room - share, share) for share in (first, second))
    return MIN_Y_MASS + first, MIN_Y_MASS + second


def _code_of_x(mode: Mode) -> int:
    return CHARGED_X if mode.charged and len(mode.leaves) == 2 else NEUTRAL_X


def _leaf_pair(
    mother: Fired, row: int, codes: Ints, line: int, rng: np.random.Generator
) -> list[Fired]:
    """The two leaves of a mother at ``row``; colour lines are ``line`` and the next."""
    masses = _LEAF_MASS[np.abs(codes.T)]
    momenta = two_body(mother.momentum, mother.mass, (masses[0], masses[1]), rng)
    pair = []
    for i, code in enumerate(codes.T):
        quark, antiquark = (code > 0) & (code <= 6), (code < 0) & (code >= -6)
        # a quark pair shares one line, a gluon pair two, crossed
        colour = np.where(quark, line, np.where(code == _GLUON, line + i, 0))
        anticolour = np.where(antiquark, line, np.where(code == _GLUON, line + 1 - i, 0))
        colours = np.stack([colour, anticolour], axis=1)
        pair.append(Fired(code, momenta[i], masses[i], FINAL, (row, 0), colours))
    return pair


def _boost(kick: Floats, energy: Floats, p: Floats, m: Floats) -> Floats:
    """(n, 4) momentum in the frame in which the mother has p, of ``kick`` and energy in its own."""
    # with beta gamma = p / m and gamma = E / m a mother at rest is no special case
    along = (kick * p[:, :3]).sum(axis=1)
    factor = along / (p[:, 3] + m) / m + energy / m
    space = kick + factor[:, None] * p[:, :3]
    return np.concatenate([space, ((p[:, 3] * energy + along) / m)[:, None]], axis=1)
