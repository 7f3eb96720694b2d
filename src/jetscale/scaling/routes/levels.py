"""Losses of an isoFLOP design at exactly its budgets.

Stated FLOPs differ a little within a budget. What that does to a loss is told by the profiles of
the budgets on either side, and taken off.
"""

import numpy as np

from jetscale.scaling.engine.laws import Array, Indices

DEGREE = 3  # of a profile: log loss over log N at one budget
_LEVEL = 1e-3  # rms distance in log C that is worth a correction


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
