"""Seeds and cells told apart: planted variances are found, and unequal groups counted right."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetscale.scaling.diagnostics.residuals import scatter


def residuals(cells, seeds, misfit, noise, random=0):
    rng = np.random.default_rng(random)
    index = np.repeat(np.arange(cells), seeds)
    off = misfit * rng.normal(size=cells)[index] + noise * rng.normal(size=len(index))
    return off, index


def test_planted_variances_are_found():
    off, index = residuals(4000, 3, 0.02, 0.01)
    found = scatter(off, index, 0)
    assert found.within == pytest.approx(0.01**2, rel=0.05)
    assert found.misfit == pytest.approx(0.02**2, rel=0.05)
    assert found.between == pytest.approx(0.01**2 + 3 * 0.02**2, rel=0.05)
    assert found.freedom == (4000, 8000)


def test_unequal_groups_average_to_the_truth():
    values = []
    for random in range(400):
        rng = np.random.default_rng(random)
        seeds = rng.integers(1, 6, size=30)
        index = np.repeat(np.arange(30), seeds)
        off = 0.02 * rng.normal(size=30)[index] + 0.01 * rng.normal(size=len(index))
        values.append(scatter(off, index, 0).misfit)
    assert np.mean(values) == pytest.approx(0.02**2, rel=0.12)


@given(st.integers(2, 5), st.integers(6, 30), st.integers(0, 5), st.integers(0, 1000))
def test_sums_of_squares_add_up(seeds, cells, parameters, random):
    off, index = residuals(cells, seeds, 0.01, 0.01, random)
    found = scatter(off, index, parameters)
    between, within = found.freedom
    assert found.between * between + found.within * within == pytest.approx((off**2).sum())
    assert found.misfit >= 0


def test_without_repeats_everything_is_scatter_of_a_run():
    off, index = residuals(500, 1, 0.0, 0.03)
    found = scatter(off, index, 5)
    assert np.isnan(found.within)
    assert np.isnan(found.misfit)
    assert found.freedom == (495, 0)
    assert found.between == pytest.approx(0.03**2, rel=0.2)
