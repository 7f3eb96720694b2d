"""The grid that would determine the exponent, against the linear approximation and a refit."""

import numpy as np
import pytest

from jetscale.scaling import fit
from jetscale.scaling.power.enough import WANTED, enough
from jetscale.scaling.power.grid import grid_of
from jetscale.scaling.power.simulate import simulate_runs
from jetscale.scaling.power.truth import Truth, generic


def pilot(grid, noise, seed=0):
    return simulate_runs(grid, Truth(generic(grid), noise, 0.0), "m", (seed, 0))


@pytest.fixture(scope="module")
def loose(plan):
    return fit(pilot(plan(3, 4, 2), 0.03), replicates=100)


def test_a_study_that_is_precise_enough_needs_nothing(plan):
    fits = fit(pilot(plan(6, 6, 2), 0.0005), replicates=60)
    assert fits["m"]["a"].high - fits["m"]["a"].low < 2 * WANTED
    assert enough(fits) is None


def test_the_grid_is_larger_and_its_price_is_what_it_adds(loose):
    found = enough(loose, "jet")
    start = grid_of(loose.runs)
    assert found.half_width <= WANTED
    assert found.grid.total - start.total == pytest.approx(found.flops)
    assert found.flops > 0
    assert found.grid.params.min() == start.params.min(), "no smaller model"
    assert f"{len(np.unique(found.grid.params))} model sizes from " in found.text
    assert "jets, " in found.text


def test_the_grid_does_what_it_promises(loose):
    """Refits on the proposed grid have intervals of about the promised width."""
    found = enough(loose)
    made = [fit(pilot(found.grid, 0.03, seed), replicates=100) for seed in range(1, 6)]
    widths = [(one["m"]["a"].high - one["m"]["a"].low) / 2 for one in made]
    assert np.median(widths) < 1.5 * WANTED


def test_a_wish_beyond_reach_is_no_grid(loose):
    assert enough(loose, wanted=1e-4) is None
