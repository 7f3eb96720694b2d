"""Which cells of a table lie at a few fixed budgets: an isoFLOP design, as its authors ran it.

Budgets are found where many model sizes crowd and the budgets beside them are empty, never by
rounding. Stated FLOPs differ a little within a budget (whole steps, a figure that was read off);
what that does to a loss is estimated with the profiles and taken off.
"""

import numpy as np

from jetscale.scaling.engine.laws import Array, Indices

WIDTH = 0.1  # half width of a budget in log C
_SIZES, _BUDGETS = 5, 3  # model sizes of a budget, and budgets, that make a design
_CROWDED = 3.0  # times as many sizes inside as beside it
_SHARE = 0.4  # of the cells that must lie at such budgets
_LEVEL = 1e-3  # rms distance in log C that is worth a correction


def fixed_budgets(params: Array, flops: Array) -> list[Indices]:
    """Return the cells of each budget of an isoFLOP design, by rising budget; none if it is none.

    >>> n, c = np.tile(np.geomspace(1e7, 1e9, 5), 3), np.repeat([1e18, 1e19, 1e20], 5)
    >>> [len(cells) for cells in fixed_budgets(n, c)], fixed_budgets(n, 6 * n * n)
    ([5, 5, 5], [])
    """
    log_c, left, found = np.log(flops), np.ones(len(flops), dtype=bool), []
    while left.any():
        far = np.abs(log_c[:, None] - log_c)
        inside = (far <= WIDTH) & left
        best = int(inside.sum(axis=1).argmax())
        cells = np.flatnonzero(inside[best])
        left[cells] = False
        if len(np.unique(params[cells])) < _SIZES:
            break
        beside = ((far[best] > WIDTH) & (far[best] <= 2 * WIDTH)).sum()
        if len(cells) >= _CROWDED * beside:
            found.append(cells)
    if len(found) < _BUDGETS or sum(map(len, found)) < _SHARE * len(flops):
        return []
    return sorted(found, key=lambda cells: float(log_c[cells].mean()))


def levelled(x: Array, log_c: Array, rows: Array, groups: list[Indices]) -> list[Array]:
    """Return log losses (R, k_b) of each budget, taken to its middle budget.

    The slope along C is common to all and estimated beside the cubics, from the first row.
    """
    away, top, bottom = [], 0.0, 0.0
    for cells in groups:
        off = log_c[cells] - log_c[cells].mean()
        centred = x[cells] - x[cells].mean()
        basis = np.vander(centred / max(np.ptp(centred), 1e-9), 4)
        left = off - basis @ (np.linalg.pinv(basis) @ off)
        top, bottom = top + float(left @ rows[0, cells]), bottom + float(left @ left)
        away.append(off)
    spread = np.sqrt(np.mean(np.concatenate(away) ** 2))
    slope = top / bottom if spread > _LEVEL and bottom > 0 else 0.0
    return [rows[:, cells] - slope * off for cells, off in zip(groups, away, strict=True)]
