"""How much runs scatter about a law, split into seeds and cells.

Log residuals r of a cell's seeds split into their mean, which the law should explain, and their
spread about it, which it cannot (pure error). Mean squares of the two, for m seeds per cell and p
parameters fitted:

    within = sum over runs of (r - rbar)^2 / (runs - cells)
    between = sum over cells of m rbar^2 / (cells - p)

What the means vary beyond the seeds is the misfit, deviations of cells from the law that no
further seed removes: (between - within) / m, or 0, with m averaged as an analysis of variance with
unequal groups does it (Searle, Casella & McCulloch, Variance Components, section 3.6).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jetscale.scaling.engine.laws import Array


@dataclass(frozen=True, slots=True, eq=False)
class Scatter:
    """Residuals of some cells; arrays are (cells,)."""

    runs: NDArray[np.intp]
    """Seeds of each cell."""
    mean: Array
    """Mean log residual of each cell."""
    within: float
    """Mean square between seeds; nan where no cell has two."""
    between: float
    """Mean square of cell means times their seeds."""
    freedom: tuple[float, int]
    """Degrees of freedom of between and within."""

    @property
    def misfit(self) -> float:
        """Variance of cells about the law beyond the seeds; nan where no cell has two."""
        total, cells = int(self.runs.sum()), len(self.runs)
        per_cell = (total - int((self.runs**2).sum()) / total) / (cells - 1)
        return float(np.maximum(0.0, (self.between - self.within) / per_cell))

    def of_mean(self, seeds: Array) -> Array:
        """Standard deviation (k,) of the mean log loss of cells with so many seeds."""
        if math.isnan(self.within):
            return np.asarray(np.sqrt(self.between / seeds))
        return np.asarray(np.sqrt(self.misfit + self.within / seeds))


def scatter(off: Array, index: NDArray[np.intp], parameters: float) -> Scatter:
    """Split log residuals (n,) of runs in cells (n,), numbered from 0, about a fitted law."""
    runs = np.bincount(index)
    mean = np.bincount(index, off) / runs
    between, within = max(1.0, len(runs) - parameters), len(off) - len(runs)
    pure = float(((off - mean[index]) ** 2).sum())
    return Scatter(
        runs=runs,
        mean=mean,
        within=pure / within if within else math.nan,
        between=float((runs * mean**2).sum() / between),
        freedom=(between, within),
    )
