"""What a route to the compute-optimal frontier returns, whichever way it went.

There are three (Hoffmann et al., arXiv 2203.15556): the joint law, isoFLOP profiles and the
envelope of runs. They rest on different assumptions, so their agreement is evidence and their
disagreement a warning.
"""

from dataclasses import dataclass, field

import numpy as np

from jetscale.jsonable import json_key
from jetscale.scaling.cost import CostModel
from jetscale.scaling.engine.laws import Array
from jetscale.scaling.estimate import Estimate, percentile_interval
from jetscale.scaling.spread import CellMeans


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


def exponents_of(slopes: Array, cost: CostModel, n: int, reason: str) -> tuple[Estimate, Estimate]:
    """Exponents of N* and D* from the slopes of log N* (1 + R,): as measured, then replicates.

    On C = k N^p D the exponent of D* is 1 - p times that of N*.
    """
    pair = []
    for values in (slopes, 1 - cost.p * slopes):
        low, high = interval(values, n)
        pair.append(Estimate(value=float(values[0]), low=low, high=high, reason=reason))
    return pair[0], pair[1]


def no_interval(means: CellMeans) -> str:
    """Why a route has no interval, or empty."""
    return "" if np.isfinite(means.spread) else "no cell was run twice, so there is no interval"


def interval(values: Array, n: int) -> tuple[float, float]:
    """Interval of values (1 + R,): as measured, then replicates; nan without replicates."""
    if len(values) < 2:
        return float("nan"), float("nan")
    return percentile_interval(np.asarray(values[1:]), n)
