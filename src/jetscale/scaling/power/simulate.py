"""Made-up studies of a stated law: their run tables, quick fits to many, and intervals to expect.

Quick fits give the sampling distribution of the exponent a, all data sets in one batch. Intervals
are those of the real analysis: medians, because a study in a few is far off, beside the share of
studies in which it calls the exponents not identified.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import pandas as pd

from jetscale.jsonable import json_key
from jetscale.scaling.engine.family import Family
from jetscale.scaling.engine.laws import Array, Centred
from jetscale.scaling.engine.objective import Objective
from jetscale.scaling.estimate import Z, percentile_interval
from jetscale.scaling.fit import huber_width
from jetscale.scaling.fitted import MixtureFit
from jetscale.scaling.power.grid import Grid
from jetscale.scaling.power.truth import Truth
from jetscale.scaling.table import validate

BEYOND = 10.0  # the second budget is this many times the largest planned one


def log_losses(grid: Grid, truth: Truth, count: int, rng: np.random.Generator) -> Array:
    """Log losses (count, n) of the runs of one mixture, one row per made-up study."""
    cell = grid.cell_of_run
    exact = np.log(truth.loss(grid.params, grid.examples))
    smooth = grid.smooth()
    misfit = truth.misfit * rng.standard_normal((count, smooth.shape[1])) @ smooth.T
    noise = truth.noise * rng.standard_normal((count, len(cell)))
    return np.asarray((exact + misfit)[:, cell] + noise)


def simulate_runs(grid: Grid, truth: Truth, mixture: str, random: tuple[int, ...]) -> pd.DataFrame:
    """The run table of one mixture of a made-up study; ``random`` decides the draw."""
    return grid.runs(log_losses(grid, truth, 1, np.random.default_rng(random))[0], mixture)


def quick_fits(grid: Grid, truth: Truth, count: int, seed: int) -> Array:
    """Parameters (count, P) fitted to made-up studies as `fit` would, without intervals."""
    cell = grid.cell_of_run
    exact = truth.loss(grid.params, grid.examples)
    runs = Centred.of(grid.params[cell], grid.examples[cell], exact[cell])
    family = Family(truth.law, runs)
    targets = log_losses(grid, truth, count, np.random.default_rng(seed)) - runs.z0
    delta = huber_width(validate(grid.runs(targets[0] + runs.z0)))
    fits = family.fit(np.ones_like(targets), Objective("huber", delta), targets)
    return family.theta(fits.q, 0)


def central_deviation(values: Array) -> float:
    """Standard deviation by the central 95% of values, so that strays do not decide it."""
    low, high = np.quantile(values, [0.025, 0.975])
    return float(high - low) / (2 * Z)


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """How many of some made-up studies."""

    hits: int
    of: int
    json_also: ClassVar[tuple[str, ...]] = ("share", "error")

    @classmethod
    def of_studies(cls, hits: Iterable[bool]) -> "Share":
        """Count the studies in which something held."""
        found = list(hits)
        return cls(hits=sum(found), of=len(found))

    @property
    def share(self) -> float:
        """The share of studies."""
        return self.hits / self.of

    @property
    def error(self) -> float:
        """Its standard error by simulation, with two studies added so that it is never 0."""
        share = (self.hits + 1) / (self.of + 2)
        return math.sqrt(share * (1 - share) / self.of)


@dataclass(frozen=True, slots=True, kw_only=True)
class AtBudget:
    """Intervals of N* and L* at a budget."""

    budget: float = field(metadata=json_key("budget_flops"))  # FLOPs of one run
    params_factor: float  # N* is known within this factor each way: the root of high over low
    loss_relative: float  # L* is known within this share each way


@dataclass(frozen=True, slots=True, kw_only=True)
class Widths:
    """Median 95% intervals of one mixture over made-up studies."""

    exponent: float = field(metadata=json_key("params_exponent_half_width"))  # of a
    at: tuple[AtBudget, ...]  # at the largest planned compute and ten times that
    not_identified: Share  # studies whose exponents the analysis calls not identified
    covered: Share  # studies whose interval holds the true a
    method: str  # how the intervals were made, one of `bootstrap.METHODS`


def widths(grid: Grid, truth: Truth, fits: list[MixtureFit]) -> Widths:
    """Median widths of the intervals of real fits to made-up studies."""
    a = truth.exponent(grid.cost)
    frontier = [fitted.frontier["params_exponent"] for fitted in fits]
    largest, at, optimum = float(grid.flops.max()), [], truth.law.optimum
    for budget in (largest, BEYOND * largest):
        factors, shares = [], []
        for fitted in fits:
            cells, best = fitted.n_cells, optimum(fitted.replicates.theta, budget, grid.cost)
            low, high = percentile_interval(best.params, cells)
            factors.append(math.sqrt(high / low) if low > 0 else math.inf)
            point = optimum(fitted.theta, budget, grid.cost)
            low, high = percentile_interval(fitted.losses(point.params, point.examples)[1:], cells)
            shares.append((high - low) / (high + low))
        factor, share = float(np.median(factors)), float(np.median(shares))
        at.append(AtBudget(budget=budget, params_factor=factor, loss_relative=share))
    return Widths(
        exponent=float(np.median([(e.high - e.low) / 2 for e in frontier])),
        at=tuple(at),
        not_identified=Share.of_studies(not e.identified for e in frontier),
        covered=Share.of_studies(e.low <= a <= e.high for e in frontier),
        method=fits[0].uncertainty,
    )
