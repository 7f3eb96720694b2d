import numpy as np
import pytest

from jetscale.scaling.routes.design import fixed_budgets


def test_budgets_are_found_beside_other_runs():
    rng = np.random.default_rng(0)
    n = np.exp(rng.uniform(16, 22, 90))
    c = np.repeat([6e18, 1.1e19, 3e19], 30) * np.exp(0.02 * rng.normal(size=90))
    others = np.exp(rng.uniform(np.log(1e18), np.log(1e21), 40))
    groups = fixed_budgets(np.append(n, np.exp(rng.uniform(16, 22, 40))), np.append(c, others))
    middles = [np.exp(np.log(np.append(c, others)[g]).mean()) for g in groups]
    assert middles == pytest.approx([6e18, 1.1e19, 3e19], rel=0.03)


def test_scattered_compute_is_no_design():
    rng = np.random.default_rng(1)
    assert fixed_budgets(np.exp(rng.uniform(16, 22, 300)), np.exp(rng.uniform(40, 50, 300))) == []
