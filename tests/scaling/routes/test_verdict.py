import json
import re
from dataclasses import replace

import pytest

from jetscale.as_json import as_json
from jetscale.scaling import fit
from jetscale.scaling.estimate import Estimate
from jetscale.scaling.routes.route import Route
from jetscale.scaling.routes.verdict import Routes, all_routes


def route(name, low, high, reason=""):
    value = Estimate(value=(low + high) / 2, low=low, high=high, reason=reason)
    return Route(name=name, params_exponent=value, data_exponent=value)


def test_three_routes_agree_on_a_clean_law(grid):
    fits = fit(grid({"m": (1.8, 480.0, 2100.0, 0.35, 0.37)}, seeds=3), replicates=100)
    found = all_routes(fits)["m"]
    assert [r.name for r in found.routes] == ["law", "isoFLOP", "envelope"]
    assert found.verdict == "3 routes agree within their intervals"
    assert found.routes[0].params_exponent == fits.mixtures["m"].frontier["params_exponent"]
    plain = json.loads(json.dumps(as_json(found), allow_nan=False))
    assert [route["name"] for route in plain["routes"]] == ["law", "isoFLOP", "envelope"]
    assert plain["verdict"] == found.verdict


@pytest.mark.parametrize(
    ("routes", "verdict"),
    [
        ((route("a", 0.4, 0.5), route("b", 0.45, 0.6)), "2 routes agree within"),
        ((route("a", 0.4, 0.5), route("b", 0.51, 0.6)), r"routes disagree \(a and b\)"),
        ((route("a", 0.4, 0.5), route("b", 0.51, 0.6, "flat")), "1 of 2 routes have an exponent"),
        ((route("a", 0.4, 0.5), Route(name="b", missing="x")), "1 of 2 routes have an exponent"),
    ],
)
def test_the_verdict_follows_the_intervals(routes, verdict):
    assert re.search(verdict, Routes(mixture="m", routes=routes).verdict)


def test_a_mixture_that_was_not_fitted_still_has_routes(grid):
    law = (1.8, 480.0, 2100.0, 0.35, 0.37)
    runs = grid({"a": law, "b": law})
    few = runs[(runs["mixture"] == "a") | (runs["params"] < 2e7)]
    found = all_routes(fit(few, replicates=50))["b"]
    assert "not fitted: it has" in found.routes[0].missing
    assert replace(found, routes=()).verdict.startswith("0 of 0")
