"""Which cells of a table lie at a few fixed budgets: an isoFLOP design, as its authors ran it.

Budgets are found where many model sizes crowd and the budgets beside them are empty, never by
rounding. Stated FLOPs differ a little within a budget (whole steps, a figure that was read off):
see `levels`.
"""

from typing import Literal

import numpy as np

from jetscale.scaling.engine.laws import Array, Indices

WIDTH = 0.1  # half width of a budget in log C
_WINDOW: tuple[tuple[float, Literal["left", "right"]], ...] = (-WIDTH, "left"), (WIDTH, "right")
_SIZES, _BUDGETS = 5, 3  # model sizes of a budget, and budgets, that make a design
_CROWDED = 2.5  # times as many sizes inside as beside it
_SHARE = 0.4  # of the cells that must lie at such budgets


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
