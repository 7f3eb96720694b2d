import numpy as np
import pytest

from jetscale.scaling.cost import CostModel
from jetscale.scaling.routes.envelope import envelope
from jetscale.scaling.table import validate

SIX_ND = CostModel(k=6.0, p=1.0, worst_residual=0.0, measured=False)
LAW = {"m": (1.8, 480.0, 2100.0, 0.35, 0.37)}


def test_corners_lie_between_neighbouring_sizes(grid):
    runs = validate(grid(LAW, noise=0.0))
    route = envelope(runs, SIX_ND, 100, 1)
    sizes = np.sort(runs["params"].unique())
    found = [point.params.value for point in route.points]
    np.testing.assert_allclose(found, np.sqrt(sizes[1:] * sizes[:-1]))
    budgets = [point.budget for point in route.points]
    assert budgets == sorted(budgets)
    assert route.params_exponent.value == pytest.approx(0.37 / 0.72, abs=0.02)


def test_the_interval_covers_seed_noise(grid):
    inside = 0
    for random in range(40):
        runs = validate(grid(LAW, seeds=3, random=random))
        found = envelope(runs, SIX_ND, 200, random).params_exponent
        inside += found.low <= 0.37 / 0.72 <= found.high
    assert inside >= 34  # nominal 38; 34 or fewer has a chance of 2 %


def test_an_exponential_cost_enters_the_data_exponent(grid):
    steep = CostModel(k=2.0, p=1.3, worst_residual=0.0, measured=True)
    route = envelope(validate(grid(LAW, noise=0.0)), steep, 50, 1)
    a, b = route.params_exponent.value, route.data_exponent.value
    assert b == pytest.approx(1 - 1.3 * a)
    assert a == pytest.approx(0.37 / (0.35 + 1.3 * 0.37), abs=0.02)


def test_too_few_crossings_are_said(grid):
    runs = validate(grid(LAW, params=(1e7, 3e7)))
    route = envelope(runs, SIX_ND, 50, 1)
    assert route.params_exponent is None
    assert "pairs of neighbouring model sizes cross within their runs, needs 3" in route.missing
    always = validate(grid(LAW, params=np.geomspace(1e11, 1e12, 5), examples=(1e8, 2e8, 4e8)))
    assert {p.flag for p in envelope(always, SIX_ND, 50, 1).points} == {
        "one size is better at every common budget"
    }
