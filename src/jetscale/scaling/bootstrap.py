"""How sure a fit is, and whether the runs determine it at all.

The unit of resampling is the cell, a point (params, examples): its seeds share data and stay
together. A replicate draws as many cells as there are, with replacement, and refits the law from
its own grid of starts. The draw depends on the number of cells and the seed alone, so two mixtures
run on the same cells get the same draws: their replicates are paired.

Cells are drawn as if independent. Those of one model size that start from the same pretrained
trunk and train on nested subsets are not, and all cells share one test set: the intervals do not
cover what such cells have in common.

An interval alone can hide that a parameter rests on its bound or could be anything, so each
estimate also carries the reason in words where it is not identified.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from jetscale.scaling import laws
from jetscale.scaling.cost import CostModel
from jetscale.scaling.estimate import Estimate, percentile_interval
from jetscale.scaling.laws import PARAMETERS, Array
from jetscale.scaling.profile import Centred
from jetscale.scaling.solver import solve

METHOD = (
    "bootstrap over cells with their seeds kept together (cells that share a pretrained trunk or "
    "training jets count as independent), expanded percentiles, 95%"
)
_BOUND_SHARE = 0.10
"""A parameter at its bound in more than this share of the replicates is not identified."""
_SPAN_SHARE = 0.80
"""Nor is one whose interval covers more than this share of what is allowed."""


@dataclass(frozen=True, slots=True, eq=False)
class Replicates:
    """Refits to resampled cells."""

    theta: Array
    """(R, 5) parameters."""
    low: NDArray[np.bool_]
    """(R, 5) at the lower bound."""
    high: NDArray[np.bool_]
    """(R, 5) at the upper bound."""
    degenerate: NDArray[np.bool_]
    """(R,) fits that lost a term of the law or did not converge."""
    cells: NDArray[np.int64]
    """Numbers of the cells resampled."""


def cell_weights(count: int, replicates: int, seed: int) -> Array:
    """How often each of ``count`` cells is drawn, (replicates, count); each row sums to count."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(count, np.full(count, 1 / count), size=replicates).astype(float)


def resample(
    runs: Centred, cells: NDArray[np.int64], delta: float, replicates: int, seed: int
) -> Replicates:
    """Refit the law to resampled cells; ``cells`` (n,) is the cell of each run."""
    numbers, index = np.unique(cells, return_inverse=True)
    weights = cell_weights(len(numbers), replicates, seed)[:, index]
    fits = solve(runs, weights, delta)
    lost = fits.low[:, 1] | fits.low[:, 2] | ~fits.converged
    return Replicates(runs.theta(fits.q), fits.low, fits.high, lost, numbers)


def parameter_estimates(
    theta: Array,
    low: NDArray[np.bool_],
    high: NDArray[np.bool_],
    replicates: Replicates,
    lowest_loss: float,
) -> dict[str, Estimate]:
    """Estimates of E, A, B, alpha and beta with the reason where one is not identified.

    A and B are the heights of their terms at N = 1 and D = 1, far outside any data: they are only
    as well determined as their exponents, and inherit their verdict.
    """
    span = laws.EXPONENT_BOUNDS[1] - laws.EXPONENT_BOUNDS[0]
    allowed = {"E": lowest_loss, "alpha": span, "beta": span}
    found: dict[str, Estimate] = {}
    for i, name in enumerate(PARAMETERS):
        ends = percentile_interval(replicates.theta[:, i], len(replicates.cells))
        reason = _at_bound(bool(low[i]), bool(high[i]), replicates.low[:, i], replicates.high[:, i])
        if name in allowed:
            reason = reason or _spans(ends, allowed[name])
        found[name] = Estimate(value=float(theta[i]), low=ends[0], high=ends[1], reason=reason)
    for height, exponent in (("A", "alpha"), ("B", "beta")):
        if found[height].identified and not found[exponent].identified:
            found[height] = replace(found[height], reason=f"{exponent} is not identified")
    return found


def exponent_estimates(
    theta: Array, replicates: Replicates, parameters: Mapping[str, Estimate], cost: CostModel
) -> dict[str, Estimate]:
    """Estimates of the frontier exponents of N* and D*.

    They are functions of alpha and beta, and a lower E with lower exponents fits the same runs: so
    they are identified only where E, alpha and beta all are.
    """
    inherited = not_identified(parameters)
    found: dict[str, Estimate] = {}
    values = laws.exponents(theta, cost), laws.exponents(replicates.theta, cost)
    names = ("params_exponent", 1 / cost.p), ("data_exponent", 1.0)
    for (name, allowed), value, draws in zip(names, *values, strict=True):
        ends = percentile_interval(draws, len(replicates.cells))
        reason = inherited or _spans(ends, allowed)
        found[name] = Estimate(value=float(value), low=ends[0], high=ends[1], reason=reason)
    return found


def not_identified(parameters: Mapping[str, Estimate]) -> str:
    """Which of E, alpha and beta are not identified, as a sentence without a stop, or empty."""
    loose = [name for name in ("E", "alpha", "beta") if not parameters[name].identified]
    if len(loose) < 2:
        return f"{loose[0]} is not identified" if loose else ""
    return f"{', '.join(loose[:-1])} and {loose[-1]} are not identified"


def _at_bound(low: bool, high: bool, lows: NDArray[np.bool_], highs: NDArray[np.bool_]) -> str:
    parts = []
    for side, point, share in (("lower", low, lows.mean()), ("upper", high, highs.mean())):
        if share > _BOUND_SHARE:
            parts.append(f"{share:.0%} of bootstrap replicates end at its {side} bound")
        if point:
            parts.append(f"the fit itself ends at its {side} bound")
    return "; ".join(parts)


def _spans(ends: tuple[float, float], allowed: float) -> str:
    share = (ends[1] - ends[0]) / allowed
    if share <= _SPAN_SHARE:
        return ""
    return f"its interval spans {min(share, 1.0):.0%} of what is allowed"
