"""What the residuals say: whether they scatter about the law more than seeds do.

The lack-of-fit test compares the mean square of cell means with that between seeds, both of
`scatter`: F = between / within (Draper & Smith, Applied Regression Analysis, section 2.1). It is
exact for least squares and independent normal noise; with a Huber loss that downweights little it
is close.
"""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy import stats

from jetscale.scaling.diagnostics.batch import Batch
from jetscale.scaling.diagnostics.scatter import scatter
from jetscale.scaling.engine.laws import Array

_RARE = 0.05
_SURPRISING = 0.005
_TOO_GOOD = (
    "; cells agree with the law better than their seeds allow: runs of one seed err together "
    "across cells, as with a shared trunk or training set"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Residuals:
    """Residuals of one mixture, by cell."""

    worst_params: float
    """Model size of the cell whose mean lies farthest from the law."""
    worst_examples: float
    worst_residual: float
    """Its mean relative residual, measured / law - 1."""
    seed_spread: float = math.nan
    """Relative noise of one run, from seeds of the same cell; nan where none repeats."""
    misfit_spread: float = math.nan
    """Relative deviation of cells from the law beyond the seeds; nan where none repeats."""
    misfit_share: float = math.nan
    """Of the variance of one run about the law, the share that is misfit."""
    lack_of_fit: float = math.nan
    """F statistic of cell means against pure error."""
    p_value: float = math.nan
    """Chance of at least this F where the law holds."""
    trend_params: float
    """Rank correlation of the cell means with log N."""
    trend_examples: float
    """Rank correlation of the cell means with log D."""
    reason: str = ""
    """Why there is no lack-of-fit test."""
    json_also: ClassVar[tuple[str, ...]] = ("suspicious", "text")

    @property
    def suspicious(self) -> bool:
        """True where the cells deviate from the law more than their seeds explain."""
        return self.p_value < _RARE

    @property
    def text(self) -> str:
        """One line for a reader."""
        if self.reason:
            return f"no lack-of-fit test: {self.reason}"
        return (
            f"cells deviate from the law by {self.misfit_spread:.2%} beyond a seed spread of "
            f"{self.seed_spread:.2%} ({self.misfit_share:.0%} of the variance of a run); lack of "
            f"fit F = {self.lack_of_fit:.2f}, p = {self.p_value:.2g}"
            + (_TOO_GOOD if self.p_value > 1 - _SURPRISING else "")
        )


def residuals(batch: Batch, name: str) -> Residuals:
    """Residuals of one mixture of a batch.

    In a joint fit a mixture is charged an equal share of the parameters.
    """
    own = np.flatnonzero(batch.family.group == batch.names.index(name))
    _, first, index = np.unique(batch.cells[own], return_index=True, return_inverse=True)
    parameters = int((~batch.family.design.fixed).sum()) / len(batch.names)
    found = scatter(batch.residuals()[own], index, parameters)
    sizes = batch.runs.iloc[own[first]]
    params, examples = (sizes[column].to_numpy() for column in ("params", "examples"))
    worst = int(np.abs(found.mean).argmax())
    lack: dict[str, Any] = {"reason": "its seeds agree exactly"}
    if not found.freedom[1]:
        lack = {"reason": "no cell has two seeds"}
    if found.within > 0:
        ratio = found.between / found.within
        lack = {
            "seed_spread": math.sqrt(found.within),
            "misfit_spread": math.sqrt(found.misfit),
            "misfit_share": found.misfit / (found.misfit + found.within),
            "lack_of_fit": ratio,
            "p_value": float(stats.f.sf(ratio, *found.freedom)),
        }
    return Residuals(
        worst_params=float(params[worst]),
        worst_examples=float(examples[worst]),
        worst_residual=float(np.expm1(found.mean[worst])),
        trend_params=_trend(found.mean, params),
        trend_examples=_trend(found.mean, examples),
        **lack,
    )


def _trend(values: Array, size: Array) -> float:
    """Spearman's rank correlation; nan where the values are all the same."""
    return float(stats.spearmanr(values, size).statistic) if np.ptp(values) > 0 else math.nan
