"""The three routes to the frontier of every mixture side by side, and whether they agree."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import ClassVar

from jetscale.scaling.fitted import StudyFit
from jetscale.scaling.routes.envelope import envelope
from jetscale.scaling.routes.isoflop import isoflop
from jetscale.scaling.routes.route import Route


@dataclass(frozen=True, slots=True, kw_only=True)
class Routes:
    """The frontier of one mixture by joint law, isoFLOP and envelope."""

    mixture: str
    routes: tuple[Route, ...]
    json_also: ClassVar[tuple[str, ...]] = ("verdict",)

    @property
    def verdict(self) -> str:
        """Whether the exponents of N* agree within their intervals."""
        found = [(r.name, a) for r in self.routes if (a := r.params_exponent) and a.identified]
        if len(found) < 2:
            return f"{len(found)} of {len(self.routes)} routes have an exponent: nothing to compare"
        apart = [
            f"{a} and {b}"
            for (a, first), (b, second) in combinations(found, 2)
            if first.low > second.high or second.low > first.high
        ]
        if apart:
            return f"routes disagree ({'; '.join(apart)}): the frontier depends on the method"
        return f"{len(found)} routes agree within their intervals"


def all_routes(fits: StudyFit) -> Mapping[str, Routes]:
    """The routes of every mixture of the table, fitted or not."""
    found = {}
    for name, runs in fits.runs.groupby("mixture", sort=False):
        options = (runs, fits.cost, fits.replicates, fits.seed)
        if name in fits.not_fitted:
            law = Route(name="law", missing=f"not fitted: it {fits.not_fitted[str(name)]}")
        else:
            a, b = (fits.mixtures[str(name)][exponent] for exponent in ("a", "b"))
            law = Route(name="law", params_exponent=a, data_exponent=b, interval=fits.interval)
        routes = (law, isoflop(*options), envelope(*options))
        found[str(name)] = Routes(mixture=str(name), routes=routes)
    return found
