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


@settings(deadline=None, max_examples=30)
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
