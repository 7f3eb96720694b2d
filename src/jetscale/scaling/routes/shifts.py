"""Whether two mixtures differ in the exponent of N* by a route other than the law.

Both mixtures go through the same profiles or corners. Their noise is taken to be independent, which
makes an interval too wide rather than too narrow where seeds are shared.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from typing import ClassVar

from scipy import stats

from jetscale.scaling.comparison.claims import SIGNIFICANT, holm
from jetscale.scaling.estimate import CONFIDENCE, Estimate
from jetscale.scaling.routes.route import Route
from jetscale.scaling.routes.spread import standard_error
from jetscale.scaling.routes.verdict import LAW, Routes
from jetscale.words import number, with_interval


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteShift:
    """Exponent of N* of mixture b minus that of mixture a by one route."""

    a: str
    b: str
    route: str
    difference: Estimate
    p_value_uncorrected: float
    p_value: float  # Holm-corrected over the pairs of the study
    json_also: ClassVar[tuple[str, ...]] = ("clause",)

    @property
    def shown(self) -> bool:
        """True where the noise does not explain the difference."""
        return self.difference.identified and self.p_value < SIGNIFICANT

    @property
    def clause(self) -> str:
        """The difference and whether it is shown, without a stop."""
        if not self.difference.identified:
            return f"{self.route}: {self.b} minus {self.a}: {self.difference.reason}"
        shown = "shift" if self.shown else "no shift shown"
        change = f"{with_interval(self.difference)}, {shown} (p = {number(self.p_value, 2)})"
        return f"{self.route}: {self.b} minus {self.a} is {change}"


def route_shifts(routes: Mapping[str, Routes]) -> tuple[RouteShift, ...]:
    """Return the differences of every pair of mixtures by every route both have."""
    found: list[RouteShift] = []
    for name in dict.fromkeys(r.name for one in routes.values() for r in one.routes):
        if name == LAW:
            continue
        there = {m: one[name] for m, one in routes.items() if one[name].line is not None}
        pairs = [_shift(a, b, there[a], there[b]) for a, b in combinations(there, 2)]
        p_values = holm([p.p_value_uncorrected for p in pairs])
        found += [replace(one, p_value=p) for one, p in zip(pairs, p_values, strict=True)]
    return tuple(found)


def _shift(a: str, b: str, first: Route, second: Route) -> RouteShift:
    """The difference of two routes with Welch's degrees of freedom."""
    sides, values = [], []
    for route in (first, second):
        assert route.line is not None
        values.append(float(route.line.slopes[0]))
        line = route.line
        sides.append(standard_error(line.slopes, line.slopes_left, line.freedom))
    value, square = values[1] - values[0], sum(error**2 for error, _ in sides)
    below = sum(error**4 / freedom for error, freedom in sides if freedom)
    half, p_value, reason = math.nan, 1.0, "nothing tells the noise of both"
    if square > 0 and below > 0:
        freedom, error, reason = square**2 / below, math.sqrt(square), ""
        half = error * float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom))
        p_value = float(2 * stats.t.sf(abs(value) / error, freedom))
    around = Estimate(value=value, low=value - half, high=value + half, reason=reason)
    numbers = {"p_value_uncorrected": p_value, "p_value": p_value}
    return RouteShift(a=a, b=b, route=first.name, difference=around, **numbers)
