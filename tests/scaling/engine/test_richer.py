"""The richer laws against their formulas, brute force, and runs made from them."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from jetscale.scaling.cost import CostModel
from jetscale.scaling.engine import laws
from jetscale.scaling.engine.forms import LAWS
from jetscale.scaling.fit import fit

PLAIN = [1.8, 480.0, 2100.0, 0.35, 0.37]
COSTS = [CostModel(k=k, p=p, worst_residual=0.0, measured=False) for k, p in ((6, 1.0), (50, 0.9))]
THETA = {
    "outer-power": np.array([[*PLAIN, 0.5], [*PLAIN, 1.8]]),
    "interaction": np.array([[*PLAIN, 6e4, 0.8], [*PLAIN, 10.0, 0.4]]),
    "overfit": np.array([[*PLAIN, 0.1], [*PLAIN, -0.05]]),
}


@given(st.floats(1e4, 1e12), st.floats(1e4, 1e14))
def test_the_default_law_is_a_case_of_all(params, examples):
    plain = laws.loss(np.array(PLAIN), params, examples)
    one, none = np.array([*PLAIN, 1.0]), np.array([*PLAIN, 0.0, 0.7])
    assert LAWS["outer-power"].loss(one, params, examples) == pytest.approx(plain, rel=1e-12)
    assert LAWS["interaction"].loss(none, params, examples) == pytest.approx(plain, rel=1e-12)
    flat = np.array([*PLAIN, 0.0])
    assert LAWS["overfit"].loss(flat, params, examples) == pytest.approx(plain, rel=1e-12)


def test_formulas():
    n, d = 3e8, 7e9
    a, b = 480 * n**-0.35, 2100 * d**-0.37
    power, third = LAWS["outer-power"], LAWS["interaction"]
    expected = [1.8 + (a**2 + b**2) ** 0.5, 1.8 + (a ** (1 / 1.8) + b ** (1 / 1.8)) ** 1.8]
    assert power.loss(THETA["outer-power"], n, d) == pytest.approx(expected)
    expected = [1.8 + a + b + G * (n**0.35 * d**0.37) ** -h for G, h in ((6e4, 0.8), (10.0, 0.4))]
    assert third.loss(THETA["interaction"], n, d) == pytest.approx(expected)
    expected = [1.8 + a + b * n**gamma for gamma in (0.1, -0.05)]
    assert LAWS["overfit"].loss(THETA["overfit"], n, d) == pytest.approx(expected)


def test_published_form():
    # arXiv 2001.08361, equation 1.5: ((Nc / N)^(aN / aD) + Dc / D)^aD, aN .076, aD .103
    n, d = np.geomspace(1e6, 1e9, 4), np.geomspace(1e7, 1e10, 4)
    published = ((6.4e13 / n) ** (0.076 / 0.103) + 1.8e13 / d) ** 0.103
    theta = np.array([0.0, 6.4e13**0.076, 1.8e13**0.103, 0.076, 0.103, 0.103])
    assert LAWS["outer-power"].loss(theta, n, d) == pytest.approx(published, rel=1e-12)


@pytest.mark.parametrize("cost", COSTS, ids=["6ND", "N^0.9"])
@pytest.mark.parametrize("name", THETA)
def test_optimum_against_minimisation(name, cost):
    law, budget = LAWS[name], 1e21
    best = law.optimum(THETA[name], budget, cost)
    assert cost.flops(best.params, best.examples) == pytest.approx([budget] * 2)
    for row, theta in enumerate(THETA[name]):

        def at(log_n, theta=theta):
            examples = budget / cost.k * np.exp(-cost.p * log_n)
            return float(law.loss(theta, np.exp(log_n), examples))

        found = minimize_scalar(at, bounds=(12, 30), method="bounded", options={"xatol": 1e-9})
        assert best.loss[row] == pytest.approx(found.fun, rel=1e-10)
        assert np.log(best.params[row]) == pytest.approx(found.x, abs=1e-3)


@pytest.mark.parametrize("cost", COSTS, ids=["6ND", "N^0.9"])
@pytest.mark.parametrize("name", THETA)
def test_exponents_are_the_slopes_of_the_optimum(name, cost):
    law, budgets = LAWS[name], np.array([1e21 / 1.01, 1e21 * 1.01])
    a, b = law.exponents(THETA[name], cost, 1e21)
    ends = [law.optimum(THETA[name], budget, cost) for budget in budgets]
    step = np.diff(np.log(budgets))[0]
    slopes = [np.log(getattr(ends[1], n) / getattr(ends[0], n)) / step for n in ends[0]._fields]
    assert a == pytest.approx(slopes[0], abs=2e-4)
    assert b == pytest.approx(slopes[1], abs=2e-4)


def test_overfitting_has_a_best_size_at_fixed_data_and_more_data_move_it_up():
    law, sizes = LAWS["overfit"], np.geomspace(1e4, 1e12, 400)
    theta = np.array([0.7, 8.0, 3.0, 0.35, 0.4, 0.1])
    best = [sizes[law.loss(theta, sizes, d).argmin()] for d in (1e3, 1e5, 1e7)]
    assert sizes[0] < best[0] < best[1] < best[2] < sizes[-1]


def test_where_larger_models_need_less_data_at_any_price_the_best_is_infinite():
    theta = np.array([*PLAIN, -0.45])  # gamma + p beta < 0
    found = LAWS["overfit"].optimum(theta, 1e21, COSTS[0])
    assert found.params == np.inf
    assert found.examples == 0
    both = np.array([theta, [*PLAIN, 0.1]])
    assert LAWS["overfit"].bounded(both, COSTS[0]).tolist() == [False, True]
    assert LAWS["chinchilla"].bounded(both[:, :5], COSTS[0]).all()
    a, b = LAWS["overfit"].exponents(theta, COSTS[0], 1e21)
    assert (a, b) == pytest.approx((0.37 / 0.35, 1 - 0.37 / 0.35))


@pytest.mark.slow
@pytest.mark.parametrize("row", [0, 1])
@pytest.mark.parametrize("name", THETA)
def test_exact_runs_give_the_law_back(name, row):
    sizes = np.geomspace(1e7, 1e9, 6), np.geomspace(2e8, 1e11, 6)
    params, examples = (axis.ravel() for axis in np.meshgrid(*sizes))
    theta = THETA[name][row]
    losses = LAWS[name].loss(theta, params, examples)
    columns = {"mixture": "m", "params": params, "examples": examples, "loss": losses}
    found = fit(pd.DataFrame(columns), law=name, replicates=50)["m"]
    assert found.theta == pytest.approx(theta, rel=1e-3)
    assert found.worst_residual < 1e-8
