"""The wild cluster bootstrap: clusters, leverage, width, and agreement with theory."""

import numpy as np
import pytest
from scipy import stats

from jetscale.scaling import wild
from jetscale.scaling.engine.family import Family
from jetscale.scaling.engine.forms import CHINCHILLA
from jetscale.scaling.engine.laws import Centred
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


def test_residuals_are_those_without_the_cluster(fitted):
    """Refits without one cell miss it by the corrected residuals, to first order."""
    runs, family, q = fitted
    corrected = wild.inflate_residuals(family, q, runs["cell"].to_numpy())
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
    residuals = widening(stats.t.ppf(0.975, 27), 32) * wild.inflate_residuals(family, q, cells)
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
