"""How noise changes over the sizes: log variance as a linear function of log N and log D.

Squared residuals have the gamma distribution of their variance (Smyth, doi
10.1111/j.2517-6161.1989.tb01747.x); each counts by the share of it that the law leaves.
"""

import numpy as np

from jetscale.scaling.engine.laws import Array

_SLOPE = 2.0  # prior standard deviation of the slopes, over half the window
_FEWEST = 8  # residuals to spare from which variance may have slopes
_OUTLIER = 9.0  # squares larger than this many variances count as that
_ROUNDS = 8
_SURE = 3.0  # log likelihood that slopes must gain
_DEPENDENT = 1e-9


def variance_slopes(columns: Array, residuals: Array, place: Array) -> Array:
    """Slopes (2,) of log variance along places (n, 2), 0 where the runs are too few.

    Residuals (n,) are those about a law with derivatives ``columns`` (n, P).
    """
    if len(residuals) - columns.shape[1] < _FEWEST or not residuals.any():
        return np.zeros(2)
    size = np.linalg.norm(columns, axis=0)
    columns = columns[:, size > 0] / size[size > 0]
    X = np.column_stack([np.ones(len(residuals)), place])
    prior = np.array([0.0, _SLOPE**-2, _SLOPE**-2])

    def squares_at(values: Array) -> tuple[Array, Array]:
        """Squares over their variance, as a weighted fit leaves them, and the share it leaves."""
        root = np.exp(0.5 * X @ values)
        U, s, _ = np.linalg.svd(columns / root[:, None], full_matrices=False)
        Q, off = U[:, s > _DEPENDENT * s[0]], residuals / root
        left = np.maximum(1 - (Q**2).sum(axis=1), 1e-3)
        return np.minimum((off - Q @ (Q.T @ off)) ** 2 / left, _OUTLIER), left

    def score(values: Array) -> float:
        ratio, left = squares_at(values)
        return float(-0.5 * (left * (X @ values + ratio)).sum() - 0.5 * (prior * values**2).sum())

    level = np.array([np.log((residuals**2).mean()), 0.0, 0.0])
    ratio, left = squares_at(level)
    level[0] += np.log((left * ratio).mean() / left.mean())
    found = level
    for _ in range(_ROUNDS):  # Fisher scoring
        ratio, left = squares_at(found)
        pull = 0.5 * X.T @ (left * (ratio - 1)) - prior * found
        step = np.linalg.solve(0.5 * (X.T * left) @ X + np.diag(prior), pull)
        found = found + np.clip(step, -1.0, 1.0)
    # slopes count by the odds that there are any: without this, noise that is even looks uneven
    return np.asarray(found[1:] / (1 + np.exp(_SURE - score(found) + score(level))))
