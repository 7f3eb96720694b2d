import math
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from jetscale.errors import FitError
from jetscale.scaling.budget import (
    PEAK_FLOPS,
    Budget,
    Terms,
    device_rate,
    flops_budget,
    gpu_hours_budget,
    measured_rate,
    money_budget,
)
from jetscale.scaling.cost import CostModel
from jetscale.scaling.engine import laws

THETA = np.array([1.8, 480.0, 2100.0, 0.35, 0.37])
SIX_ND = CostModel(k=6.0, p=1.0, worst_residual=0.0, measured=False)
STEEP = CostModel(k=20.0, p=1.2, worst_residual=0.0, measured=True)


def numerical(budget, theta, cost):
    """log N* by scipy's bounded minimisation of L(N, D(N))."""

    def loss(log_n):
        return float(laws.loss(theta, np.exp(log_n), budget.examples(np.exp(log_n), cost)))

    return minimize_scalar(loss, bounds=(0.0, 45.0), method="bounded", options={"xatol": 1e-9}).x


@pytest.mark.slow
@settings(max_examples=60)
@given(
    st.floats(0.1, 1.5),
    st.floats(0.1, 1.5),
    st.floats(-14, -2),
    st.sampled_from([SIX_ND, STEEP]),
)
def test_the_optimum_is_that_of_a_numerical_search(alpha, beta, log_price, cost):
    theta = np.array([1.8, 480.0, 2100.0, alpha, beta])
    budget = Budget(amount=1e4, unit="money", per_flop=1e-15, per_example=10.0**log_price)
    found = budget.optimum(theta, cost)
    log_n = numerical(budget, theta, cost)
    if 1.0 < log_n < 44.0:
        at_search = laws.loss(theta, np.exp(log_n), budget.examples(np.exp(log_n), cost))
        assert float(found.loss) <= float(at_search) + 1e-12
        assert np.log(float(found.params)) == pytest.approx(log_n, abs=2e-3)
    spent = budget.spent(cost.flops(found.params, found.examples), found.examples)
    assert float(spent) == pytest.approx(1e4)


def test_free_jets_give_the_optimum_of_the_law():
    hours = gpu_hours_budget(100.0, 3e14)
    assert hours.flops == pytest.approx(100 * 3600 * 3e14)
    for found, exact in zip(
        hours.optimum(THETA, SIX_ND), laws.optimum(THETA, hours.flops, SIX_ND), strict=True
    ):
        assert float(found) == pytest.approx(float(exact))


def test_dear_jets_move_the_optimum_to_larger_models():
    many = np.repeat(THETA[None], 3, axis=0)
    sizes, jets, losses = [], [], []
    for price in (0.0, 1e-9, 1e-7, 1e-5):
        found = money_budget(1000.0, 3e14, 2.0, price).optimum(many, SIX_ND)
        assert found.params.shape == (3,)
        sizes.append(found.params[0])
        jets.append(found.examples[0])
        losses.append(found.loss[0])
    assert sizes == sorted(sizes)
    assert jets == sorted(jets, reverse=True)
    assert losses == sorted(losses)
    assert sizes[-1] > 2 * sizes[0]


def test_the_ladder_is_searched_size_by_size():
    budget = flops_budget(1e21)
    ladder = np.geomspace(1e8, 1e11, 7)
    found = budget.best_of(np.stack([THETA, THETA]), SIX_ND, ladder)
    losses = [float(laws.loss(THETA, n, 1e21 / 6 / n)) for n in ladder]
    assert found.params.tolist() == [ladder[int(np.argmin(losses))]] * 2
    assert found.loss[0] == pytest.approx(min(losses))
    assert float(found.loss[0]) >= float(budget.optimum(THETA, SIX_ND).loss)


def test_a_law_without_an_optimum_stays_without():
    flat = np.array([1.8, 0.0, 2100.0, 0.35, 0.37])
    found = money_budget(10.0, 1e14, 1.0, 1e-6).optimum(np.stack([flat, THETA]), SIX_ND)
    assert not (np.isfinite(found.params[0]) and found.params[0] >= 1)
    assert np.isfinite(found.params[1])


def test_devices():
    assert device_rate("h200", 0.5) == PEAK_FLOPS["H200"] / 2
    with pytest.raises(FitError, match="unknown device 'H20'; did you mean 'H200'"):
        device_rate("H20", 0.5)
    with pytest.raises(FitError, match="mfu is 30, needs a number above 0 and at most 1"):
        device_rate("H200", 30)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: flops_budget(0.0), "budget is 0.0 FLOPs"),
        (lambda: gpu_hours_budget(float("nan"), 1e14), "budget is nan GPU-hours"),
        (lambda: money_budget(1.0, 1e14, -1.0, 0.0), "price per GPU-hour is -1.0"),
        (lambda: money_budget(1.0, 1e14, 0.0, 0.0), "free compute has no optimum"),
        (lambda: money_budget(1.0, 1e14, 1.0, float("inf")), "price per example is inf"),
    ],
)
def test_what_cannot_be_spent_is_refused(make, message):
    with pytest.raises(FitError, match=message):
        make()


def test_the_speed_of_a_study_is_all_its_flops_over_all_its_seconds():
    runs = pd.DataFrame({"flops": [1e9, 9e9, 5.0], "seconds": [2.0, 3.0, 0.0], "device": "cpu"})
    rate, source = measured_rate(runs)
    assert rate == pytest.approx(2e9)
    assert source == "measured over 2 runs on cpu"
    budget = gpu_hours_budget(1.0, rate, source)
    assert budget.flops == pytest.approx(7.2e12)
    assert budget.terms == "2e+09 FLOP/s sustained (measured over 2 runs on cpu)"


def test_no_durations_no_speed():
    with pytest.raises(FitError, match="no columns flops and seconds"):
        measured_rate(pd.DataFrame({"flops": [1.0]}))
    with pytest.raises(FitError, match="no run has a duration"):
        measured_rate(pd.DataFrame({"flops": [1.0], "seconds": [math.nan]}))
    with pytest.raises(FitError, match="rate is 0"):
        gpu_hours_budget(1.0, 0.0)


def test_terms_become_the_budget_they_describe():
    assert Terms(flops=1e12).budget() == flops_budget(1e12)
    source = "H100 at 30% of its peak"
    rate = device_rate("H100", 0.3)
    by_device = {"device": "H100", "mfu": 0.3}
    assert Terms(gpu_hours=5, **by_device).budget() == gpu_hours_budget(5, rate, source)
    paid = Terms(money=500, price_gpu_hour=2.0, price_example=1e-6, rate=1e14)
    assert paid.budget() == money_budget(500, 1e14, 2.0, 1e-6, "given")
    runs = pd.DataFrame({"flops": [1e9], "seconds": [2.0], "device": "cpu"})
    assert Terms(gpu_hours=1).budget(runs) == gpu_hours_budget(1, *measured_rate(runs))
    with pytest.raises(FitError, match="no columns flops and seconds"):
        Terms(gpu_hours=1).budget()


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ({}, "give one of --budget FLOPS, --gpu-hours HOURS and --money AMOUNT"),
        ({"flops": 1e9, "money": 1.0}, "give one of --budget"),
        ({"flops": -1.0}, "budget is -1.0 FLOPs, needs a finite number above zero"),
        ({"gpu_hours": math.inf}, "budget is inf GPU-hours"),
        ({"money": 1.0}, "--money needs --price-gpu-hour"),
        ({"flops": 1e9, "price_example": 1.0}, "prices need a budget in --money"),
        ({"gpu_hours": 1.0, "device": "H100"}, "give the speed as --rate, or as --device NAME"),
        ({"gpu_hours": 1.0, "mfu": 0.3}, "give the speed as --rate"),
        ({"flops": 1e9, "rate": 1e9}, "a budget in FLOPs needs no speed"),
        ({"gpu_hours": 1.0, "device": "H10", "mfu": 0.3}, "unknown device 'H10'"),
    ],
)
def test_terms_that_do_not_go_together(terms, message):
    with pytest.raises(FitError, match=re.escape(message)):
        Terms(**terms)


def test_budgets_say_themselves():
    assert str(flops_budget(1e11)) == "budget 1e+11 FLOPs"
    assert str(gpu_hours_budget(2.0, 1e14)) == "budget 2 GPU-hours"


def test_a_budget_in_words():
    assert str(gpu_hours_budget(1, 1e14)) == "budget 1 GPU-hour"
    assert str(gpu_hours_budget(2.5, 1e14)) == "budget 2.5 GPU-hours"
    assert str(money_budget(5, 1e14, 2.0, 0)) == "budget 5 (money)"
