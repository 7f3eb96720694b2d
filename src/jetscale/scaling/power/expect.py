"""The intervals one will get: those the real analysis makes of made-up studies.

Medians over studies, because a study in a few is far off. The share of studies in which the real
analysis calls the exponents not identified stands beside them.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from jetscale.jsonable import json_key
from jetscale.scaling.engine import laws
from jetscale.scaling.estimate import percentile_interval
from jetscale.scaling.fitted import MixtureFit
from jetscale.scaling.power.grid import Grid
from jetscale.scaling.power.truth import Truth

BEYOND = 10.0
"""The second budget is this many times the largest planned one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """How many of some made-up studies."""

    hits: int
    of: int
    json_also: ClassVar[tuple[str, ...]] = ("share", "error")

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

    exponent: float = field(metadata=json_key("params_exponent_half_width"))
    """Half-width of the interval of the params exponent a."""
    at: tuple[AtBudget, ...]  # at the largest planned compute and ten times that
    not_identified: Share  # studies whose exponents the analysis calls not identified
    covered: Share  # studies whose interval holds the true a
    method: str  # how the intervals were made, one of `bootstrap.METHODS`


def widths(grid: Grid, truth: Truth, fits: Iterable[MixtureFit]) -> Widths:
    """Median widths of the intervals of real fits to made-up studies."""
    found = list(fits)
    a = float(laws.exponents(truth.theta, grid.cost)[0])
    frontier = [fitted.frontier["params_exponent"] for fitted in found]
    largest, at = float(grid.flops.max()), []
    for budget in (largest, BEYOND * largest):
        factors, shares = [], []
        for fitted in found:
            best, cells = laws.optimum(fitted.replicates.theta, budget, grid.cost), fitted.n_cells
            low, high = percentile_interval(best.params, cells)
            factors.append(math.sqrt(high / low) if low > 0 else math.inf)
            low, high = percentile_interval(best.loss, cells)
            shares.append((high - low) / (high + low))
        factor, share = float(np.median(factors)), float(np.median(shares))
        at.append(AtBudget(budget=budget, params_factor=factor, loss_relative=share))
    return Widths(
        exponent=float(np.median([(e.high - e.low) / 2 for e in frontier])),
        at=tuple(at),
        not_identified=Share(hits=sum(not e.identified for e in frontier), of=len(found)),
        covered=Share(hits=sum(e.low <= a <= e.high for e in frontier), of=len(found)),
        method=found[0].uncertainty,
    )
