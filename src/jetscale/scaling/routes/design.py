"""Which cells of a table lie at a few fixed budgets: an isoFLOP design, as its authors ran it.

Budgets are found where many model sizes crowd and the budgets beside them are empty, never by
rounding. Stated FLOPs differ a little within a budget (whole steps, a figure that was read off);
what that does to a loss is estimated with the profiles and taken off.
"""

from typing import Literal

import numpy as np

from jetscale.scaling.engine.laws import Array, Indices

WIDTH = 0.1  # half width of a budget in log C
_WINDOW: tuple[tuple[float, Literal["left", "right"]], ...] = (-WIDTH, "left"), (WIDTH, "right")
_SIZES, _BUDGETS = 5, 3  # model sizes of a budget, and budgets, that make a design
_CROWDED = 2.5  # times as many sizes inside as beside it
_SHARE = 0.4  # of the cells that must lie at such budgets
_LEVEL = 1e-3  # rms distance in log C that is worth a correction
DEGREE = 3  # of a profile: log loss over log N at one budget


def fixed_budgets(params: Array, flops: Array) -> list[Indices]:
    """Return the cells of each budget of an isoFLOP design, by rising budget; none if it is none.

    >>> n, c = np.tile(np.geomspace(1e7, 1e9, 5), 3), np.repeat([1e18, 1e19, 1e20], 5)
    >>> [len(cells) for cells in fixed_budgets(n, c)], fixed_budgets(n, 6 * n * n)
    ([5, 5, 5], [])
    """
    order = np.argsort(flops, kind="stable")
    log_c, left, found = np.log(flops)[order], np.ones(len(flops), dtype=bool), []
    first, last = (np.searchsorted(log_c, log_c + far, side) for far, side in _WINDOW)
    while left.any():
        # the place with most cells within its width, then those about their own middle
        count = np.concatenate([[0], np.cumsum(left)])
        best = int((count[last] - count[first]).argmax())
        middle = log_c[first[best] : last[best]][left[first[best] : last[best]]].mean()
        far = np.abs(log_c - middle)
        cells = np.flatnonzero((far <= WIDTH) & left)
        left[first[best] : last[best]] = False
        left[cells] = False
        if len(np.unique(params[order[cells]])) < _SIZES:
            break
        if len(cells) >= _CROWDED * ((far > WIDTH) & (far <= 2 * WIDTH)).sum():
            found.append(np.sort(order[cells]))
    if len(found) < _BUDGETS or sum(map(len, found)) < _SHARE * len(flops):
        return []
    return sorted(found, key=lambda cells: float(np.log(flops[cells]).mean()))


def levelled(x: Array, log_c: Array, rows: Array, groups: list[Indices]) -> list[Array]:
    """Return log losses (R, k_b) of each budget, taken to its middle budget.

    The slope along C at a cell's size is that between the profiles of the budgets on either side,
    of the first row. Within a budget it cannot be told: where FLOPs are counted otherwise than the
    budget was, what a cell is off depends on its size, and the profile takes it up.
    """
    middles = [float(log_c[cells].mean()) for cells in groups]
    away = [log_c[cells] - middle for cells, middle in zip(groups, middles, strict=True)]
    if np.sqrt(np.mean(np.concatenate(away) ** 2)) <= _LEVEL:
        return [rows[:, cells] for cells in groups]
    out = []
    for i, cells in enumerate(groups):
        one, two = max(i - 1, 0), min(i + 1, len(groups) - 1)
        sizes = [x[groups[side]] for side in (one, two)]
        low, high = max(s.min() for s in sizes), min(s.max() for s in sizes)
        there = np.clip(x[cells], min(low, high), max(low, high))
        losses = [
            polynomial(x[groups[side]], rows[:1, groups[side]], there, DEGREE)[0]
            for side in (one, two)
        ]
        slope = (losses[1] - losses[0]) / (middles[two] - middles[one])
        out.append(rows[:, cells] - slope * away[i])
    return out


def polynomial(x: Array, y: Array, at: Array, degree: int) -> Array:
    """Least-squares polynomials through (R, k) values, evaluated at (m,) places: (R, m)."""
    centre, scale = x.mean(), np.ptp(x)
    basis = np.vander((x - centre) / scale, degree + 1)
    there = np.vander((at - centre) / scale, degree + 1)
    return np.asarray(y @ (there @ np.linalg.pinv(basis)).T)
