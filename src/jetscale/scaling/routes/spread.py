"""Intervals of what a route says: noise of the cells, and what one point of it changes beyond that.

Replicates redraw the cells with their noise. A route is no law: its budgets or corners also err
together with the shape of the curves, which shows when one is left out (jackknife).
"""

import math

import numpy as np
from scipy import stats

from jetscale.scaling.cost import CostModel
from jetscale.scaling.engine.laws import Array
from jetscale.scaling.estimate import CONFIDENCE, Estimate
from jetscale.scaling.routes.noise import Noise

_SPAN_SHARE = 0.8  # an interval that covers more of what is allowed excludes little
_TAIL = (1 + CONFIDENCE) / 2


def standard_error(values: Array, left_out: Array, freedom: float) -> tuple[float, float]:
    """Standard error of values (1 + R,), as measured and replicates, and its degrees of freedom.

    Noise has ``freedom`` degrees of freedom. What ``left_out`` (m,), without one point each,
    scatters beyond noise has m - 2; the sum has those of Satterthwaite (doi 10.2307/3002019).
    """
    drawn = values[1:][np.isfinite(values[1:])]
    if len(drawn) < 2:
        return math.nan, math.nan
    noise, extra, m = float(drawn.var(ddof=1)), 0.0, len(left_out)
    if m > 2 and np.isfinite(left_out).all():
        jackknife = float(((left_out - left_out.mean()) ** 2).sum()) * (m - 1) / m
        extra = max(0.0, jackknife - noise)
    total = noise + extra
    if total == 0:
        return 0.0, freedom
    known = total**2 / (noise**2 / freedom + (extra**2 / (m - 2) if extra else 0.0))
    return math.sqrt(total), known


def half_width(values: Array, left_out: Array, freedom: float) -> float:
    """Half of the 95% interval about values[0]; nan without replicates."""
    error, known = standard_error(values, left_out, freedom)
    return math.nan if math.isnan(error) else error * float(stats.t.ppf(_TAIL, known))


def exponents(
    slopes: Array, left_out: Array, noise: Noise, cost: CostModel
) -> tuple[Estimate, Estimate]:
    """Exponents of N* and D* from the slopes (1 + R,) of log N*: as measured, then draws."""
    half, value, p, reason = (
        half_width(slopes, left_out, noise.freedom),
        float(slopes[0]),
        cost.p,
        "",
    )
    if math.isnan(half):
        reason = "nothing tells the noise: no cell was run twice, and there are few cells"
    elif 2 * half * p > _SPAN_SHARE:
        reason = f"its interval spans {min(1.0, 2 * half * p):.0%} of what is allowed"
    ends = (value, half), (1 - p * value, p * half)  # D* follows from C = k N^p D
    a, b = (Estimate(value=v, low=v - h, high=v + h, reason=reason) for v, h in ends)
    return a, b
