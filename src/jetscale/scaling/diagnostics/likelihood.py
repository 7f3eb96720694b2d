"""Profile likelihood of alpha and beta: which exponents the runs exclude.

The objective S is minimised with the exponent held. Twice its increase over s^2 is compared with
the 95% quantile of F(1, cells - free parameters); for both exponents, the map, with 2 F(2, ...).

    s^2 = v / h,  v = mean over cells of (sum of clipped residuals)^2 / n_runs
    h = P(|r| < delta) for normal r

makes the increase of an M-estimator's objective chi-squared to first order, and lets seeds of a
cell have an error in common (the tau test, Hampel et al., Robust Statistics, section 7.2). For
least squares of one run per cell it is the classical profile interval (Bates & Watts, Nonlinear
Regression Analysis, section 6.1). It takes cells as independent and equally noisy.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy import special, stats

from jetscale.scaling.diagnostics.batch import Batch
from jetscale.scaling.engine.laws import EXPONENT_BOUNDS, PARAMETERS, Array
from jetscale.scaling.engine.profile import unknowns
from jetscale.scaling.estimate import CONFIDENCE

EXPONENTS = {name: PARAMETERS.index(name) for name in ("alpha", "beta")}
_HEIGHTS = len(PARAMETERS) - len(EXPONENTS)
_COARSE, _FINE, _MAP = 11, 41, 21
_MANY, _FEWER = 5000, (15, 9)  # runs from which profile and map have fewer points
_CLEARLY = 3.0  # a value is clearly excluded where its increase is this many times the threshold
_PRECISE = 1e-8  # relative precision of the objective: the increase needs no more
_EXACT = 1e-24  # squared log residuals below this are rounding
_MAD = 1.4826  # standard deviation of a normal over its median absolute deviation


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The profile of one exponent; an end that is open lies at the bound of the parameter."""

    parameter: str
    values: tuple[float, ...]
    increase: tuple[float, ...]  # 2 (S - S_min) / s^2 at each value
    threshold: float  # increase at the ends of the 95% interval
    value: float  # the optimum
    low: float
    high: float
    open_low: bool  # True where the runs exclude nothing down to the lower bound
    open_high: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ExponentMap:
    """Increase of the objective over (alpha, beta), all other parameters at their best."""

    alpha: tuple[float, ...]
    beta: tuple[float, ...]
    increase: tuple[tuple[float, ...], ...]  # 2 (S - S_min) / s^2, one row per alpha
    levels: tuple[float, float]  # increase at the edge of the 68% and of the 95% region


def likelihoods(batch: Batch) -> dict[str, tuple[dict[str, Profile], ExponentMap]]:
    """Profiles of alpha and beta, and their map, of every mixture; shared ones are made once."""
    made: dict[tuple[int, ...], tuple[dict[str, Profile], ExponentMap]] = {}
    found = {}
    for group, name in enumerate(batch.names):
        places = tuple(int(batch.family.slots[group, column]) for column in EXPONENTS.values())
        if places not in made:
            own = {key: _profile(batch, group, key) for key in EXPONENTS}
            made[places] = own, _map(batch, group, own)
        found[name] = made[places]
    return found


def _map(batch: Batch, group: int, found: dict[str, Profile]) -> ExponentMap:
    """Both exponents held on a coarse grid, even in log, over the range of their profiles."""
    count = _points(batch)[1]
    axes = [np.geomspace(p.values[0], p.values[-1], count) for p in found.values()]
    alpha, beta = (axis.ravel() for axis in np.meshgrid(*axes, indexing="ij"))
    held = {EXPONENTS["alpha"]: alpha, EXPONENTS["beta"]: beta}
    increase = _increase(batch, _descend(batch, group, _starts(batch, group, held), tuple(held))[1])
    levels = [2 * float(stats.f.ppf(level, 2, batch.freedom)) for level in (0.68, CONFIDENCE)]
    return ExponentMap(
        alpha=tuple(axes[0].tolist()),
        beta=tuple(axes[1].tolist()),
        increase=tuple(tuple(row) for row in increase.reshape(count, count).tolist()),
        levels=(levels[0], levels[1]),
    )


def _points(batch: Batch) -> tuple[int, int]:
    """Points of a profile and of an axis of the map."""
    return _FEWER if len(batch.cells) > _MANY else (_FINE, _MAP)


def unit(batch: Batch) -> float:
    """s^2: what twice an increase of the objective is compared with."""
    # a robust spread says which share of normal residuals lies in the quadratic zone
    delta, off = batch.objective.widths[-1], batch.residuals()
    freedom = max(1, len(off) - int((~batch.family.design.fixed).sum()))
    spread = _MAD * float(np.median(np.abs(off))) * math.sqrt(len(off) / freedom)
    pull = np.bincount(batch.cells, np.clip(off, -delta, delta))
    v = float((pull**2 / np.bincount(batch.cells)).sum()) / batch.freedom
    h = float(special.erf(delta / (math.sqrt(2) * spread))) if spread > 0 else 1.0
    return max(v / h, _EXACT)


def _increase(batch: Batch, values: Array) -> Array:
    return np.maximum(2 * (values - batch.value) / unit(batch), 0.0)


def _profile(batch: Batch, group: int, key: str) -> Profile:
    column = EXPONENTS[key]
    threshold = float(stats.f.ppf(CONFIDENCE, 1, batch.freedom))
    best = float(batch.q[0, batch.family.slots[group, column]])
    # a coarse look on both sides of the optimum, distances halving towards it, finds the range
    # that matters; a fine grid over it follows
    lowest, highest = EXPONENT_BOUNDS
    shares = 2.0 ** -np.arange(_COARSE)
    coarse = np.unique([best - (best - lowest) * shares, best + (highest - best) * shares])
    excluded = _increase(batch, _along(batch, group, column, coarse)) > _CLEARLY * threshold
    below, above = coarse[(coarse < best) & excluded], coarse[(coarse > best) & excluded]
    ends = below.max(initial=lowest), above.min(initial=highest)
    values = np.unique(np.append(np.linspace(*ends, _points(batch)[0]), best))
    rise = _increase(batch, _along(batch, group, column, values))
    middle = int(np.searchsorted(values, best))
    rise[middle] = 0.0  # by definition: where runs lie on a law, rounding may exceed any threshold
    low, open_low = _crossing(values[middle::-1], rise[middle::-1], threshold)
    high, open_high = _crossing(values[middle:], rise[middle:], threshold)
    return Profile(
        parameter=key,
        values=tuple(values.tolist()),
        increase=tuple(rise.tolist()),
        threshold=threshold,
        value=best,
        low=low,
        high=high,
        open_low=open_low,
        open_high=open_high,
    )


def _crossing(values: Array, rise: Array, threshold: float) -> tuple[float, bool]:
    """Where the rise first exceeds the threshold, walking away from the optimum; else open."""
    over = np.flatnonzero(rise > threshold)
    if not len(over):
        return float(values[-1]), True
    # the root of the rise is nearly linear in the exponent
    roots = np.sqrt(rise[over[0] - 1 : over[0] + 1])
    share = (math.sqrt(threshold) - roots[0]) / (roots[1] - roots[0])
    return float(values[over[0] - 1] + share * (values[over[0]] - values[over[0] - 1])), False


def _along(batch: Batch, group: int, column: int, values: Array) -> Array:
    """Lowest objective (V,) with one exponent held at sorted values (V,)."""
    place = batch.family.slots[group, column]
    q, lowest = _descend(batch, group, _starts(batch, group, {column: values}), (column,))
    for step in (1, -1):  # again from where both neighbours ended: theirs may be a better valley
        start = np.roll(q, step, axis=0)
        start[:, place] = values
        again, value = _descend(batch, group, start, (column,))
        better = value < lowest
        q, lowest = np.where(better[:, None], again, q), np.where(better, value, lowest)
    return lowest


def _descend(batch: Batch, group: int, q: Array, columns: tuple[int, ...]) -> tuple[Array, Array]:
    """Unknowns (R, K) and objectives (R,) reached with some unknowns of a mixture held."""
    held = tuple(int(batch.family.slots[group, column]) for column in columns)
    weights = np.ones((len(q), len(batch.family.runs.x)))
    found = batch.family.descend(q, weights, batch.objective, held=held, tolerance=_PRECISE)
    return found.q, found.objective


def _starts(batch: Batch, group: int, held: dict[int, Array]) -> Array:
    """The optimum with some unknowns replaced, and the heights of the terms solved again."""
    family = batch.family
    q = np.repeat(batch.q, len(next(iter(held.values()))), axis=0)
    for column, values in held.items():
        q[:, family.slots[group, column]] = values
    if family.pooled:
        return q
    moved = {int(family.slots[group, column]) for column in held}
    for other, slots in enumerate(family.slots):
        if not moved & set(slots.tolist()):
            continue
        # least squares for the linear unknowns of the mixture at its nonlinear ones
        rows, floor = family.group == other, q[:, slots[0]] if "E" in family.shared else None
        weights, v = np.ones((len(q), int(rows.sum()))), q[:, slots[_HEIGHTS:]]
        runs = family.runs.select(rows)
        q[:, slots] = unknowns(family.law, runs, weights, v, floor=floor)
    return q
