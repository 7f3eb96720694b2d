"""What every route to the compute-optimal frontier (arXiv 2203.15556) starts from and returns.

IsoFLOP profiles and the envelope read losses between the runs: for a budget C = k N^p D each model
size has one data size, and the loss there comes from monotone interpolation (PCHIP) of log loss
over log D, never from beyond the data. Their intervals redraw cell means with the seed spread.
"""

import math
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy.interpolate import PchipInterpolator

from jetscale.jsonable import json_key
from jetscale.scaling.cost import CostModel
from jetscale.scaling.engine.laws import Array
from jetscale.scaling.estimate import Estimate, percentile_interval
from jetscale.scaling.table import seed_spread

METHOD = "cell means redrawn with the spread between seeds, percentiles, 95%; seed noise alone"
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class CellMeans:
    """The cells of one mixture, sorted by params and examples; every array is (k,)."""

    params: Array
    examples: Array
    log_loss: Array  # mean over seeds
    runs: Array  # seeds of each cell
    spread: float  # pooled standard deviation between seeds of log loss; nan where no cell repeats

    def redrawn(self, replicates: int, seed: int) -> Array:
        """(1 + R, k) log losses: as measured, then replicates; without repeats R is 0."""
        if not math.isfinite(self.spread):
            return self.log_loss[None]
        noise = np.random.default_rng(seed).standard_normal((replicates, len(self.params)))
        drawn = self.log_loss + noise * self.spread / np.sqrt(self.runs)
        return np.concatenate([self.log_loss[None], drawn])

    def exponents(self, slopes: Array, cost: CostModel) -> tuple[Estimate, Estimate]:
        """Exponents of N* and D* from the slopes (1 + R,) of log N*: as measured, then draws."""
        known = math.isfinite(self.spread)
        reason = "" if known else "no cell was run twice, so there is no interval"
        pair = []
        for values in (slopes, 1 - cost.p * slopes):  # D* follows from C = k N^p D
            low, high = interval(values, len(self.params))
            pair.append(Estimate(value=float(values[0]), low=low, high=high, reason=reason))
        return pair[0], pair[1]


def cell_means(runs: pd.DataFrame) -> CellMeans:
    """The cells of one mixture of a clean run table."""
    logs, cells = runs.assign(log_loss=np.log(runs["loss"])), ["params", "examples"]
    table = logs.groupby(cells)["log_loss"].agg(["mean", "size"]).reset_index()
    n, d, mean, size = (table[name].to_numpy(dtype=float) for name in (*cells, "mean", "size"))
    return CellMeans(n, d, mean, size, seed_spread(runs, cells))


class LossCurves:
    """Curves of all sizes with at least two data sizes, for R rows of log losses at once."""

    def __init__(self, means: CellMeans, rows: Array, cost: CostModel) -> None:
        """Take k cells and their log losses (R, k)."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontierPoint:
    """The best model at one budget."""

    budget: float = field(metadata=json_key("budget_flops"))  # FLOPs
    params: Estimate
    examples: float
    loss: float
    flag: str = ""  # why the point is not used; empty where it is


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """The exponents of the frontier by one route; none where ``missing`` says why."""

    name: str
    params_exponent: Estimate | None = None
    data_exponent: Estimate | None = None
    points: tuple[FrontierPoint, ...] = ()
    interval: str = ""  # how the intervals were made
    missing: str = ""


def interval(values: Array, n: int) -> tuple[float, float]:
    """Interval of values (1 + R,): as measured, then replicates; nan without replicates."""
    if len(values) < 2:
        return float("nan"), float("nan")
    return percentile_interval(np.asarray(values[1:]), n)
