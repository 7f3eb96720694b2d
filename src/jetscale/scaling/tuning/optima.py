"""The best rate of each cell of a search, with its error and what keeps it from being known."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from jetscale.scaling.estimate import Estimate, Z
from jetscale.scaling.tuning.curve import LEAST_SLOPE, Curve, Skew, common_skew, fit_curve, window
from jetscale.scaling.tuning.search import Cell, cells, sides

_ADDED = 2  # factors to add on an open side: an optimum there needs a neighbour beyond it


@dataclass(frozen=True, slots=True, kw_only=True)
class CellOptimum:
    """The optimal rate of one cell; nan with a reason where the runs do not determine it."""

    start: str
    mixture: str
    width: int
    examples: float
    steps: float
    log_rate: float  # minimum of the fitted curve
    error: float  # its standard error: residuals pooled over cells, and the skew
    skewed: float  # the part of the error that cells have in common, signed: that of the skew
    loss: float  # the curve there: geometric mean over seeds
    curvature: float  # second derivative of log loss in log rate, at the minimum
    best_rate: float  # of the rates searched, the one of lowest loss
    best_loss: float  # its mean loss
    n_rates: int
    n_seeds: int
    n_diverged: int  # runs
    edge: str  # "low" or "high": the optimum may lie beyond that end of the search; else empty
    reason: str = ""  # why there is no optimum; empty where there is one

    @property
    def rate(self) -> float:
        """Return the optimal rate itself."""
        return math.exp(self.log_rate)

    @property
    def estimate(self) -> Estimate:
        """Return the optimal rate with its 95% interval; where there is none, the best searched."""
        if not self.identified:
            return Estimate(value=self.best_rate, low=math.nan, high=math.nan, reason=self.reason)
        ends = np.exp(self.log_rate + self.error * np.array([-Z, Z]))
        return Estimate(value=self.rate, low=float(ends[0]), high=float(ends[1]))

    @property
    def identified(self) -> bool:
        """Return False where the runs do not determine the optimum."""
        return not self.reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Widening:
    """The factors that a search of one cell lacks."""

    start: str
    mixture: str
    width: int
    examples: float
    factors: tuple[float, ...]


def find_optima(search: pd.DataFrame) -> tuple[CellOptimum, ...]:
    """Return the optimum of every cell (start, mixture, width, examples) of a search.

    Runs of one seed share an offset of log loss, which is fitted: seeds are paired over rates.
    Raises TableError for an unusable table.
    """
    return tuple(_optimum(fit) for side in sides(cells(search)) for fit in fitted(side))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fitted:
    """A cell with its curve and what it shares with the others of its side."""

    cell: Cell
    curve: Curve | None  # None where the runs tell none
    skew: Skew
    variance: float  # of all residuals; nan where no run is left to judge it by


def fitted(side: Sequence[Cell]) -> list[Fitted]:
    """Return the curves of some cells, fitted with a common skew and a common variance."""
    windows = [window(cell) for cell in side]
    there = [w for w in windows if w is not None]
    skew = common_skew(there)
    curves = [None if w is None else fit_curve(w, skew.value) for w in windows]
    freedom = sum(w.freedom for w in there)
    squares = sum(curve.squares for curve in curves if curve is not None)
    variance = squares / freedom if freedom > 0 else math.nan
    return [
        Fitted(cell=cell, curve=curve, skew=skew, variance=variance)
        for cell, curve in zip(side, curves, strict=True)
    ]


def _optimum(fit: Fitted) -> CellOptimum:
    cell, curve, variance = fit.cell, fit.curve, fit.variance
    levels = cell.levels
    best = int(np.argmin(levels))
    outside, reason = _fault(cell, curve, variance)
    edge = outside or _edge(best, len(levels), bool(np.isfinite(levels).any()))
    log_rate = error = skewed = loss = curvature = math.nan
    if curve is not None and not reason:
        log_rate, curvature = curve.minimum, curve.curvature
        skewed = curve.shift(fit.skew)
        error = math.hypot(curve.error(variance), skewed)
        loss = math.exp(curve.weights(log_rate) @ levels[curve.window.rates])
    return CellOptimum(
        start=cell.start,
        mixture=cell.mixture,
        width=cell.width,
        examples=cell.examples,
        steps=cell.steps,
        log_rate=log_rate,
        error=error,
        skewed=skewed,
        loss=loss,
        curvature=curvature,
        best_rate=float(np.exp(cell.log_rates[best])),
        best_loss=float(cell.means[best]),
        n_rates=len(levels),
        n_seeds=len(cell.seeds),
        n_diverged=int(np.isposinf(cell.log_losses).sum()),
        edge=edge,
        reason=reason,
    )


def _edge(best: int, rates: int, any_finite: bool) -> str:
    """Return on which side the search is open; where all diverged, it is the low one."""
    if best == 0 or not any_finite:
        return "low"
    return "high" if best == rates - 1 else ""


def _fault(cell: Cell, curve: Curve | None, variance: float) -> tuple[str, str]:
    """Return the side on which a minimum was left, if it was, and why there is none."""
    if curve is None:
        count = int(np.isfinite(cell.levels).sum())
        if count < 3:
            return "", f"{count} of {len(cell.levels)} rates were run without divergence; needs 3"
        return "", "too few rates near the best have seeds in common; run 3 there with one seed"
    if math.isnan(curve.minimum):
        return "", "log loss is not curved upwards around the best rate"
    # of a curvature near zero the inverse has no finite error: the minimum could be anywhere
    if variance > 0 and curve.steepness(variance) < LEAST_SLOPE:
        return "", f"the curvature is below {LEAST_SLOPE:g} of its standard errors"
    low, high = cell.log_rates[[0, -1]]
    used = cell.log_rates[curve.window.rates[[0, -1]]]
    if curve.minimum < low or curve.minimum > high:
        side = "low" if curve.minimum < low else "high"
        return side, f"the minimum lies beyond the {side} end of the search"
    if not used[0] <= curve.minimum <= used[1]:
        return "", "the minimum lies beyond the rates near the best that could be fitted"
    return "", ""


def widen(optima: Sequence[CellOptimum], factors: Sequence[float]) -> tuple[Widening, ...]:
    """Return the factors to add to every cell whose optimum lies at an end of the search.

    They are the next two powers of two beyond the factors searched, so that a cell whose best
    factor was 4 is searched at 8 and 16 too.
    """
    high = math.floor(math.log2(max(factors)) + 1e-9) + 1
    low = math.ceil(math.log2(min(factors)) - 1e-9) - 1
    added = {
        "high": tuple(2.0 ** (high + i) for i in range(_ADDED)),
        "low": tuple(2.0 ** (low - i) for i in reversed(range(_ADDED))),
    }
    return tuple(
        Widening(
            start=o.start,
            mixture=o.mixture,
            width=o.width,
            examples=o.examples,
            factors=added[o.edge],
        )
        for o in optima
        if o.edge
    )
