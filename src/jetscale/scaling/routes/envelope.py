"""The envelope of the loss curves: budgets at which the next larger model becomes better.

Approach 1 of Hoffmann et al. (arXiv 2203.15556), on curves that join finished runs. The exponent is
the slope of log N on log C through its corners, where two neighbouring sizes, at whose geometric
mean they lie, are equal. Noise decides where they cross, so every replicate finds its own.
"""

from itertools import pairwise

import numpy as np
import pandas as pd

from jetscale.scaling.cost import CostModel
from jetscale.scaling.engine.laws import Array
from jetscale.scaling.estimate import Estimate
from jetscale.scaling.routes.route import METHOD, FrontierPoint, LossCurves, Route, cell_means

NAME = "envelope"
_BUDGETS = 200
_CORNERS_NEEDED = 3


def envelope(runs: pd.DataFrame, cost: CostModel, replicates: int, seed: int) -> Route:
    """The frontier of one mixture from the corners of its envelope; arguments as for `isoflop`."""
    means = cell_means(runs)
    curves = LossCurves(means, means.redrawn(replicates, seed), cost)
    sizes, corners = _corners(curves)
    points = tuple(_point(n, *corner, cost) for n, corner in zip(sizes, corners, strict=True))
    used = [i for i, point in enumerate(points) if not point.flag]
    if len(used) < _CORNERS_NEEDED:
        missing = f"{len(used)} pairs of neighbouring model sizes cross within their runs, needs "
        return Route(name=NAME, points=points, missing=f"{missing}{_CORNERS_NEEDED}")
    slopes = _slopes(np.stack([corners[i][0] for i in used], axis=1), sizes[used])
    a, b = means.exponents(slopes, cost)
    return Route(name=NAME, params_exponent=a, data_exponent=b, points=points, interval=METHOD)


def _corners(curves: LossCurves) -> tuple[Array, list[tuple[Array, Array]]]:
    """(c,) log N between neighbours; for each the (R,) log budgets and log losses of the corner."""
    meetings: dict[tuple[float, float], list[tuple[float, Array, Array]]] = {}
    for budget in curves.budgets(_BUDGETS):
        if curves.sizes_at(budget) < 2:
            continue
        log_n, losses = curves.at(budget)
        for i, pair in enumerate(pairwise(log_n.tolist())):
            meetings.setdefault(pair, []).append((np.log(budget), losses[:, i], losses[:, i + 1]))
    found = [_corner(meetings[pair]) for pair in sorted(meetings)]
    return np.array([(a + b) / 2 for a, b in sorted(meetings)]), found


def _corner(met: list[tuple[float, Array, Array]]) -> tuple[Array, Array]:
    """Where the larger of two sizes takes over: as many budgets up as the smaller one wins."""
    log_c = np.array([c for c, _, _ in met])
    smaller, larger = (np.stack([m[k] for m in met], axis=1) for k in (1, 2))
    wins = (smaller < larger).sum(axis=1)
    crossed = (wins > 0) & (wins < len(log_c))
    step = np.ptp(log_c) / max(len(log_c) - 1, 1)
    place = np.where(crossed, log_c[0] + step * (wins - 0.5), np.nan)
    return place, smaller[np.arange(len(smaller)), np.minimum(wins, len(log_c) - 1)]


def _slopes(log_budgets: Array, log_n: Array) -> Array:
    """(R,) inverse slopes of (R, c) log C, where the noise is, on (c,) log N; nan: no corner."""
    there = ~np.isnan(log_budgets)
    count = np.maximum(there.sum(axis=1, keepdims=True), 1)
    centre = np.where(there, log_n - (there @ log_n)[:, None] / count, 0.0)
    square = (centre**2).sum(axis=1)
    slope = (centre * np.where(there, log_budgets, 0.0)).sum(axis=1)
    good = (square > 0) & (slope > 0)
    return np.asarray(np.where(good, square / np.where(good, slope, 1.0), np.nan))


def _point(log_n: float, log_budgets: Array, losses: Array, cost: CostModel) -> FrontierPoint:
    flag = "one size is better at every common budget" if np.isnan(log_budgets[0]) else ""
    params, budget, loss = (float(np.exp(v)) for v in (log_n, log_budgets[0], losses[0]))
    exact = Estimate(value=params, low=params, high=params, reason=flag)  # the budget varies
    examples = float(budget / cost.k / params**cost.p)
    return FrontierPoint(budget=budget, params=exact, examples=examples, loss=loss, flag=flag)
