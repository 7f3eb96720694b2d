"""The law against its published constants, finite differences and numerical minimisation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from jetscale.scaling.cost import CostModel
from jetscale.scaling.engine import laws

HOFFMANN = np.array([1.69, 406.4, 410.7, 0.34, 0.28])
thetas = st.tuples(
    st.floats(0.0, 3.0),
    st.floats(0.1, 1e4),
    st.floats(0.1, 1e4),
    st.floats(0.05, 1.5),
    st.floats(0.05, 1.5),
).map(np.array)
sizes = st.floats(10.0, 1e10)


def power_cost(k: float, p: float) -> CostModel:
    return CostModel(k=k, p=p, worst_residual=0.0, measured=True)


def test_loss_of_the_published_law():
    # Chinchilla itself: 70e9 parameters, 1.4e12 tokens
    assert laws.loss(HOFFMANN, 70e9, 1.4e12) == pytest.approx(1.9366, abs=2e-4)


def test_shapes_broadcast():
    many = np.tile(HOFFMANN, (7, 1))
    assert laws.loss(many, 1e8, 1e9).shape == (7,)
    assert laws.loss(HOFFMANN, [1e8, 1e9, 1e10], 1e9).shape == (3,)


def test_exponents_of_the_published_law():
    a, b = laws.exponents(HOFFMANN, power_cost(6, 1))
    assert a == pytest.approx(0.28 / 0.62)
    assert a + b == pytest.approx(1)


@pytest.mark.slow
@given(thetas, st.floats(1e-2, 1e3), st.floats(0.5, 1.5), st.floats(1e6, 1e20))
def test_optimum_against_numerical_minimisation(theta, k, p, budget):
    cost = power_cost(k, p)
    best = laws.optimum(theta, budget, cost)

    def reducible(log_n):
        log_d = np.log(budget / k) - p * log_n
        terms = np.log(theta[1:3]) - theta[3:] * np.array([log_n, log_d])
        return np.logaddexp(*terms)

    centre = float(np.log(best.params))
    found = minimize_scalar(reducible, bracket=(centre - 2, centre + 1.7), tol=1e-12)
    assert reducible(centre) <= found.fun + 1e-12
    assert centre == pytest.approx(found.x, abs=1e-4)
    assert cost.flops(best.params, best.examples) == pytest.approx(budget, rel=1e-9)
    assert best.loss == pytest.approx(laws.loss(theta, best.params, best.examples))


@given(thetas, st.floats(0.5, 1.5))
def test_exponents_are_the_slopes_of_the_optimum(theta, p):
    cost = power_cost(6.0, p)
    low, high = (laws.optimum(theta, budget, cost) for budget in (1e12, 1e14))
    a, b = laws.exponents(theta, cost)
    assert np.log(high.params / low.params) / np.log(100) == pytest.approx(a)
    assert np.log(high.examples / low.examples) / np.log(100) == pytest.approx(b)
    assert p * a + b == pytest.approx(1)


def test_no_optimum_without_a_size_term():
    theta = np.array([1.0, 0.0, 10.0, 0.3, 0.3])
    best = laws.optimum(theta, 1e12, power_cost(6, 1))
    assert best.params == 0
    assert np.isinf(best.examples)
