"""One number with its interval, and the two ways intervals are made here.

`percentile_interval` reads an interval off bootstrap replicates. Plain percentiles are too narrow
for few cells, for the reason the sample variance divides by n - 1; the levels are widened
accordingly (the "expanded percentile interval" of Hesterberg, arXiv 1411.5279). `student_interval`
is the classical interval of a mean, for values too few for percentiles.
"""

import math
from dataclasses import dataclass
from typing import ClassVar, SupportsFloat

import numpy as np
from scipy import stats

from jetscale.scaling.cost import Array
from jetscale.words import starred

CONFIDENCE = 0.95
Z = float(stats.norm.ppf((1 + CONFIDENCE) / 2))  # standard errors each side of an interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A value with its 95% interval; an end that is unknown or unlimited is nan or infinite."""

    value: float
    low: float
    high: float
    reason: str = ""  # why the data do not determine the value; empty where they do
    json_also: ClassVar[tuple[str, ...]] = ("identified",)

    @classmethod
    def of(cls, value: SupportsFloat, draws: Array, cells: int, reason: str = "") -> "Estimate":
        """Return a value with the percentile interval of its replicates (R,)."""
        low, high = percentile_interval(draws, cells)
        return cls(value=float(value), low=low, high=high, reason=reason)

    @property
    def identified(self) -> bool:
        """False where the runs do not determine the value."""
        return not self.reason

    def __str__(self) -> str:
        """Return ``0.34 [0.31, 0.37]``, with a star where the runs do not determine the value."""
        return starred(self)


def expanded_level(n: int) -> float:
    """Lower tail level of the expanded percentile interval for n resampled cells.

    The level is Phi(-sqrt(n / (n - 1)) t), t being Student's quantile for n - 1 degrees of freedom.

    >>> round(expanded_level(10**6), 4), round(expanded_level(20), 4)
    (0.025, 0.0159)
    """
    t = stats.t.ppf((1 + CONFIDENCE) / 2, n - 1)
    return float(stats.norm.cdf(-math.sqrt(n / (n - 1)) * t))


def widening(wanted: float, n: int) -> float:
    """Scale for redrawn errors that makes an interval ``wanted`` standard errors wide each side.

    `percentile_interval(..., n)` widens for n cells only: anything beyond that, such as a larger
    Student quantile, must already be in the replicates. This factor puts it there.
    """
    return float(wanted / -stats.norm.ppf(expanded_level(max(2, n))))


def percentile_interval(values: Array, n: int) -> tuple[float, float]:
    """95% interval from bootstrap replicates (R,) made by resampling n > 1 cells.

    The end at level p is the value of rank p (R + 1), interpolated. Infinite replicates count as
    the extremes they are; undefined ones are left out.
    """
    ordered = np.sort(values[~np.isnan(values)])
    if not len(ordered):
        return math.nan, math.nan
    place = max(0.0, expanded_level(n) * (len(ordered) + 1) - 1)
    ends = []
    for at in (place, len(ordered) - 1 - place):
        first, share = int(at), at % 1
        low, high = ordered[first], ordered[min(first + 1, len(ordered) - 1)]
        # equal neighbours are returned as they are: 0 * inf would make an infinite end undefined
        between = (1 - share) * low + share * high if low != high and share else low
        ends.append(float(between))
    return ends[0], ends[1]


def student_interval(values: Array) -> Estimate:
    """Mean of independent values (n,) with its Student interval; no interval for n = 1."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return Estimate(value=mean, low=math.nan, high=math.nan)
    error = float(np.std(values, ddof=1)) / math.sqrt(len(values))
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1)) * error
    return Estimate(value=mean, low=mean - half, high=mean + half)
