"""1-D minimisation at fixed cost against the closed form, and where there is no optimum."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jetscale.scaling.cost import CostModel
from jetscale.scaling.engine import laws
from jetscale.scaling.engine.frontier import split


def cost(k: float, p: float) -> CostModel:
    return CostModel(k=k, p=p, worst_residual=0.0, measured=True)


@settings(max_examples=30)
@given(
    st.floats(0.1, 1.2),
    st.floats(0.1, 1.2),
    st.floats(0.7, 1.3),
    st.floats(1e12, 1e22),
    st.floats(-2, 2),
)
def test_against_the_closed_form(alpha, beta, p, budget, lean):
    # heights for which the optimum lies inside: both terms equal near the middle of the budget
    model = cost(6.0, p)
    per_k = np.log(budget / 6.0)
    n, d = per_k / (2 * p), per_k / 2
    theta = np.array([1.0, np.exp(alpha * n + lean), np.exp(beta * d), alpha, beta])
    params, examples = split(lambda n, d: laws.loss(theta, n, d), budget, model)
    exact = laws.optimum(theta, budget, model)
    if exact.params > 2 and exact.examples > 2:
        assert np.log(params) == pytest.approx(np.log(exact.params), abs=1e-5)
        assert model.flops(params, examples) == pytest.approx(budget)


def test_many_laws_and_budgets_at_once():
    theta = np.array([[1.8, 480.0, 2100.0, 0.35, 0.37], [1.5, 300.0, 4000.0, 0.3, 0.45]])[:, None]
    budgets = np.broadcast_to([1e18, 1e20, 1e22], (2, 3))
    params, examples = split(lambda n, d: laws.loss(theta, n, d), budgets, cost(6, 1))
    exact = laws.optimum(theta, budgets, cost(6, 1))
    assert params == pytest.approx(exact.params, rel=1e-5)
    assert examples == pytest.approx(exact.examples, rel=1e-5)


def test_no_optimum_ends_at_an_edge():
    theta = np.array([1.0, 0.0, 100.0, 0.3, 0.3])
    params, examples = split(lambda n, d: laws.loss(theta, n, d), 1e12, cost(6, 1))
    assert params == pytest.approx(1)
    assert examples == pytest.approx(1e12 / 6)


def test_upfront_cost_of_nothing_changes_nothing(truth):
    budgets = np.geomspace(1e12, 1e24, 7)
    without = split(lambda n, d: laws.loss(truth, n, d), budgets, cost(6, 1.1))
    nothing = split(lambda n, d: laws.loss(truth, n, d), budgets, cost(6, 1.1), lambda n: 0 * n)
    assert nothing[0] == pytest.approx(without[0], rel=1e-6)
    assert nothing[1] == pytest.approx(without[1], rel=1e-6)


@pytest.mark.parametrize(("m", "q"), [(1e9, 1.0), (1e3, 2.0), (1e15, 0.0), (1e11, 0.9)])
def test_upfront_cost_against_a_dense_search(truth, m, q):
    model, budget = cost(20.0, 0.95), 1e21
    params, examples = split(lambda n, d: laws.loss(truth, n, d), budget, model, lambda n: m * n**q)
    assert model.flops(params, examples) + m * params**q == pytest.approx(budget)
    n = np.geomspace(1, 1e15, 400_001)
    left = np.maximum(budget - m * n**q, 0.0)
    losses = laws.loss(truth, n, np.maximum(left / (model.k * n**model.p), 1e-9))
    assert np.log(params) == pytest.approx(np.log(n[losses.argmin()]), abs=2e-4)


def test_upfront_cost_in_proportion_is_a_shift_of_the_examples(truth):
    # k N (D + s) = C: the optimum of B / D^beta in D moves, the largest model costs k N (1 + s)
    model, shift, budget = cost(6.0, 1.0), 1e9, 1e20
    params, examples = split(
        lambda n, d: laws.loss(truth, n, d), budget, model, lambda n: 6.0 * n * shift
    )
    assert params * (examples + shift) == pytest.approx(budget / 6)
    # at the optimum alpha A N^-alpha = beta B D^-beta (D + s) / D
    _, A, B, alpha, beta = truth
    left, right = alpha * A * params**-alpha, beta * B * examples**-beta * (examples + shift)
    assert left == pytest.approx(right / examples, rel=1e-5)


def test_a_budget_below_any_upfront_cost_buys_nothing(truth):
    params, examples = split(
        lambda n, d: laws.loss(truth, n, d),
        np.array([1e9, 1e20]),
        cost(6.0, 1.0),
        lambda n: 1e10 + 0 * n,
    )
    assert np.isnan([params[0], examples[0]]).all()
    assert np.isfinite([params[1], examples[1]]).all()
