"""The best run of a mixture as its isoFLOP profiles or its envelope see it: no law involved."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from jetscale.errors import FitError, unknown
from jetscale.scaling.allocation import sense
from jetscale.scaling.allocation.measured import measured_cell
from jetscale.scaling.allocation.values import MixtureAllocation, shares_lowest
from jetscale.scaling.budget import Budget
from jetscale.scaling.cost import CostModel
from jetscale.scaling.engine.laws import Array
from jetscale.scaling.routes.route import Route
from jetscale.scaling.routes.spread import half_width
from jetscale.scaling.routes.verdict import NAMES, Routes
from jetscale.scaling.searched import rate_cost

_DRAWS = 2000


def route_named(asked: str) -> str:
    """Return the name of a route as outputs write it; raises FitError where there is none."""
    names = {name.lower(): name for name in NAMES}
    if asked.lower() not in names:
        raise FitError(unknown("route", asked, names))
    return names[asked.lower()]


def usable(routes: Mapping[str, Routes], name: str) -> tuple[dict[str, Route], dict[str, str]]:
    """Return the mixtures that have this route, and what the others lack; FitError if none has."""
    found = {mixture: one[name] for mixture, one in routes.items()}
    there = {mixture: route for mixture, route in found.items() if route.line is not None}
    lacking = {m: f"has no {name} route: {r.missing}" for m, r in found.items() if m not in there}
    if not there:
        raise FitError("; ".join(f"mixture {m!r} {why}" for m, why in lacking.items()))
    return there, lacking


def shares(routes: Mapping[str, Route], budget: Budget, seed: int) -> dict[str, float | None]:
    """Return in which share of draws the loss of each mixture is lowest; see `shares_lowest`.

    Losses are drawn as wide as their intervals, independently of each other. Without the noise of
    one mixture no share is known.
    """
    rng, log_c, drawn = np.random.default_rng(seed), float(np.log(budget.flops)), {}
    for name, route in routes.items():
        assert route.line is not None
        values, left = route.line.losses(log_c)
        half = half_width(values, left, route.line.freedom)
        drawn[name] = values[0] + half / 1.96 * rng.standard_normal(_DRAWS)
    if len(drawn) > 1 and np.isnan(list(drawn.values())).any():
        return dict.fromkeys(drawn, np.nan)
    return shares_lowest(drawn)


def answer(
    mixture: str,
    route: Route,
    runs: pd.DataFrame,
    budget: Budget,
    cost: CostModel,
    share: float | None,
    hours: float | None,
) -> MixtureAllocation:
    """Return the answer of one mixture by a route."""
    assert route.line is not None
    params, examples, loss = route.line.at(budget.flops, cost)
    window = {name: _ends(runs[name].to_numpy()) for name in ("params", "examples")}
    away = sense.beyond(budget.flops, _ends(cost.of_runs(runs)))
    none = sense.no_optimum({"params": params.value, "examples": examples.value}, window)
    low, high = _ends(np.exp(route.line.budgets))
    lines = []
    if not low <= budget.flops <= high:
        lines.append(
            f"extrapolates: the {route.name} rests on {len(route.line.budgets)} budgets from "
            f"{low:.2g} to {high:.2g} FLOPs"
        )
    lines += [f"{none} at this scale"] if none else []
    return MixtureAllocation(
        mixture=mixture,
        params=sense.bounded(params, window["params"], away),
        examples=sense.bounded(examples, window["examples"], away),
        loss=sense.bounded_loss(loss),
        by_law=None,
        flops=budget.flops,
        hours=hours,
        no_optimum=none,
        data_share=0.0,
        data_free=None,
        best_share=share,
        replicates_undefined=0,
        recipe=rate_cost(runs),
        measured=measured_cell(runs, budget, cost),
        ladder_edge="",
        band=None,
        smaller=(),
        floors=(),
        rival=None,
        warnings=tuple(f"{mixture}: {line}" for line in lines),
    )


def _ends(values: Array) -> tuple[float, float]:
    return float(values.min()), float(values.max())
