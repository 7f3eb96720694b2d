"""The wild cluster bootstrap: clusters, leverage, width, and agreement with theory."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from jetscale.scaling import wild
from jetscale.scaling.engine.family import Family
from jetscale.scaling.engine.forms import CHINCHILLA
from jetscale.scaling.engine.logs import Centred
from jetscale.scaling.engine.objective import Objective
from jetscale.scaling.estimate import widening
from jetscale.scaling.table import validate

SQUARES = Objective("squares", 1.0)


@pytest.fixture
def fitted(grid, truth):
    runs = validate(grid({"m": truth}, params=np.geomspace(1e7, 3e9, 4)))
    family = Family(CHINCHILLA, Centred.from_runs(runs))
    return runs, family, family.fit(np.ones((1, len(runs))), SQUARES).q


def test_webb_weights_have_unit_variance():
    assert wild.WEBB.mean() == pytest.approx(0)
    assert (wild.WEBB**2).mean() == pytest.approx(1)


def test_trunks_link_runs_of_one_size():
    n, d, s = (a.ravel() for a in np.meshgrid([1e6, 1e7], [1e3, 1e4, 1e5], [0, 1], indexing="ij"))
    columns = {"params": n, "examples": d, "loss": 1.0, "seed": s.astype(int)}
    runs = validate(pd.DataFrame({"mixture": "m"} | columns))
    clusters = wild.trunks(runs)
    assert len(np.unique(clusters)) == 2
    assert (np.unique(n, return_inverse=True)[1] == clusters).all()
    # with one seed per data size nothing but the named trunks links runs
    one = runs[runs["seed"] == 0].assign(trunk=["a", "a", "b", "c", "d", "d"])
    assert wild.trunks(one).tolist() == [0, 0, 1, 2, 3, 3]


def test_residuals_are_those_without_the_cluster(fitted):
    """Refits without one cell miss it by the corrected residuals, to first order."""
    runs, family, q = fitted
    corrected = wild.inflated(family, q, runs["cell"].to_numpy())
    plain = family.runs.z - family.design.log_loss(q)[0]
    assert (np.abs(corrected).sum()) > np.abs(plain).sum()
    for cell in (0, 13, 31):
        rows = (runs["cell"] == cell).to_numpy()
        without = family.fit((~rows).astype(float)[None], SQUARES).q
        missed = family.runs.z - family.design.log_loss(without)[0]
        assert corrected[rows] == pytest.approx(missed[rows], abs=3e-3)


def test_spread_is_that_of_the_linearised_estimator(fitted):
    runs, family, q = fitted
    cells = runs["cell"].to_numpy()
    drawn = wild.draw(family, q, cells, SQUARES, 800, seed=1).q
    residuals = widening(stats.t.ppf(0.975, 27), 32) * wild.inflated(family, q, cells)
    J = family.design.jacobian(q)[0].T
    scores = np.stack([J[cells == c].T @ residuals[cells == c] for c in range(32)])
    bread = np.linalg.inv(J.T @ J)
    expected = np.sqrt(np.diag(bread @ scores.T @ scores @ bread))
    assert drawn.std(axis=0)[3:] == pytest.approx(expected[3:], rel=0.15)


def test_same_cells_same_draws(fitted):
    runs, family, q = fitted
    first, second = (
        wild.draw(family, q, runs["cell"].to_numpy(), SQUARES, 5, seed=4).q for _ in range(2)
    )
    assert (first == second).all()
