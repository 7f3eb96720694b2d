"""IsoFLOP profiles: the model size of lowest loss at a fixed budget.

Approach 2 of Hoffmann et al. (arXiv 2203.15556) with losses read off `route.LossCurves`, so that no
run is sorted into a rounded budget, and cubics: parabolas over log N are off by up to a quarter
where the exponents differ, Akima curves (arXiv 2406.19146) by several percent on four sizes.
"""

from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from jetscale.scaling.cost import CostModel
from jetscale.scaling.engine.laws import Array
from jetscale.scaling.estimate import Estimate
from jetscale.scaling.routes.route import (
    METHOD,
    FrontierPoint,
    LossCurves,
    Route,
    cell_means,
    interval,
)

NAME = "isoFLOP"
BUDGETS = 9
_CANDIDATES = 49
_SIZES_NEEDED, _BUDGETS_NEEDED = 4, 3
_PER_INTERVAL = 25  # points of the curve between two neighbouring sizes
_ROUNDING = 1e-12
_INSIDE = 0.8  # share of replicates whose minimum must lie inside


def isoflop(runs: pd.DataFrame, cost: CostModel, replicates: int, seed: int) -> Route:
    """The frontier of one mixture from profiles at fixed budgets; intervals need repeats."""
    means = cell_means(runs)
    curves = LossCurves(means, means.redrawn(replicates, seed), cost)
    # up to nine budgets, evenly spaced in log, at which enough sizes can be read off
    good = [c for c in curves.budgets(_CANDIDATES) if curves.sizes_at(c) >= _SIZES_NEEDED]
    keep = np.unique(np.linspace(0, len(good) - 1, min(BUDGETS, len(good))).round().astype(int))
    budgets = np.array(good)[keep]
    if not good:
        missing = f"no budget at which {_SIZES_NEEDED} model sizes have runs on both sides"
        return Route(name=NAME, missing=missing)
    profiles = [_Profile(budget, *curves.at(budget)) for budget in budgets]
    points = tuple(profile.point(cost) for profile in profiles)
    used = [i for i, point in enumerate(points) if not point.flag]
    if len(used) < _BUDGETS_NEEDED:
        missing = f"{len(used)} of {len(points)} budgets have a minimum inside the measured sizes"
        return Route(name=NAME, points=points, missing=f"{missing}, needs {_BUDGETS_NEEDED}")
    slopes = _slopes(np.log(budgets[used]), np.stack([profiles[i].place for i in used], axis=1))
    a, b = means.exponents(slopes, cost)
    return Route(name=NAME, params_exponent=a, data_exponent=b, points=points, interval=METHOD)


def minimum(x: Array, y: Array) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Where curves through (k,) log sizes and (R, k) log losses are lowest.

    Returns (R,) log N*, log loss there, and whether the curve falls before and rises after it.
    """
    parts = (np.linspace(a, b, _PER_INTERVAL, endpoint=False) for a, b in pairwise(x))
    fine = np.concatenate([*parts, x[-1:]])
    curve = polynomial(x, y, fine, 3)
    lowest = curve.argmin(axis=1)
    after = np.arange(len(fine) - 1) >= lowest[:, None]
    rises = np.where(after, 1.0, -1.0) * np.diff(curve, axis=1)  # away from the minimum
    good = (lowest > 0) & (lowest < len(fine) - 1) & (rises >= -_ROUNDING).all(axis=1)
    return _vertex(fine, curve, lowest), curve[np.arange(len(curve)), lowest], good


def _vertex(fine: Array, curve: Array, lowest: NDArray[np.intp]) -> Array:
    """Place of the minimum between grid points: the parabola through the three lowest."""
    middle = np.clip(lowest, 1, len(fine) - 2)
    rows = np.arange(len(curve))
    before, after = fine[middle] - fine[middle - 1], fine[middle + 1] - fine[middle]
    left = curve[rows, middle - 1] - curve[rows, middle]
    right = curve[rows, middle + 1] - curve[rows, middle]
    bend = left * after + right * before
    shift = (left * after**2 - right * before**2) / (2 * np.where(bend > 0, bend, np.inf))
    return np.asarray(np.where(lowest == middle, fine[middle] + shift, fine[lowest]))


def polynomial(x: Array, y: Array, at: Array, degree: int) -> Array:
    """Least-squares polynomials through (R, k) values, evaluated at (m,) places: (R, m)."""
    centre, scale = x.mean(), np.ptp(x)
    basis = np.vander((x - centre) / scale, degree + 1)
    there = np.vander((at - centre) / scale, degree + 1)
    return np.asarray(y @ (there @ np.linalg.pinv(basis)).T)


class _Profile:
    """Log losses (R, k) over log sizes (k,) at a budget, and where each row is lowest."""

    def __init__(self, budget: float, x: Array, y: Array) -> None:
        self.budget, self.x = float(budget), x
        self.place, self.value, self.good = minimum(x, y)

    def point(self, cost: CostModel) -> FrontierPoint:
        """The minimum as measured, with the interval of the replicates."""
        low, high = interval(np.exp(self.place), len(self.x))
        value, inside, flag = float(np.exp(self.place[0])), self.good.mean(), ""
        if self.good[0] and inside < _INSIDE:
            flag = f"the minimum is inside in {inside:.0%} of replicates only"
        elif not self.good[0]:
            flag = "the profile is not convex"
            if self.place[0] <= self.x[0]:
                flag = "minimum at the smallest size"
            elif self.place[0] >= self.x[-1]:
                flag = "minimum at the largest size"
        params = Estimate(value=value, low=low, high=high, reason=flag)
        examples = float(self.budget / cost.k / value**cost.p)
        budget, loss = self.budget, float(np.exp(self.value[0]))
        return FrontierPoint(budget=budget, params=params, examples=examples, loss=loss, flag=flag)


def _slopes(log_budget: Array, minima: Array) -> Array:
    """(R,) weighted least-squares slopes of (R, b) log N* on (b,) log C."""
    variance = minima[1:].var(axis=0) if len(minima) > 1 else np.ones(len(log_budget))
    variance = np.maximum(variance, 1e-12)
    weights = 1 / variance / (1 / variance).sum()
    centre = log_budget - weights @ log_budget
    return np.asarray(minima @ (weights * centre) / (weights @ centre**2))
