"""Redrawn deviations: what moves together, and the variance of errors restored."""

import numpy as np
import pytest

from jetscale.scaling.comparison.joint import EXPONENTS, Pair, redraw_by_cell, redraw_by_trunk
from jetscale.scaling.engine.forms import CHINCHILLA
from jetscale.scaling.engine.objective import Objective
from jetscale.scaling.table import validate
from jetscale.scaling.wild import inflate_residuals

SMALL = {"params": np.geomspace(1e7, 3e9, 4), "examples": np.geomspace(1e8, 1e11, 4)}


def shared_fit(frame):
    a, b = (part for _, part in validate(frame).groupby("mixture", sort=False))
    pair = Pair(a, b, CHINCHILLA, Objective("squares", 0.1))
    null = pair.sharing(EXPONENTS)
    return pair, null, null.fit(np.ones((1, len(pair.runs))), pair.objective).q


def test_a_cell_moves_as_one(grid, truth):
    pair, null, q = shared_fit(grid({"a": truth, "b": truth}, **SMALL))
    cells = pair.runs["cell"].to_numpy()
    factors = redraw_by_cell(null, q, pair.runs, 20, 0) / inflate_residuals(
        null, q, cells, power=0.5
    )
    for cell in np.unique(cells):
        mine = factors[:, cells == cell]
        assert mine == pytest.approx(np.repeat(mine[:, :1], mine.shape[1], axis=1))
    squares = factors[:, np.unique(cells, return_index=True)[1]] ** 2
    assert set(np.round(np.unique(squares.round(9)), 9)) == {0.5, 1.0, 1.5}


@pytest.mark.slow
def test_variance_of_errors_is_restored(grid, truth):
    """The fit takes 8 of 64 degrees of freedom; sums of squares are those of the errors again."""
    ratios = []
    for random in range(25):
        frame = grid({"a": truth, "b": truth}, random=random, **SMALL)
        exact = grid({"a": truth, "b": truth}, noise=0.0, **SMALL)
        errors = np.log(frame["loss"] / exact["loss"]).to_numpy()
        pair, null, q = shared_fit(frame)
        plain = null.runs.z - null.design.log_loss(q)[0]
        restored = inflate_residuals(null, q, pair.runs["cell"].to_numpy(), power=0.5)
        ratios.append([(r**2).sum() / (errors**2).sum() for r in (plain, restored)])
    shrunk, same = np.mean(ratios, axis=0)
    assert shrunk == pytest.approx(1 - 8 / 64, abs=0.03)
    assert same == pytest.approx(1.0, abs=0.03)


def test_runs_of_a_trunk_move_together(grid, truth):
    frame = grid({"a": truth, "b": truth}, noise=0.001, **SMALL)
    keys = frame.groupby(["mixture", "params", "seed"]).ngroup().to_numpy()
    off = 0.05 * np.random.default_rng(0).normal(size=keys.max() + 1)
    pair, null, q = shared_fit(frame.assign(loss=frame["loss"] * np.exp(off[keys])))
    drawn = redraw_by_trunk(null, q, pair.runs, 200, 0)
    trunk = pair.runs.groupby(["mixture", "params", "seed"]).ngroup().to_numpy()
    correlation = np.corrcoef(drawn.T)
    same = trunk[:, None] == trunk
    np.fill_diagonal(same, False)
    assert correlation[same].mean() > 0.9
    assert abs(correlation[trunk[:, None] != trunk].mean()) < 0.1
