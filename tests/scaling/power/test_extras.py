"""The linear approximation against quick_fits, and the ranking of additions."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jetscale.jsonable import as_json
from jetscale.scaling.engine import laws
from jetscale.scaling.power.extras import candidates, deviation, half_width, narrowed, rank
from jetscale.scaling.power.grid import make_grid
from jetscale.scaling.power.simulate import central_deviation, quick_fits
from jetscale.scaling.power.truth import Truth, generic, law_of


@pytest.mark.slow
@pytest.mark.parametrize("misfit", [0.0, 0.004])
@pytest.mark.parametrize("alpha", [0.35, 0.6])
def test_the_approximation_agrees_with_refits(plan, alpha, misfit):
    grid = plan(6, 6, 2)
    theta = generic(grid)
    theta[1] *= grid.middle[0] ** (alpha - theta[3])
    theta[3] = alpha
    truth = Truth(theta, 0.005, misfit)
    refitted = laws.exponents(quick_fits(grid, truth, 1500, 4), grid.cost)[0]
    assert deviation(grid, truth) == pytest.approx(central_deviation(refitted), rel=0.12)


@pytest.mark.slow
def test_the_approximation_agrees_with_refits_of_another_law(plan):
    grid = plan(6, 6, 2)
    theta = np.append(generic(grid), 0.1)
    theta[2] *= grid.middle[0] ** -0.1
    truth = Truth(theta, 0.004, 0.0, law_of(theta))
    drawn = quick_fits(grid, truth, 800, 4)
    refitted = truth.law.exponents(drawn, grid.cost, 1.0)[0]
    assert deviation(grid, truth) == pytest.approx(central_deviation(refitted), rel=0.15)


@pytest.mark.long
def test_additions_narrow_refits_as_they_should(plan):
    grid = plan(5, 5, 2)
    truth = Truth(generic(grid), 0.005, 0.003)
    tried = candidates(grid)
    linear = [deviation(larger, truth) for larger in tried.values()]
    refitted = [
        central_deviation(laws.exponents(quick_fits(larger, truth, 600, 4), larger.cost)[0])
        for larger in tried.values()
    ]
    assert linear == pytest.approx(refitted, rel=0.17)


def test_by_hand_for_a_law_of_one_unknown_direction(small):
    """The deviation does not depend on the units of N and D, and scales with the noise."""
    truth = Truth(generic(small), 0.01, 0.0)
    other = make_grid(small.params * 1e3, small.examples * 50, small.seeds)
    moved = Truth(generic(other), 0.01, 0.0)
    assert deviation(other, moved) == pytest.approx(deviation(small, truth), rel=1e-6)
    assert deviation(small, Truth(truth.theta, 0.03, 0.0)) == pytest.approx(
        3 * deviation(small, truth)
    )


@pytest.mark.long
@settings(max_examples=10)
@given(st.floats(0.2, 0.8), st.floats(0.2, 0.8), st.floats(0, 0.02), st.integers(1, 4))
def test_nothing_that_is_added_widens_an_interval(alpha, beta, misfit, seeds):
    axis = np.geomspace(1e4, 1e6, 4)
    n, d = (v.ravel() for v in np.meshgrid(axis, axis))
    grid = make_grid(n, d, seeds)
    truth = Truth(np.array([0.5, 1e5**alpha, 1e5**beta, alpha, beta]), 0.01, misfit)
    for larger in candidates(grid).values():
        assert narrowed(grid, larger, truth) <= 1 + 1e-6


def test_a_cell_far_outside_makes_no_law_smoother(small):
    """One cell a step beyond a corner says little; a whole new size says more."""
    truth = Truth(generic(small), 0.001, 0.02)
    found = {extra.what: extra.reduction for extra in rank(small, truth)}
    corner = max(less for what, less in found.items() if what.startswith("one cell"))
    size = max(less for what, less in found.items() if what.startswith("smaller N"))
    assert corner < size
    assert found["one more seed everywhere"] < 0.05  # misfit is not averaged away


def test_seeds_help_as_the_root_without_misfit_and_less_with(small):
    exact, loose = (Truth(generic(small), 0.01, misfit) for misfit in (0.0, 0.02))
    gain = [deviation(small.with_another_seed(), t) / deviation(small, t) for t in (exact, loose)]
    assert gain[0] == pytest.approx(math.sqrt(2 / 3))
    assert gain[0] < gain[1] < 1


@pytest.mark.slow
def test_all_kinds_of_additions_are_ranked(small, truth):
    found = rank(small, truth)
    kinds = {extra.what.split(" =")[0] for extra in found}
    assert kinds == {
        "one more seed everywhere",
        *(f"{kind} {size}" for kind in ("smaller", "in-between", "larger") for size in "ND"),
        "one cell N",
    }
    assert len(found) == 11
    gains = [extra.gain for extra in found]
    assert gains == sorted(gains, reverse=True)
    for extra in found:
        assert extra.share == pytest.approx(extra.flops / small.total)
        assert extra.reduction == pytest.approx(
            1 - extra.half_width / half_width(small, truth), abs=1e-9
        )
        assert set(as_json(extra)) >= {"what", "flops", "share_of_plan", "half_width", "gain"}


@pytest.mark.slow
def test_runs_of_all_mixtures_are_paid_for(plan, truth):
    two, three = (plan(4, 4, 2, mixtures=names) for names in ("ab", "abc"))
    seeds = [next(e for e in rank(g, truth) if "seed" in e.what) for g in (two, three)]
    assert [extra.runs for extra in seeds] == [32, 48]
    assert seeds[1].flops == pytest.approx(1.5 * seeds[0].flops)


def test_sizes_of_a_few_jets_are_not_suggested():
    axis = [12.0, 40.0, 130.0, 400.0]
    n, d = (v.ravel() for v in np.meshgrid(axis, axis))
    assert not [what for what in candidates(make_grid(n, d)) if "smaller" in what]


@pytest.mark.parametrize("unit", [0.25, 1.0])
def test_sizes_in_small_units_and_off_whole_numbers_stay_as_they_are(unit):
    sizes, data = unit * np.arange(1, 6), 1e11 / 7 / np.array([1e5, 3e5, 1e6, 3e6])
    n, d = (v.ravel() for v in np.meshgrid(sizes, data))
    found = candidates(make_grid(n, d))
    assert {what[:10] for what in found} == {"one more s", "smaller D ", "in-between", "larger D ="}
    for grid in found.values():
        assert set(grid.params) == set(sizes)
        assert len(set(grid.examples) - set(data)) <= 1


def test_a_flat_direction_has_no_interval(small):
    """One term so small that its exponent is lost in rounding."""
    truth = Truth(np.array([0.5, 1e-30, 17.0, 0.35, 0.35]), 0.01, 0.0)
    assert deviation(small, truth) > 1e6
