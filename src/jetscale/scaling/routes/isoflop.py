"""IsoFLOP profiles: the model size of lowest loss at a fixed budget.

Approach 2 of Hoffmann et al. (arXiv 2203.15556). A table made of a few budgets (`design`) gives its
profiles itself; on a grid losses are read off `route.LossCurves`, so that no run is sorted into a
rounded budget. Cubics: parabolas over log N are off by up to a quarter where the exponents differ,
Akima curves (arXiv 2406.19146) by several percent on four sizes.
"""

from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from jetscale.scaling.cost import CostModel
from jetscale.scaling.engine.laws import Array
from jetscale.scaling.estimate import Estimate
from jetscale.scaling.routes.design import fixed_budgets
from jetscale.scaling.routes.levels import DEGREE, levelled, polynomial
from jetscale.scaling.routes.line import Line
from jetscale.scaling.routes.route import CellMeans, FrontierPoint, LossCurves, Route, along
from jetscale.scaling.routes.spread import half_width

NAME = "isoFLOP"
BUDGETS = 9
_CANDIDATES = 49
_SIZES_NEEDED, _BUDGETS_NEEDED = 4, 3
_PER_INTERVAL = 25  # points of the curve between two neighbouring sizes
_INSIDE = 0.8  # share of replicates whose minimum must lie inside
_AT_LEAST = 1e-12  # variance of a minimum without noise

Profile = tuple[float, Array, Array]
"""A budget, log sizes (k,) and log losses (R, k)."""


def isoflop(means: CellMeans, cost: CostModel, rows: Array) -> Route:
    """The frontier of one mixture from profiles at fixed budgets, of rows (1 + R, k) of losses."""
    found = profiles(means, cost, rows)
    if not found:
        missing = f"no budget at which {_SIZES_NEEDED} model sizes have runs on both sides"
        return Route(name=NAME, missing=missing)
    minima = [minimum(x, y) for _, x, y in found]
    points = tuple(_point(p, m, cost, means) for p, m in zip(found, minima, strict=True))
    used = [i for i, point in enumerate(points) if not point.flag]
    if len(used) < _BUDGETS_NEEDED:
        missing = f"{len(used)} of {len(points)} budgets have a minimum inside the measured sizes"
        return Route(name=NAME, points=points, missing=f"{missing}, needs {_BUDGETS_NEEDED}")
    log_n = np.stack([minima[i][0] for i in used], axis=1)
    log_loss = np.stack([minima[i][1] for i in used], axis=1)
    variance = log_n[1:].var(axis=0) if len(log_n) > 1 else np.ones(len(used))
    weights = 1 / np.maximum(variance, _AT_LEAST)
    log_c = np.log([found[i][0] for i in used])
    line = Line(log_c, log_n, log_loss, weights / weights.sum(), means.noise.freedom)
    return along(NAME, points, line, means.noise, cost, "budgets")


def reread(line: Line, means: CellMeans, cost: CostModel, rows: Array) -> Line:
    """The same budgets read off other rows (R, k) of losses."""
    there = line.log_c.tolist()
    found = [p for p in profiles(means, cost, rows) if float(np.log(p[0])) in there]
    minima = [minimum(x, y) for _, x, y in found]
    log_n, log_loss = np.stack([m[0] for m in minima], axis=1), [m[1] for m in minima]
    return replace(line, log_n=log_n, log_loss=np.stack(log_loss, axis=1))


def profiles(means: CellMeans, cost: CostModel, rows: Array) -> list[Profile]:
    """Profiles of rows (R, k): those of the design, or read off curves at up to nine budgets."""
    groups = fixed_budgets(means.params, means.flops)
    if groups:
        log_n, log_c = np.log(means.params), np.log(means.flops)
        levels = levelled(log_n, log_c, rows, groups)
        return [
            (float(np.exp(log_c[cells].mean())), log_n[cells], part)
            for cells, part in zip(groups, levels, strict=True)
        ]
    curves = LossCurves(means, rows, cost)
    # evenly spaced in log, where enough sizes can be read off
    good = [c for c in curves.budgets(_CANDIDATES) if curves.sizes_at(c) >= _SIZES_NEEDED]
    if not good:
        return []
    keep = np.unique(np.linspace(0, len(good) - 1, min(BUDGETS, len(good))).round().astype(int))
    return [(float(good[i]), *curves.at(good[i])) for i in keep]


def minimum(x: Array, y: Array) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Where curves through (k,) log sizes and (R, k) log losses are lowest.

    Returns (R,) log N*, log loss there, and whether it lies inside the sizes.
    """
    sizes = np.unique(x)
    parts = (np.linspace(a, b, _PER_INTERVAL, endpoint=False) for a, b in pairwise(sizes))
    fine = np.concatenate([*parts, sizes[-1:]])
    curve = polynomial(x, y, fine, DEGREE)
    lowest = curve.argmin(axis=1)
    good = (lowest > 0) & (lowest < len(fine) - 1)
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


def _point(
    profile: Profile,
    lowest: tuple[Array, Array, NDArray[np.bool_]],
    cost: CostModel,
    means: CellMeans,
) -> FrontierPoint:
    """The minimum of one profile as measured, with the interval of the replicates."""
    (budget, x, y), (place, value, good) = profile, lowest
    half = half_width(place, np.empty(0), means.noise.freedom)
    low, size, high = (float(np.exp(place[0] + shift)) for shift in (-half, 0.0, half))
    inside, flag = good.mean(), ""
    if good[0] and inside < _INSIDE:
        flag = f"the minimum is inside in {inside:.0%} of replicates only"
    elif not good[0]:
        flag = f"minimum at the {'smallest' if place[0] <= x.min() else 'largest'} size"
    return FrontierPoint(
        budget=budget,
        params=Estimate(value=size, low=low, high=high, reason=flag),
        examples=float(budget / cost.k / size**cost.p),
        loss=float(np.exp(value[0])),
        flag=flag,
        profile=(np.exp(x), np.exp(y[0])),
    )
