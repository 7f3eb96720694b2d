"""The envelope of the loss curves: budgets at which the next larger model becomes better.

Approach 1 of Hoffmann et al. (arXiv 2203.15556), on curves that join finished runs. The exponent is
the slope of log N on log C through its corners, where two neighbouring sizes, at whose geometric
mean they lie, are equal. Noise decides where they cross, so every replicate finds its own.
"""

from dataclasses import replace
from itertools import pairwise

import numpy as np

from jetscale.scaling.cost import CostModel
from jetscale.scaling.engine.laws import Array
from jetscale.scaling.estimate import Estimate
from jetscale.scaling.routes.line import Line
from jetscale.scaling.routes.route import CellMeans, FrontierPoint, LossCurves, Route, along

NAME = "envelope"
_BUDGETS = 200
_CORNERS_NEEDED = 3
_CROSSED = 0.8  # share of replicates in which two sizes must cross
_APART = 0.4  # least distance of sizes in log N: between closer ones noise decides
_FLAG = "one size is better at every common budget"


def envelope(means: CellMeans, cost: CostModel, rows: Array) -> Route:
    """The frontier of one mixture from the corners of its envelope; arguments as for `isoflop`."""
    log_n, log_c, log_loss = corners(means, cost, rows)
    points = tuple(
        _point(log_n[i], log_c[:, i], float(log_loss[0, i]), cost) for i in range(len(log_n))
    )
    used = [i for i, point in enumerate(points) if not point.flag]
    if len(used) < _CORNERS_NEEDED:
        missing = f"needs {_CORNERS_NEEDED} pairs of neighbouring model sizes that cross within "
        return Route(name=NAME, points=points, missing=f"{missing}their runs, has {len(used)}")
    weights = np.full(len(used), 1 / len(used))
    parts = log_c[:, used], log_n[used], log_loss[:, used]
    line = Line(*parts, weights, means.noise.freedom)
    return along(NAME, points, line, means.noise, cost, "corners")


def reread(line: Line, means: CellMeans, cost: CostModel, rows: Array) -> Line:
    """The same pairs of sizes read off other rows (R, k) of losses."""
    log_n, log_c, log_loss = corners(means, cost, rows)
    used = np.isin(log_n, line.log_n)
    return replace(line, log_c=log_c[:, used], log_loss=log_loss[:, used])


def corners(means: CellMeans, cost: CostModel, rows: Array) -> tuple[Array, Array, Array]:
    """(c,) log N between neighbours, (R, c) log budgets and log losses of their corners.

    The budget is that where the larger takes over, nan: nowhere; the loss is the lower of both at
    the budget of the first row.
    """
    curves = LossCurves(means, rows, cost, _APART)
    meetings: dict[tuple[float, float], list[tuple[float, Array, Array]]] = {}
    for budget in curves.budgets(_BUDGETS):
        if curves.sizes_at(budget) < 2:
            continue
        log_n, losses = curves.at(budget)
        for i, pair in enumerate(pairwise(log_n.tolist())):
            meetings.setdefault(pair, []).append((np.log(budget), losses[:, i], losses[:, i + 1]))
    if not meetings:
        return np.empty(0), np.empty((len(rows), 0)), np.empty((len(rows), 0))
    found = [_corner(meetings[pair]) for pair in sorted(meetings)]
    places, losses = (np.stack(values, axis=1) for values in zip(*found, strict=True))
    return np.array([(a + b) / 2 for a, b in sorted(meetings)]), places, losses


def _corner(met: list[tuple[float, Array, Array]]) -> tuple[Array, Array]:
    """Where the larger of two sizes takes over: as many budgets up as the smaller one wins."""
    log_c = np.array([c for c, _, _ in met])
    smaller, larger = (np.stack([m[k] for m in met], axis=1) for k in (1, 2))
    wins = (smaller < larger).sum(axis=1)
    crossed = (wins > 0) & (wins < len(log_c))
    # a third size may lie between the two at some budgets: these are left out, and leave a gap
    place = np.where(crossed, np.interp(wins - 0.5, np.arange(len(log_c)), log_c), np.nan)
    at = min(int(wins[0]), len(log_c) - 1)
    return place, np.minimum(smaller[:, at], larger[:, at])


def _point(log_n: float, log_budgets: Array, log_loss: float, cost: CostModel) -> FrontierPoint:
    there, flag = ~np.isnan(log_budgets), ""
    if not there[0]:
        flag = _FLAG
    elif there.mean() < _CROSSED:
        flag = f"the two sizes cross in {there.mean():.0%} of replicates only"
    params, budget, loss = (float(np.exp(v)) for v in (log_n, log_budgets[0], log_loss))
    exact = Estimate(value=params, low=params, high=params, reason=flag)  # the budget varies
    examples = float(budget / cost.k / params**cost.p)
    return FrontierPoint(budget=budget, params=exact, examples=examples, loss=loss, flag=flag)
