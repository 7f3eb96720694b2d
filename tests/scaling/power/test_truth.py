"""Stated laws, pilots, the generic law, and shifts of its exponent."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetscale.errors import FitError
from jetscale.scaling.cost import CostModel
from jetscale.scaling.engine import laws
from jetscale.scaling.fitted import Options
from jetscale.scaling.power.simulate import simulate_runs
from jetscale.scaling.power.truth import (
    Truth,
    assume,
    check_law,
    generic,
    law_of,
    shift_range,
    shifted,
)

LAW = (0.7, 30.0, 20.0, 0.4, 0.3)
OVERFIT = (*LAW, 0.1)
COSTS = [CostModel(k=6.0, p=p, worst_residual=0.0, measured=False) for p in (1.0, 0.9)]


def test_terms_of_the_generic_law_are_equal_in_the_middle(small):
    theta, (n, d) = generic(small), small.middle
    E, A, B, alpha, beta = theta
    assert laws.loss(theta, n, d) == pytest.approx(1)
    assert A * n**-alpha == pytest.approx(B * d**-beta)
    assert pytest.approx(0.5) == E


@given(
    st.floats(0.05, 1.5),
    st.floats(0.05, 1.5),
    st.sampled_from([(), (0.0,), (0.15,), (-0.02,)]),
    st.floats(-1, 1),
    st.sampled_from(COSTS),
)
def test_a_shift_moves_the_exponent_and_nothing_else(alpha, beta, gamma, part, cost):
    theta, (n, d) = np.array([0.5, 20.0, 30.0, alpha, beta, *gamma]), (1e5, 1e4)
    truth = Truth(theta, 0.01, 0.0, law_of(theta))
    least, most = shift_range(truth, cost)
    assert least < 0 < most
    shift = 0.99 * part * (most if part > 0 else -least)
    other = shifted(truth, cost, shift, (n, d))
    moved = other.theta
    assert other.exponent(cost) - truth.exponent(cost) == pytest.approx(shift, abs=1e-9)
    assert moved[3] + cost.p * moved[4] == pytest.approx(alpha + cost.p * beta)
    assert moved[5:].tolist() == list(gamma)
    assert moved[1] * n ** -moved[3] == pytest.approx(20 * n**-alpha)
    assert moved[2] * d ** -moved[4] == pytest.approx(30 * d**-beta)


@pytest.mark.parametrize("cost", COSTS)
@pytest.mark.parametrize("end", [0, 1])
@pytest.mark.parametrize("law", [LAW, OVERFIT])
def test_beyond_its_range_a_shift_is_refused(cost, end, law):
    truth = Truth(np.array(law), 0.01, 0.0, law_of(law))
    edge = shift_range(truth, cost)[end]
    assert shifted(truth, cost, 0.999 * edge, (1e5, 1e5)).theta.shape == (len(law),)
    with pytest.raises(FitError, match="out of bounds; it can be"):
        shifted(truth, cost, 1.001 * edge, (1e5, 1e5))


def test_a_law_is_told_by_how_many_numbers_it_is():
    assert [law_of(law).name for law in (LAW, OVERFIT)] == ["chinchilla", "overfit"]
    truth = Truth(np.array(OVERFIT), 0.01, 0.0, law_of(OVERFIT))
    assert truth.named == dict(zip(("E", "A", "B", "alpha", "beta", "gamma"), OVERFIT, strict=True))
    plain = Truth(np.array(LAW), 0.01, 0.0)
    n, d = np.array([1e4]), np.array([1e5])
    more = 20.0 * (1e4**0.1 - 1) / 1e5**0.3
    assert truth.loss(n, d) - plain.loss(n, d) == pytest.approx([more])
    assert truth.exponent(COSTS[0]) == pytest.approx(0.3 / 0.8)


@pytest.mark.parametrize(
    ("law", "message"),
    [
        ((1, 2, 3), "5 numbers E,A,B,alpha,beta or 6 numbers E,A,B,alpha,beta,gamma, not 3"),
        ((*LAW, 1.5), "gamma is 1.5, needs a number between -0.5 and 1"),
        ((0.5, 1, 1, 2.5, 0.3), "alpha is 2.5, needs a number between 0.01 and 2"),
        ((0.5, 1, 1, 0.3, float("nan")), "beta is nan"),
        ((-0.5, 1, 1, 0.3, 0.3), "E is -0.5, needs a finite number of at least zero"),
        ((0.5, 0, 1, 0.3, 0.3), "A is 0, needs a finite number above zero"),
        ((0.5, 1, float("inf"), 0.3, 0.3), "B is inf"),
    ],
)
def test_laws_that_cannot_be_are_refused(law, message):
    with pytest.raises(FitError, match=message):
        check_law(law)


@pytest.mark.parametrize(
    ("noise", "misfit", "message"),
    [
        (0.0, 0.0, "noise is 0, needs a number above 0"),
        (float("nan"), 0.0, "noise is nan"),
        (0.01, -0.1, "misfit is -0.1, needs a number of at least 0"),
        (2.0, 0.0, "noise is 2"),
    ],
)
def test_noise_that_cannot_be_is_refused(noise, misfit, message):
    with pytest.raises(FitError, match=message):
        Truth(np.array(LAW), noise, misfit)


def test_a_stated_law_holds_for_all_mixtures(small):
    assumed = assume(small, law=LAW, noise=0.02)
    assert assumed.same
    assert set(assumed.truths) == {"a", "b"}
    assert (assumed.truths["b"].theta == LAW).all()
    assert (assumed.truths["b"].noise, assumed.truths["b"].misfit) == (0.02, 0.02)
    assert assume(small, misfit=0.0).truths["a"].misfit == 0


def test_a_law_and_a_pilot_exclude_each_other(small, truth):
    with pytest.raises(FitError, match="not both"):
        assume(small, law=LAW, pilot=simulate_runs(small, truth, "a", (0,)))


@pytest.fixture(scope="module")
def pilot(plan):
    """A pilot with a known law and noise, many cells and seeds."""
    grid = plan(6, 8, 3)
    return simulate_runs(grid, Truth(np.array([0.5, *generic(grid)[1:]]), 0.02, 0.01), "a", (3,))


def test_a_pilot_gives_law_noise_and_misfit(small, pilot):
    assumed = assume(small, pilot=pilot)
    truth = assumed.truths["a"]
    assert truth.theta[3:] == pytest.approx([0.35, 0.35], abs=0.08)
    assert truth.noise == pytest.approx(0.02, rel=0.2)
    assert truth.misfit == pytest.approx(0.01, rel=0.4)
    assert assumed.truths["b"].theta is not None
    assert assumed.same
    assert "b from a" in assumed.source
    assert assumed.warnings == ()


@pytest.mark.slow
def test_a_pilot_of_one_seed_and_short_reach_warns(plan, pilot):
    once = pilot[pilot["seed"] == 0]
    assumed = assume(plan(4, 4), pilot=once[once["params"] < 2e6])
    # what seeds and cells scatter, which runs of one seed cannot tell apart
    assert assumed.truths["a"].noise == pytest.approx(math.hypot(0.02, 0.01), rel=0.4)
    assert "repeats no cell" in assumed.warnings[0]
    assert "beyond the pilot by 0.5 decades in params" in assumed.warnings[-1]
    assert assume(plan(4, 4), pilot=once, noise=0.03).truths["a"].noise == 0.03


def test_a_pilot_at_a_bound_is_used_just_inside_and_told(small, pilot):
    log = np.log(0.5 + (1e4 / small.params) ** 4 + 5 / small.examples**0.3)  # steep: alpha is 2
    step = small.runs(np.repeat(log, small.seeds))
    assumed = assume(small, pilot=step, noise=0.02)
    assert 1.9 < assumed.first.theta[3] < 2
    told = "the pilot's 'm' puts alpha at or near its bound, 2 (1.96 is assumed)"
    assert any(line.startswith(told) for line in assumed.warnings)


@pytest.mark.slow
def test_a_pilot_that_gives_no_law_says_what_to_do(small):
    step = small.runs(np.where(np.arange(32) < 8, 1.0, 0.0))  # no seed differs from another
    with pytest.raises(FitError, match=r"the pilot's 'm': .*; state a law with --law E,A,B,"):
        assume(small, pilot=step)


@pytest.mark.slow
def test_a_pilot_of_another_law_gives_that_law(plan):
    grid = plan(6, 6, 3)
    theta = np.array([0.5, 12.0, 12.0, 0.35, 0.35, 0.15])
    real = Truth(theta, 0.005, 0.0, law_of(theta))
    own = simulate_runs(grid, real, "a", (3,))
    for law in ("overfit", "auto"):
        assumed = assume(grid, pilot=own, options=Options(law=law))
        assert assumed.law.name == "overfit"
        assert assumed.first.named["gamma"] == pytest.approx(0.15, abs=0.03)
        assert assumed.first.exponent(grid.cost) == pytest.approx(0.35 / 0.85, abs=0.06)
    plain = assume(grid, pilot=own)
    assert plain.law.name == "chinchilla"
    assert plain.first.misfit > 3 * assumed.first.misfit


def test_a_law_whose_frontier_is_no_power_law_is_not_assumed(small):
    told = "what a grid can say is known under chinchilla, overfit or auto"
    with pytest.raises(FitError, match=f"law is 'outer-power': {told}"):
        assume(small, options=Options(law="outer-power"))
    with pytest.raises(FitError, match="unknown law 'overfitt'"):
        assume(small, options=Options(law="overfitt"))
    with pytest.raises(FitError, match="'overfit' needs the runs of a pilot, or numbers"):
        assume(small, options=Options(law="overfit"))


@pytest.mark.long
def test_a_pilot_of_a_law_that_cannot_be_assumed_is_told(plan):
    grid = plan(6, 6, 3)
    n, d = grid.params, grid.examples
    log = np.log(0.3 + ((20 / n**0.3) ** 3 + (20 / d**0.3) ** 3) ** (1 / 3))
    noise = 0.003 * np.random.default_rng(0).standard_normal(int(grid.seeds.sum()))
    assumed = assume(
        grid, pilot=grid.runs(log[grid.cell_of_run] + noise), options=Options(law="auto")
    )
    assert assumed.law.name == "chinchilla"
    assert "forecasts the pilot best, chinchilla is assumed" in assumed.warnings[0]


def test_a_law_without_a_frontier_has_no_exponent(small):
    open_ended = Truth(np.array([0.9, 30.0, 400.0, 0.4, 0.2, -0.45]), 0.01, 0.0, law_of(OVERFIT))
    with pytest.raises(FitError, match="N\\* has no bound: no grid tells where it lies"):
        open_ended.exponent(small.cost)
