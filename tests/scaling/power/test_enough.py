"""The grid that would determine the exponent, against the linear approximation and a refit."""

import numpy as np
import pytest

from jetscale.scaling import fit
from jetscale.scaling.power.enough import WANTED, enough
from jetscale.scaling.power.grid import grid_of
from jetscale.scaling.power.simulate import simulate_runs
from jetscale.scaling.power.truth import Truth, generic

pytestmark = pytest.mark.slow


def pilot(grid, noise, seed=0):
    runs = simulate_runs(grid, Truth(generic(grid), noise, 0.0), "m", (seed, 0))
    runs = runs.assign(params=runs["params"].round(), examples=runs["examples"].round())
    return runs.drop(columns="flops")  # 6 N D of the rounded sizes


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
    more = 6 * found.grid.seeds @ (found.grid.params * found.grid.examples)
    assert more - 6 * (loose.runs["params"] * loose.runs["examples"]).sum() == pytest.approx(
        found.flops
    )
    assert found.runs == found.grid.seeds.sum() - len(loose.runs)
    assert found.grid.params.min() == start.params.min(), "no smaller model"
    assert f"{len(np.unique(found.grid.params))} model sizes from " in found.text
    assert "jets, " in found.text


@pytest.mark.long
def test_the_grid_does_what_it_promises(loose):
    """Refits on the proposed grid have intervals of about the promised width."""
    found = enough(loose)
    made = [fit(pilot(found.grid, 0.03, seed), replicates=100) for seed in range(1, 6)]
    widths = [(one["m"]["a"].high - one["m"]["a"].low) / 2 for one in made]
    assert WANTED / 4 < np.median(widths) < 1.5 * WANTED


def test_a_wish_beyond_reach_is_no_grid(loose):
    assert enough(loose, wanted=1e-4) is None


def test_sizes_in_millions_have_no_larger_one(loose):
    small = loose.runs.assign(params=loose.runs["params"] / 1e6).drop(columns="cell")
    assert enough(fit(small, replicates=60), wanted=0.01) is None


def test_a_grid_that_is_not_crossed_is_told_by_its_runs(plan):
    runs = pilot(plan(5, 6, 2), 0.01)
    stairs = runs[np.log10(runs["params"]) + np.log10(runs["examples"]) < 11.5]
    fits = fit(stairs, replicates=100)
    now = (fits["m"]["a"].high - fits["m"]["a"].low) / 2
    found = enough(fits, "token", wanted=0.8 * now)
    assert found.text.startswith(f"{found.runs} more runs, up to ")
