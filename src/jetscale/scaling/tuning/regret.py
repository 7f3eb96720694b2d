"""What training by a rate law costs against the best rate that was searched."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from jetscale.scaling.cost import Array
from jetscale.scaling.tuning.curve import Curve
from jetscale.scaling.tuning.laws import RateLaws
from jetscale.scaling.tuning.optima import fitted
from jetscale.scaling.tuning.search import Cell, cells, sides


@dataclass(frozen=True, slots=True, kw_only=True)
class CellRegret:
    """The loss of one cell at the law's rate, against its best rate.

    The best is the least of noisy means, so a regret of about the noise is none.
    """

    start: str
    mixture: str
    width: int
    examples: float
    steps: float
    rate: float  # by the law
    loss: float  # mean loss there; nan outside of the search, infinite beside a diverged rate
    best_rate: float  # of the rates searched
    best_loss: float
    regret: float  # loss at the law's rate minus the best loss
    error: float  # its standard error over paired seeds; nan for one seed
    within: bool  # the law's rate lies inside the rates searched


def regrets(search: pd.DataFrame, laws: RateLaws) -> tuple[CellRegret, ...]:
    """Return the regret of every cell of a search under the laws fitted to it.

    The loss at the law's rate is read off the cell's fitted curve between the rates near its
    minimum, and off straight lines of log loss in log rate between the others; outside of the
    rates searched there is none. Raises TableError for an unusable table, FitError for a start
    without a law.
    """
    usable = {(o.start, o.mixture, o.width, o.examples) for o in laws.optima if o.identified}
    found = []
    for fit in (fit for side in sides(cells(search)) for fit in fitted(side)):
        cell = fit.cell
        curved = (cell.start, cell.mixture, cell.width, cell.examples) in usable
        rate = laws.rate(cell.start, cell.width, cell.steps)
        found.append(_regret(cell, fit.curve if curved else None, rate))
    return tuple(found)


def _regret(cell: Cell, curve: Curve | None, rate: float) -> CellRegret:
    best = int(np.argmin(cell.levels))
    best_loss, at = float(np.exp(cell.levels[best])), math.log(rate)
    slack = 1e-9 * np.array([-1, 1])  # a law through an end may miss it by rounding
    low, high = cell.log_rates[[0, -1]] + slack
    within = bool(low <= at <= high)
    difference, error = math.nan, math.nan
    if within and np.isfinite(best_loss):
        weights = _weights(cell, curve, at)
        weights[best] -= 1
        difference, error = _paired(cell, weights)
    loss = best_loss * math.exp(difference) if difference < 700 else math.inf
    return CellRegret(
        start=cell.start,
        mixture=cell.mixture,
        width=cell.width,
        examples=cell.examples,
        steps=cell.steps,
        rate=rate,
        loss=loss if within else math.nan,
        best_rate=float(np.exp(cell.log_rates[best])),
        best_loss=best_loss,
        regret=loss - best_loss if within else math.nan,
        error=loss * error if math.isfinite(loss) else math.nan,
        within=within,
    )


def _weights(cell: Cell, curve: Curve | None, at: float) -> Array:
    """Return the weights (R,) of the log losses whose sum is the log loss at a log rate."""
    weights = np.zeros(len(cell.log_rates))
    if curve is not None:
        used = curve.window.rates
        if cell.log_rates[used[0]] <= at <= cell.log_rates[used[-1]]:
            weights[used] = curve.weights(at)
            return weights
    right = int(np.clip(np.searchsorted(cell.log_rates, at), 1, len(weights) - 1))
    left, span = right - 1, cell.log_rates[right] - cell.log_rates[right - 1]
    share = float(np.clip((at - cell.log_rates[left]) / span, 0.0, 1.0))
    weights[[left, right]] = 1 - share, share
    return weights


def _paired(cell: Cell, weights: Array) -> tuple[float, float]:
    """Return a weighted sum of log losses and its standard error over seeds."""
    used = np.abs(weights) > 1e-12
    if not cell.finite[used].all():
        return math.inf, math.nan
    value = float(weights[used] @ cell.levels[used])
    each = weights[used] @ cell.log_losses[used]
    each = each[~np.isnan(each)]  # seeds with every rate that counts
    if len(each) < 2:
        return value, math.nan
    return value, float(np.std(each, ddof=1) / math.sqrt(len(each)))
