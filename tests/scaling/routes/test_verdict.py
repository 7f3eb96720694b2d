import json

import numpy as np
import pandas as pd
import pytest

from jetscale.jsonable import as_json
from jetscale.scaling import all_routes, fit, route_shifts
from jetscale.scaling.engine import laws
from jetscale.scaling.estimate import Estimate
from jetscale.scaling.routes.agreement import Disagreement
from jetscale.scaling.routes.heldout import HeldOutBudgets, RouteForecast
from jetscale.scaling.routes.route import Route
from jetscale.scaling.routes.verdict import Routes

pytestmark = pytest.mark.slow

TRUTH = np.array([1.8, 480.0, 2100.0, 0.35, 0.37])


def parabola(n, d, exponent=0.75):
    """Profiles no law of N and D has: N* ~ C^0.75 within a loss that falls as C^-0.05."""
    c = 6 * n * d
    best = np.log(np.sqrt(1.6e19 / 120)) + exponent * np.log(c / 1.6e19)
    return 3 * (c / 1.6e19) ** -0.05 * np.exp(0.01 * (np.log(n) - best) ** 2)


def test_three_routes_agree_on_a_clean_law(grid):
    fits = fit(grid({"m": TRUTH}, seeds=3), replicates=100)
    found = all_routes(fits)["m"]
    assert [r.name for r in found.routes] == ["law", "isoFLOP", "envelope"]
    assert found.verdict == "isoFLOP, envelope and law agree within noise"
    assert found.routes[0].params_exponent == fits.mixtures["m"].frontier["params_exponent"]
    plain = json.loads(json.dumps(as_json(found), allow_nan=False))
    assert [route["name"] for route in plain["routes"]] == ["law", "isoFLOP", "envelope"]
    assert plain["verdict"] == found.verdict
    assert plain["disagree"] is False


@pytest.mark.integration
def test_no_disagreement_where_the_law_holds(isoflop_table):
    """At 5%, five or more of 30 have a chance of 2%."""
    false, away = 0, []
    for random in range(30):
        table = isoflop_table(lambda n, d: laws.loss(TRUTH, n, d), random=random)
        (test,) = all_routes(fit(table, replicates=100))["m"].disagreements
        false += test.disagrees
        away.append(test.difference.value)
    assert false < 5
    assert np.mean(away) == pytest.approx(0, abs=3 * np.std(away) / np.sqrt(30))


@pytest.mark.long
def test_a_law_that_bends_away_is_contradicted_and_foretells_worse(isoflop_table):
    fits = fit(isoflop_table(parabola, noise=0.0003), replicates=100)
    found = all_routes(fits)["m"]
    law, profiles = (found[name].params_exponent for name in ("law", "isoFLOP"))
    assert profiles.low < 0.75 < profiles.high
    assert law.value - 0.75 > 0.005
    assert found.disagree
    assert found.better == "isoFLOP"
    assert "routes disagree: isoFLOP minus law" in found.verdict
    assert "the isoFLOP forecast better" in found.verdict


@pytest.mark.long
def test_mixtures_differ_by_a_route(isoflop_table):
    tables = [
        isoflop_table(lambda n, d, e=e: parabola(n, d, e), noise=0.001, random=i, name=name)
        for i, (name, e) in enumerate((("a", 0.5), ("b", 0.7), ("c", 0.5)))
    ]
    routes = all_routes(fit(pd.concat(tables, ignore_index=True), replicates=100))
    shifts = {(s.a, s.b): s for s in route_shifts(routes)}
    assert list(shifts) == [("a", "b"), ("a", "c"), ("b", "c")]
    assert shifts["a", "b"].difference.low < 0.2 < shifts["a", "b"].difference.high
    assert shifts["a", "b"].p_value < 0.01
    assert "b minus a is 0.2" in shifts["a", "b"].clause
    assert shifts["a", "c"].difference.low < 0 < shifts["a", "c"].difference.high
    assert "no shift shown" in shifts["a", "c"].clause


def route(name, low, high):
    value = Estimate(value=(low + high) / 2, low=low, high=high)
    return Route(name=name, params_exponent=value, data_exponent=value)


def test_the_verdict_follows_the_test_and_the_forecast():
    pair = route("law", 0.4, 0.5), route("isoFLOP", 0.51, 0.6)
    away = Estimate(value=0.1, low=0.02, high=0.18)
    apart = Disagreement(route="isoFLOP", difference=away, p_value=0.01)
    ahead = HeldOutBudgets(
        budgets=(1e20,),
        decades=1.0,
        size_noise=0.1,
        loss_noise=0.001,
        forecasts=(
            RouteForecast(route="law", size_error=0.5, loss_error=0.02, worst_loss=0.02),
            RouteForecast(route="isoFLOP", size_error=0.1, loss_error=0.001, worst_loss=0.001),
        ),
    )
    found = Routes(mixture="m", routes=pair, disagreements=(apart,), held_out=ahead)
    assert found.verdict.startswith("routes disagree: isoFLOP minus law 0.10 [0.02, 0.18]")
    assert "the law missed N* by x1.65 and the loss by +2.00%" in found.verdict
    assert "the isoFLOP missed N* by x1.11 and the loss by +0.10%" in found.verdict
    assert found.verdict.endswith(": the isoFLOP forecast better")
    assert Routes(mixture="m", routes=pair).verdict.startswith("routes are not compared")
    alone = Routes(mixture="m", routes=(pair[0], Route(name="isoFLOP", missing="x")))
    assert alone.verdict.startswith("1 of 2 routes have an exponent")


def test_a_mixture_that_was_not_fitted_still_has_routes(grid):
    runs = grid({"a": TRUTH, "b": TRUTH})
    few = runs[(runs["mixture"] == "a") | (runs["params"] < 2e7)]
    found = all_routes(fit(few, replicates=50))["b"]
    assert "not fitted: it has" in found.routes[0].missing
    assert found.verdict.startswith("0 of 3")


def test_runs_that_differ_in_more_than_seed_and_sizes_have_no_profile(grid):
    fresh = grid({"m": TRUTH}, seeds=1)
    twice = fresh.assign(unique_examples=fresh["examples"] / 4, loss=fresh["loss"] * 1.1)
    runs = pd.concat([fresh.assign(unique_examples=fresh["examples"]), twice], ignore_index=True)
    found = all_routes(fit(runs, law="repetition", replicates=50))["m"]
    told = "runs of equal N and D differ in more than their seed"
    assert [route.missing for route in found.routes] == ["", told, told]
    assert found.verdict == "1 of 3 routes have an exponent: nothing to compare"
