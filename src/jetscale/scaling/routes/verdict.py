"""The three routes to the frontier of every mixture side by side, and whether they agree."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from jetscale.scaling.engine.objective import Objective
from jetscale.scaling.fitted import MixtureFit, StudyFit
from jetscale.scaling.routes import envelope, isoflop
from jetscale.scaling.routes.agreement import Disagreement, disagreement, law_rows
from jetscale.scaling.routes.heldout import HeldOutBudgets, held_out
from jetscale.scaling.routes.noise import cell_noise
from jetscale.scaling.routes.route import CellMeans, Route, cell_means
from jetscale.words import number

LAW = "law"
NAMES = (LAW, isoflop.NAME, envelope.NAME)
_REREAD = {isoflop.NAME: isoflop.reread, envelope.NAME: envelope.reread}


@dataclass(frozen=True, slots=True, kw_only=True)
class Routes:
    """The frontier of one mixture by joint law, isoFLOP and envelope."""

    mixture: str
    routes: tuple[Route, ...]
    disagreements: tuple[Disagreement, ...] = ()  # of each other route with the law
    held_out: HeldOutBudgets | None = None  # None where too few budgets are left
    json_also: ClassVar[tuple[str, ...]] = ("verdict", "disagree", "better")

    def __getitem__(self, name: str) -> Route:
        """Return a route by its name."""
        return next(route for route in self.routes if route.name == name)

    @property
    def disagree(self) -> bool:
        """True where the runs contradict the law on the exponent by one of the routes."""
        return any(one.disagrees for one in self.disagreements)

    @property
    def better(self) -> str:
        """The route that forecast held-out budgets better; empty where none did."""
        return self.held_out.better if self.held_out else ""

    @property
    def verdict(self) -> str:
        """Whether the exponents of N* agree, and which route forecasts better where they do not."""
        found = [r.name for r in self.routes if r.params_exponent is not None]
        if len(found) < 2:
            return f"{len(found)} of {len(self.routes)} routes have an exponent: nothing to compare"
        apart = [
            f"{one.route} minus law {one.difference} (p = {number(one.p_value, 2)})"
            for one in self.disagreements
            if one.disagrees
        ]
        tested = [one.route for one in self.disagreements if one.p_value == one.p_value]
        said = "routes are not compared: nothing tells the noise"
        if apart:
            said = f"routes disagree: {'; '.join(apart)}"
        elif tested:
            said = f"{', '.join(tested)} and law agree within noise"
        ahead = self.held_out
        return (
            f"{said}; {ahead.text}" if ahead and (apart or self.better not in ("", LAW)) else said
        )


def all_routes(fits: StudyFit) -> Mapping[str, Routes]:
    """The routes of every mixture of the table, fitted or not."""
    found = {}
    for name, runs in fits.runs.groupby("mixture", sort=False):
        found[str(name)] = routes_of(fits, str(name), runs)
    return found


def routes_of(fits: StudyFit, name: str, runs: pd.DataFrame) -> Routes:
    """The routes of one mixture, given its runs."""
    fitted = fits.mixtures.get(name)
    if fitted is None:
        law = Route(name=LAW, missing=f"not fitted: it {fits.not_fitted[name]}")
    else:
        a, b = fitted["a"], fitted["b"]
        law = Route(name=LAW, params_exponent=a, data_exponent=b, interval=fits.interval)
    if runs.groupby(["params", "examples"])["cell"].nunique().max() > 1:
        missing = "runs of equal N and D differ in more than their seed"
        none = (Route(name=other, missing=missing) for other in NAMES[1:])
        return Routes(mixture=name, routes=(law, *none))
    noise = cell_noise(runs, fitted)
    means = cell_means(runs, fits.cost, noise)
    # mixtures are independent of each other
    rows = means.redrawn(fits.options.replicates, [fits.options.seed, zlib.crc32(name.encode())])
    others = isoflop.isoflop(means, fits.cost, rows), envelope.envelope(means, fits.cost, rows)
    tests: tuple[Disagreement, ...] = ()
    ahead = None
    if fitted is not None and not fitted.law.extras:
        tests = _tested(fits, fitted, runs, others, means, rows)
        ahead = held_out(fits, fitted, runs, others[0], noise)
    return Routes(mixture=name, routes=(law, *others), disagreements=tests, held_out=ahead)


def _tested(
    fits: StudyFit,
    fitted: MixtureFit,
    runs: pd.DataFrame,
    others: tuple[Route, ...],
    means: CellMeans,
    rows: np.ndarray,
) -> tuple[Disagreement, ...]:
    there = [(route.name, route.line) for route in others if route.line is not None]
    if not there or len(rows) < 2:
        return ()
    objective = Objective(fits.options.objective, fits.delta)
    predicted = law_rows(fitted, runs, means, objective, rows)
    return tuple(
        disagreement(name, line, _REREAD[name], means, fits.cost, predicted) for name, line in there
    )
