import numpy as np
import pandas as pd
import pytest

from jetscale.scaling.cost import CostModel
from jetscale.scaling.engine import laws
from jetscale.scaling.routes.envelope import corners, envelope

SIX_ND = CostModel(k=6.0, p=1.0, worst_residual=0.0, measured=False)
LAW = {"m": (1.8, 480.0, 2100.0, 0.35, 0.37)}


def test_corners_lie_between_neighbouring_sizes(grid, read):
    runs = grid(LAW, noise=0.0)
    means, rows = read(runs)
    route = envelope(means, SIX_ND, rows)
    sizes = np.sort(runs["params"].unique())
    found = [point.params.value for point in route.points]
    np.testing.assert_allclose(found, np.sqrt(sizes[1:] * sizes[:-1]))
    budgets = [point.budget for point in route.points]
    assert budgets == sorted(budgets)
    assert route.params_exponent.value == pytest.approx(0.37 / 0.72, abs=0.02)


@pytest.mark.long
@pytest.mark.parametrize("seeds", [1, 3])
def test_the_interval_covers_noise_with_seeds_and_without(grid, read, seeds):
    inside = 0
    for random in range(40):
        means, rows = read(grid(LAW, seeds=seeds, random=random), random=random)
        found = envelope(means, SIX_ND, rows).params_exponent
        inside += found.low <= 0.37 / 0.72 <= found.high
    assert inside >= 34  # nominal 38; 34 or fewer has a chance of 2 %


def test_an_exponential_cost_enters_the_data_exponent(grid, read):
    steep = CostModel(k=2.0, p=1.3, worst_residual=0.0, measured=True)
    means, rows = read(grid(LAW, noise=0.0), cost=steep)
    route = envelope(means, steep, rows)
    a, b = route.params_exponent.value, route.data_exponent.value
    assert b == pytest.approx(1 - 1.3 * a)
    assert a == pytest.approx(0.37 / (0.35 + 1.3 * 0.37), abs=0.02)


def test_a_size_between_two_others_at_some_budgets_does_not_move_where_they_meet(read):
    """The middle size was run beyond the corner of the others: a gap in their common budgets."""
    law, budgets = np.array(LAW["m"]), np.geomspace(1e17, 1e21, 33)
    both = [(n, c / 6 / n) for n in (1e8, 9e8) for c in budgets]
    between = [(3e8, c / 6 / 3e8) for c in np.geomspace(3e19, 2e20, 5)]
    found = []
    for sizes in (both, both + between):
        n, d = np.array(sizes).T
        table = {"mixture": "m", "params": n, "examples": d, "loss": laws.loss(law, n, d)}
        means, rows = read(pd.DataFrame(table))
        log_n, log_c, _ = corners(means, SIX_ND, rows)
        found.append(float(log_c[0, np.isclose(log_n, np.log(3e8))][0]))
    assert found[1] == pytest.approx(found[0], abs=0.05)


def test_too_few_crossings_are_said(grid, read):
    means, rows = read(grid(LAW, params=(1e7, 3e7)))
    route = envelope(means, SIX_ND, rows)
    assert route.params_exponent is None
    assert (
        "needs 3 pairs of neighbouring model sizes that cross within their runs, has "
        in route.missing
    )
    means, rows = read(grid(LAW, params=np.geomspace(1e11, 1e12, 5), examples=(1e8, 2e8, 4e8)))
    assert {p.flag for p in envelope(means, SIX_ND, rows).points} == {
        "one size is better at every common budget"
    }


def test_of_sizes_close_to_each_other_some_are_read(grid, read):
    means, rows = read(grid(LAW, params=np.geomspace(1e7, 3e9, 40), noise=0.01))
    route = envelope(means, SIX_ND, rows)
    sizes = [point.params.value for point in route.points]
    assert min(np.diff(np.log(sizes))) > 0.2
    assert route.params_exponent.low < 0.37 / 0.72 < route.params_exponent.high
