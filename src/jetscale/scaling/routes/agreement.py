"""Whether a route and the law disagree: the route on the runs against the route on the law.

What the law predicts for the same cells goes through the same profiles or corners, so that what a
route does by itself (windows off the centre, interpolation) is in both and drops out. Noise is
common: each replicate redraws the cells once, refits the law to them and reads the route off them.
A law that bends away from its runs shows here, where its own residuals would pass for noise.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from scipy import stats

from jetscale.scaling.cost import CostModel
from jetscale.scaling.engine.family import Family
from jetscale.scaling.engine.laws import Array, Centred
from jetscale.scaling.engine.objective import Objective
from jetscale.scaling.estimate import Estimate
from jetscale.scaling.fitted import MixtureFit
from jetscale.scaling.routes.line import Line
from jetscale.scaling.routes.route import CellMeans
from jetscale.scaling.routes.spread import half_width, standard_error

SIGNIFICANT = 0.05
_REFITS = 100  # a standard error from so many is known to 7%
_FEWEST, _MOST = 20, 2_000_000  # refits, and losses of all of them together

Reread = Callable[[Line, CellMeans, CostModel, Array], Line]


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreement:
    """The exponent of N* by a route minus that of the law."""

    route: str
    difference: Estimate  # of the route on the runs minus the route on the law's predictions
    p_value: float  # of no difference; small: the law does not describe these runs
    json_also: ClassVar[tuple[str, ...]] = ("disagrees",)

    @property
    def disagrees(self) -> bool:
        """True where the runs contradict the law."""
        return self.p_value < SIGNIFICANT


def law_rows(
    fitted: MixtureFit, runs: pd.DataFrame, means: CellMeans, objective: Objective, rows: Array
) -> Array:
    """Log losses (1 + R, k) of the cells by the law and its refits to redrawn rows (1 + R, k)."""
    logs = Centred.from_runs(runs)
    family = Family(fitted.law, logs)
    cells = pd.MultiIndex.from_arrays([means.params, means.examples])
    place = cells.get_indexer(pd.MultiIndex.from_frame(runs[["params", "examples"]]))
    count = min(_REFITS, max(_FEWEST, _MOST // len(runs)))
    targets = logs.z + (rows[1 : count + 1] - rows[0])[:, place]
    refits = family.fit(np.ones_like(targets), objective, targets)
    theta = np.concatenate([fitted.theta[None], family.theta(refits.q, 0)])
    return np.log(fitted.law.loss(theta[:, None, :], means.params, means.examples))


def disagreement(
    name: str, line: Line, reread: Reread, means: CellMeans, cost: CostModel, predicted: Array
) -> Disagreement:
    """Compare a route on the runs with itself on the law's predictions (1 + R, k)."""
    by_law = reread(line, means, cost, predicted)
    difference = line.slopes[: len(predicted)] - by_law.slopes
    left = line.slopes_left - by_law.slopes_left
    value, half = float(difference[0]), half_width(difference, left, line.freedom)
    error, freedom = standard_error(difference, left, line.freedom)
    p_value = math.nan
    if error > 0:
        p_value = float(2 * stats.t.sf(abs(value) / error, freedom))
    reason = "" if half == half else "too few replicates have it"
    around = Estimate(value=value, low=value - half, high=value + half, reason=reason)
    return Disagreement(route=name, difference=around, p_value=p_value)
