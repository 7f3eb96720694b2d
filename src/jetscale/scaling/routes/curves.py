"""Loss against data for every model size of one mixture, read between the runs.

For a budget C = k N^p D each model size has one data size; the loss there comes from monotone
interpolation (PCHIP) of log loss over log D and never from beyond the measured data sizes.
"""

import numpy as np
from scipy.interpolate import PchipInterpolator

from jetscale.scaling.cost import CostModel
from jetscale.scaling.engine.laws import Array
from jetscale.scaling.spread import CellMeans

_ROUNDING = 1e-9


class LossCurves:
    """Curves of all sizes with at least two data sizes, for R rows of log losses at once.

    Args:
        means: The k cells.
        rows: (R, k) log losses of the cells.
        cost: Compute convention.
    """

    def __init__(self, means: CellMeans, rows: Array, cost: CostModel) -> None:
        self._cost = cost
        self._curves: list[tuple[float, PchipInterpolator]] = []
        for params in np.unique(means.params):
            mine = means.params == params
            if mine.sum() > 1:
                curve = PchipInterpolator(np.log(means.examples[mine]), rows[:, mine], axis=1)
                self._curves.append((float(np.log(params)), curve))

    def budgets(self, count: int) -> Array:
        """(count,) budgets in FLOPs, evenly spaced in log over all runs; none without curves."""
        ends = [
            np.log(self._cost.k) + self._cost.p * log_n + end
            for log_n, curve in self._curves
            for end in (curve.x[0], curve.x[-1])
        ]
        return np.exp(np.linspace(min(ends), max(ends), count)) if ends else np.empty(0)

    def sizes_at(self, budget: float) -> int:
        """Model sizes whose measured data sizes enclose the one that the budget pays for."""
        return len(self._enclosing(budget))

    def at(self, budget: float) -> tuple[Array, Array]:
        """(m,) log N of those sizes and their (R, m) log losses at the budget."""
        found = self._enclosing(budget)
        losses = [curve(log_d) for _, curve, log_d in found]
        return np.array([log_n for log_n, _, _ in found]), np.stack(losses, axis=1)

    def _enclosing(self, budget: float) -> list[tuple[float, PchipInterpolator, float]]:
        found = []
        for log_n, curve in self._curves:
            log_d = np.log(budget / self._cost.k) - self._cost.p * log_n
            low, high = curve.x[0], curve.x[-1]
            if low - _ROUNDING <= log_d <= high + _ROUNDING:
                found.append((log_n, curve, float(np.clip(log_d, low, high))))
        return found
