"""What every route to the compute-optimal frontier (arXiv 2203.15556) starts from and returns.

A route is a function of the mean log losses of the cells, many rows of them at once: as measured,
redrawn with the noise of the cells, or as a law predicts them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import pandas as pd
from scipy.interpolate import PchipInterpolator

from jetscale.jsonable import HIDDEN, json_key
from jetscale.scaling.cost import CostModel
from jetscale.scaling.engine.laws import Array
from jetscale.scaling.estimate import Estimate
from jetscale.scaling.routes.line import Line
from jetscale.scaling.routes.noise import Noise
from jetscale.scaling.routes.spread import exponents

_ROUNDING = 1e-9
_FEWEST, _MOST = 50, 10_000_000  # replicates, and losses of all of them together


@dataclass(frozen=True, slots=True, eq=False)
class CellMeans:
    """The cells of one mixture, sorted by params and examples; every array is (k,)."""

    params: Array
    examples: Array
    flops: Array
    log_loss: Array  # mean over seeds
    noise: Noise

    def redrawn(self, replicates: int, seed: int | Sequence[int]) -> Array:
        """(1 + R, k) log losses: as measured, then replicates; R is 0 where no noise is known."""
        if not self.noise.known:
            return self.log_loss[None]
        count = min(replicates, max(_FEWEST, _MOST // len(self.params)))
        chance = np.random.default_rng(seed).standard_normal((count, len(self.params)))
        return np.concatenate([self.log_loss[None], self.log_loss + chance * self.noise.errors])


def cell_means(runs: pd.DataFrame, cost: CostModel, noise: Noise) -> CellMeans:
    """The cells of one mixture of a clean run table."""
    logs = runs.assign(log_loss=np.log(runs["loss"]), log_c=np.log(cost.of_runs(runs)))
    table = logs.groupby(["params", "examples"])[["log_c", "log_loss"]].mean().reset_index()
    n, d, c, mean = (table[name].to_numpy(dtype=float) for name in table.columns)
    return CellMeans(n, d, np.exp(c), mean, noise)


class LossCurves:
    """Curves of all sizes with at least two data sizes, for R rows of log losses at once."""

    def __init__(self, means: CellMeans, rows: Array, cost: CostModel, apart: float = 0.0) -> None:
        """Take k cells and their log losses (R, k); ``apart`` thins sizes out, in log N."""
        self._cost = cost
        self._curves: list[tuple[float, PchipInterpolator]] = []
        for params in _thinned(means, apart):
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


def _thinned(means: CellMeans, apart: float) -> Array:
    """Model sizes at least ``apart`` in log N, those with the longest curves first."""
    sizes, first = np.unique(means.params, return_index=True)
    if not apart:
        return sizes
    # cells are sorted by params, then examples
    last = np.append(first[1:], len(means.params)) - 1
    kept: list[float] = []
    for i in np.argsort(means.examples[last] / means.examples[first], kind="stable")[::-1]:
        if all(abs(np.log(sizes[i] / other)) >= apart for other in kept):
            kept.append(float(sizes[i]))
    return np.sort(kept)


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontierPoint:
    """The best model at one budget."""

    budget: float = field(metadata=json_key("budget_flops"))  # FLOPs
    params: Estimate
    examples: float
    loss: float
    flag: str = ""  # why the point is not used; empty where it is
    profile: tuple[Array, Array] | None = field(
        default=None, repr=False, compare=False, metadata=HIDDEN
    )
    """Sizes and losses the point was read off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """The exponents of the frontier by one route; none where ``missing`` says why."""

    name: str
    params_exponent: Estimate | None = None
    data_exponent: Estimate | None = None
    points: tuple[FrontierPoint, ...] = ()
    interval: str = ""  # how the intervals were made
    missing: str = ""
    line: Line | None = field(default=None, repr=False, compare=False, metadata=HIDDEN)
    json_also: ClassVar[tuple[str, ...]] = ("budgets_used",)

    @property
    def budgets_used(self) -> int:
        """Points that count."""
        return sum(not point.flag for point in self.points)


def along(
    name: str, points: tuple[FrontierPoint, ...], line: Line, noise: Noise, cost: CostModel, of: str
) -> Route:
    """Return a route along a line; ``of`` is what is left out one at a time."""
    a, b = exponents(line.slopes, line.slopes_left, noise, cost)
    how = f"noise from {noise.source}, and a jackknife over {of}; Student, 95%"
    return Route(
        name=name,
        params_exponent=a,
        data_exponent=b,
        points=points,
        line=line,
        interval="" if np.isnan(a.low) else how,
    )
