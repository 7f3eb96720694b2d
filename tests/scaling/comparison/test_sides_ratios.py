import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

from jetscale.scaling.comparison.sides import ratios
from jetscale.scaling.cost import CostModel
from jetscale.scaling.engine import laws
from jetscale.scaling.engine.forms import CHINCHILLA, law_named

A = np.array([1.8, 480.0, 2100.0, 0.35, 0.37])
COST = CostModel(k=6.0, p=1.1, worst_residual=0.0, measured=True)


def test_a_mixture_against_itself_is_one():
    assert [float(v) for v in ratios(CHINCHILLA, A, A, 1e20, COST)] == pytest.approx([1, 1, 1])


def test_a_mixture_worth_twice_the_data():
    # B / (2 D)^beta: the same loss with half the examples at every size
    b = A * np.array([1, 1, 2**-0.37, 1, 1])
    found = ratios(CHINCHILLA, A, b, 1e20, COST)
    assert float(found.params) > 1  # data grew cheaper relative to parameters
    assert float(found.examples) < 1
    # half the data for the same model is half the compute
    assert float(found.compute_multiplier) == pytest.approx(2)


@settings(max_examples=50)
@given(st.floats(0.2, 0.8), st.floats(0.2, 0.8), st.floats(0.5, 1.0), st.floats(16, 22))
def test_the_multiplier_solves_equal_loss(alpha, beta, floor, decades):
    b, budget = np.array([1.8 * floor, 300.0, 1500.0, alpha, beta]), 10.0**decades
    wanted = float(laws.optimum(A, budget, COST).loss)

    def excess(log_c):
        return float(laws.optimum(b, np.exp(log_c), COST).loss) - wanted

    needed = np.exp(brentq(excess, -200, 400))
    assert float(ratios(CHINCHILLA, A, b, budget, COST).compute_multiplier) == pytest.approx(
        budget / needed, rel=1e-6
    )


@pytest.mark.parametrize(
    ("name", "further"), [("outer-power", 0.3), ("outer-power", 2.0), ("overfit", 0.1)]
)
def test_the_multiplier_solves_equal_loss_under_richer_laws_too(name, further):
    law, budget = law_named(name), 1e20
    a, b = np.append(A, further), np.append(A * np.array([0.9, 0.8, 1.1, 1.1, 0.9]), 0.7 * further)
    wanted = float(law.optimum(a, budget, COST).loss)
    needed = np.exp(
        brentq(lambda c: float(law.optimum(b, np.exp(c), COST).loss) - wanted, -200, 400)
    )
    found = float(ratios(law, a, b, budget, COST).compute_multiplier)
    assert found == pytest.approx(budget / needed, rel=1e-6)


def test_no_compute_reaches_below_the_floor():
    b = A * np.array([2, 1, 1, 1, 1])
    both = np.stack([A, A])
    found = ratios(CHINCHILLA, both, np.stack([b, A]), 1e24, COST).compute_multiplier
    assert found[0] == 0
    assert found[1] == pytest.approx(1)
