import numpy as np
import pytest

from jetscale.scaling.cost import CostModel
from jetscale.scaling.routes.route import LossCurves
from jetscale.scaling.table import validate

COST = CostModel(k=6.0, p=1.0, worst_residual=0.0, measured=False)


@pytest.fixture
def means(grid, read):
    return read(grid({"m": (1.8, 480.0, 2100.0, 0.35, 0.37)}, seeds=3))[0]


def test_curves_pass_through_the_cells(means):
    curves = LossCurves(means, means.log_loss[None], COST)
    for n, d, loss in zip(means.params, means.examples, means.log_loss, strict=True):
        log_n, losses = curves.at(6 * n * d)
        mine = np.flatnonzero(np.isclose(log_n, np.log(n)))
        assert losses[0, mine[0]] == pytest.approx(loss)


def test_nothing_is_read_beyond_the_runs(means):
    curves = LossCurves(means, means.log_loss[None], COST)
    budgets = curves.budgets(50)
    assert budgets[0] == pytest.approx(6 * means.params.min() * means.examples.min())
    assert budgets[-1] == pytest.approx(6 * means.params.max() * means.examples.max())
    assert curves.sizes_at(budgets[0]) == curves.sizes_at(budgets[-1]) == 1
    for budget in budgets:
        log_n, _ = curves.at(budget)
        data = budget / 6 / np.exp(log_n)
        assert (data >= means.examples.min() * (1 - 1e-6)).all()
        assert (data <= means.examples.max() * (1 + 1e-6)).all()


def test_sizes_with_one_data_size_have_no_curve(grid, read):
    means, _ = read(grid({"m": (1.8, 480.0, 2100.0, 0.35, 0.37)}, examples=(1e9,)))
    curves = LossCurves(means, means.log_loss[None], COST)
    assert len(curves.budgets(10)) == 0
    assert curves.sizes_at(1e18) == 0


def test_means_and_spread_of_the_seeds(means, grid):
    runs = validate(grid({"m": (1.8, 480.0, 2100.0, 0.35, 0.37)}, seeds=3))
    cells = np.log(runs["loss"]).groupby([runs["params"], runs["examples"]])
    np.testing.assert_allclose(means.log_loss, cells.mean().to_numpy())
    rows = means.redrawn(4000, 1)
    np.testing.assert_array_equal(rows[0], means.log_loss)
    np.testing.assert_allclose(rows[1:].std(axis=0), means.noise.errors, rtol=0.1)
