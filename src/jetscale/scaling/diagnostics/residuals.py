"""What the residuals say: whether they scatter about the law more than seeds do.

Log residuals r of a cell's m seeds split into their mean, which the law with its p parameters
should explain, and their spread about it, which it cannot (pure error):

    within = sum over runs of (r - rbar)^2 / (runs - cells)
    between = sum over cells of m rbar^2 / (cells - p)

The misfit, which no further seed removes, is (between - within) / m or 0 (Searle, Casella &
McCulloch, Variance Components, section 3.6). The lack-of-fit test is F = between / within (Draper &
Smith, Applied Regression Analysis, section 2.1), exact for least squares and normal noise. The test
of a smooth misfit (`components`) needs no second seed: it asks whether neighbours err alike.
"""

import math
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from jetscale.scaling.diagnostics.batch import Batch
from jetscale.scaling.engine.laws import Array
from jetscale.scaling.fitted import Misfit, MixtureFit

_RARE = 0.05
_SURPRISING = 0.005
_TOO_GOOD = (
    "; cells agree with the law better than their seeds allow: runs of one seed err together "
    "across cells, as with a shared trunk or training set"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Residuals:
    """Residuals of one mixture, by cell."""

    worst_params: float  # model size of the cell whose mean lies farthest from the law
    worst_examples: float
    worst_residual: float  # its mean relative residual, measured / law - 1
    seed_spread: float = math.nan  # relative noise of one run; nan where no cell repeats
    misfit_spread: float = math.nan  # relative deviation of cells from the law beyond the seeds
    misfit_share: float = math.nan  # of the variance of one run about the law
    lack_of_fit: float = math.nan  # F statistic of cell means against pure error
    p_value: float = math.nan  # chance of at least this F where the law holds
    trend_params: float  # rank correlation of the cell means with log N
    trend_examples: float  # rank correlation of the cell means with log D
    reason: str = ""  # why there is no lack-of-fit test
    smooth: Misfit = field(default_factory=Misfit)  # the deviation that neighbouring cells share
    json_also: ClassVar[tuple[str, ...]] = ("suspicious", "text")

    @property
    def suspicious(self) -> bool:
        """True where cells deviate more than their seeds explain, or neighbours err alike."""
        return self.p_value < _RARE or self.smooth.p_value < _RARE

    @property
    def text(self) -> str:
        """One line for a reader."""
        if self.reason:
            return f"{self.smooth.text}; no lack-of-fit test: {self.reason}"
        return (
            f"cells deviate from the law by {self.misfit_spread:.2%} beyond a seed spread of "
            f"{self.seed_spread:.2%} ({self.misfit_share:.0%} of the variance of a run); lack of "
            f"fit F = {self.lack_of_fit:.2f}, p = {self.p_value:.2g}"
            + (_TOO_GOOD if self.p_value > 1 - _SURPRISING else "")
            + f"; {self.smooth.text}"
        )


def residuals(batch: Batch, fitted: MixtureFit) -> Residuals:
    """Residuals of one mixture of a batch, charged an equal share of the parameters."""
    name = fitted.mixture
    own = np.flatnonzero(batch.family.group == batch.names.index(name))
    _, first, index = np.unique(batch.cells[own], return_index=True, return_inverse=True)
    parameters = int((~batch.family.design.fixed).sum()) / len(batch.names)
    found = scatter(batch.residuals()[own], index, parameters)
    sizes = batch.runs.iloc[own[first]]
    params, examples = (sizes[column].to_numpy() for column in ("params", "examples"))
    worst = int(np.abs(found.mean).argmax())
    where = Residuals(
        worst_params=float(params[worst]),
        worst_examples=float(examples[worst]),
        worst_residual=float(np.expm1(found.mean[worst])),
        trend_params=_trend(found.mean, params),
        trend_examples=_trend(found.mean, examples),
        reason="" if found.freedom[1] else "no cell has two seeds",
        smooth=fitted.misfit,
    )
    if not found.within > 0:  # nan where no cell has two seeds
        return replace(where, reason=where.reason or "its seeds agree exactly")
    ratio = found.between / found.within
    return replace(
        where,
        seed_spread=math.sqrt(found.within),
        misfit_spread=math.sqrt(found.misfit),
        misfit_share=found.misfit / (found.misfit + found.within),
        lack_of_fit=ratio,
        p_value=float(stats.f.sf(ratio, *found.freedom)),
    )


def _trend(values: Array, size: Array) -> float:
    """Spearman's rank correlation; nan where the values are all the same."""
    return float(stats.spearmanr(values, size).statistic) if np.ptp(values) > 0 else math.nan


@dataclass(frozen=True, slots=True, eq=False)
class Scatter:
    """Residuals of some cells; arrays are (cells,)."""

    runs: NDArray[np.intp]  # seeds of each cell
    mean: Array  # mean log residual of each cell
    within: float  # mean square between seeds; nan where no cell has two
    between: float  # mean square of cell means times their seeds
    freedom: tuple[float, int]  # degrees of freedom of between and within

    @property
    def misfit(self) -> float:
        """Variance of cells about the law beyond the seeds; nan where no cell has two."""
        total, cells = int(self.runs.sum()), len(self.runs)
        per_cell = (total - int((self.runs**2).sum()) / total) / (cells - 1)
        return float(np.maximum(0.0, (self.between - self.within) / per_cell))


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
