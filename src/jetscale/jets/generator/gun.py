"""Kinematics of the particle gun: hard processes a b -> X X', drawn in NumPy blocks.

X and X' are back to back in the transverse plane; rapidities fall towards the edge as those of the
published jets do, and four-vectors are exact. Parton densities and cross-sections are ignored: the
gun fills the phase space that jets are wanted in. Pairs of W or Z are therefore unpolarised, like
the scalars. The X of JetClass-II decay here, other particles in Pythia. Nothing here needs Pythia.
"""

from dataclasses import dataclass

import numpy as np

from jetscale.jets.arrays import Floats
from jetscale.jets.generator.cascade import FINAL, Fired, Row, decay_pairs, draw_modes
from jetscale.jets.generator.conditions import JETCLASS_WINDOW, Window
from jetscale.jets.generator.processes import BEAM_ENERGY, HIGGS, MASS_WIDTH, TOP, Process, W, Z

BLOCK = 512  # events drawn at once
BEYOND, CENTRAL = 0.2, 2.4  # rapidities y follow (1 - (y / Y)^2)^1.4 up to Y = max_eta + 0.2
MAX_X = 0.95  # momentum fraction of an incoming parton
MIN_CASCADE_MASS = 40.0  # GeV, of X with Y daughters
BOOST = 0.45  # m / pT at most, so that 2 m / pT < 0.9 and the decay fits into one jet
UP_SHARE = 0.6  # of u ubar in q qbar -> Z Z and W W


@dataclass(frozen=True, slots=True, kw_only=True)
class HardEvent:
    """One hard process as Pythia's Les Houches interface wants it."""

    rows: tuple[Row, ...]  # those of `Fired.rows`
    x1: float  # momentum fractions of the incoming partons
    x2: float
    scale: float  # GeV


def draw_events(
    process: Process, rng: np.random.Generator, n: int = BLOCK, window: Window = JETCLASS_WINDOW
) -> list[HardEvent]:
    """At most n hard events; those that ask for more than the beams have are left out."""
    pt = draw_pt(process, rng, n)
    mass = draw_masses(process, pt, window, rng)
    momentum = _back_to_back(pt, mass, window, rng)
    total = momentum.sum(axis=0)
    # the partons carry e + pz and e - pz of the pair: they are massless and along the beams
    x1, x2 = ((total[:, 3] + sign * total[:, 2]) / (2 * BEAM_ENERGY) for sign in (1, -1))
    scale = np.sqrt(np.hypot(mass, pt).prod(axis=0))  # geometric mean of the transverse masses
    code = abs(process.pair[0]) if process.pair else 0
    beams = _incoming(code, x1, x2, rng)
    if process.modes:
        drawn = draw_modes(process.modes, rng, n)
        outgoing = decay_pairs(process.modes, drawn, momentum, mass, rng)
    else:  # Pythia decays them
        colours = [(103, 0), (0, 102)] if code == TOP else [(0, 0), (0, 0)]
        fields = zip(momentum, mass, [np.tile(colour, (n, 1)) for colour in colours], strict=True)
        outgoing = [
            Fired(np.full(n, own), p, m, FINAL, (1, 2), colour)
            for own, (p, m, colour) in zip(process.pair or (), fields, strict=True)
        ]
    events = zip(*(fired.rows() for fired in (*beams, *outgoing)), strict=True)
    return [
        HardEvent(rows=rows, x1=float(x1[i]), x2=float(x2[i]), scale=float(scale[i]))
        for i, rows in enumerate(events)
        if x1[i] < MAX_X and x2[i] < MAX_X
    ]


def draw_pt(process: Process, rng: np.random.Generator, n: int) -> Floats:
    """(n,) transverse momenta in GeV: a truncated exponential, or flat in the logarithm."""
    low, high, slope = process.pt.low, process.pt.high, process.pt.slope
    share = rng.random(n)  # both by the inverse of the cumulative distribution
    if slope is None:
        return low * (high / low) ** share
    reach = -np.expm1(-(high - low) / slope)
    return np.asarray(low - slope * np.log1p(-reach * share))


def breit_wigner(mass: float, width: float, rng: np.random.Generator, n: int) -> Floats:
    """(n,) masses in GeV of a Breit-Wigner, cut at 8 widths: a Cauchy law by its inverse."""
    half_angle = np.arctan(16.0)
    return mass + 0.5 * width * np.tan(rng.uniform(-half_angle, half_angle, n))


def draw_masses(process: Process, pt: Floats, window: Window, rng: np.random.Generator) -> Floats:
    """(2, n) masses of X and X' in GeV: Breit-Wigner, or uniform over the window for new X."""
    if process.pair:
        line = MASS_WIDTH[abs(process.pair[0])]
        return np.stack([breit_wigner(*line, rng, len(pt)) for _ in range(2)])
    low, high = window.masses
    if len(process.modes[0].leaves) == 4:
        low = max(low, MIN_CASCADE_MASS)
    mass = rng.uniform(low, np.minimum(high, BOOST * pt))
    return np.stack([mass, mass])  # equal, as X and its partner are one kind of particle


def _back_to_back(pt: Floats, mass: Floats, window: Window, rng: np.random.Generator) -> Floats:
    """(2, n, 4) momenta px, py, pz, e; rapidities are drawn again where the beams lack energy."""
    limit, mt = window.max_eta + BEYOND, np.hypot(mass, pt)
    # y / limit = 2 b - 1 with b from Beta(c, c) has the density (1 - (y / limit)^2)^(c - 1)
    y = limit * (2 * rng.beta(CENTRAL, CENTRAL, mt.shape) - 1)
    for _ in range(20):  # what is still beyond the beams then, `draw_events` leaves out
        ends = [(mt * np.exp(sign * y)).sum(axis=0) for sign in (1, -1)]
        bad = np.flatnonzero(np.maximum(*ends) >= MAX_X * 2 * BEAM_ENERGY)
        y[:, bad] = limit * (2 * rng.beta(CENTRAL, CENTRAL, (2, len(bad))) - 1)
    phi = rng.uniform(0, 2 * np.pi, len(pt)) + np.array([[0.0], [np.pi]])
    return np.stack([pt * np.cos(phi), pt * np.sin(phi), mt * np.sinh(y), mt * np.cosh(y)], axis=2)


def _incoming(code: int, x1: Floats, x2: Floats, rng: np.random.Generator) -> list[Fired]:
    """The two incoming partons: q qbar for H, Z and W, else gluons.

    The published Higgs jets have the little radiation of a quark-antiquark initial state.
    """
    n = len(x1)
    # gluons share both colour lines; beside tops they share one and pass on one each
    colour = np.array([[101, 102], [103 if code == TOP else 102, 101]])
    partons = np.full((2, n), 21)
    colours = np.repeat(colour[:, None], n, axis=1)
    if code in (HIGGS, Z, W):
        up, swapped = rng.random(n) < UP_SHARE, rng.random(n) < 0.5
        quark = np.where(up, 2, 1) * np.where(swapped, -1, 1)
        partons = np.stack([quark, -quark])
        colours = np.stack([np.where(partons > 0, 101, 0), np.where(partons < 0, 101, 0)], axis=2)
    beams = []
    for side, (x, sign) in enumerate(((x1, 1.0), (x2, -1.0))):
        energy, zero = x * BEAM_ENERGY, np.zeros(n)
        momentum = np.stack([zero, zero, sign * energy, energy], axis=1)
        beams.append(Fired(partons[side], momentum, zero, -1, (0, 0), colours[side]))
    return beams
