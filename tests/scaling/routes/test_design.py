import numpy as np
import pandas as pd
import pytest

from jetscale.scaling.cost import CostModel
from jetscale.scaling.routes.design import fixed_budgets
from jetscale.scaling.routes.isoflop import isoflop
from jetscale.scaling.routes.noise import cell_noise
from jetscale.scaling.routes.route import cell_means
from jetscale.scaling.table import validate

SIX_ND = CostModel(k=6.0, p=1.0, worst_residual=0.0, measured=False)


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


def test_the_published_budgets_and_exponent_come_out_of_the_published_runs(real_data):
    """Nine budgets and approach 2's exponent 0.49 (0.462 to 0.534) of arXiv 2203.15556, table 2."""
    raw = pd.read_csv(real_data / "chinchilla_runs.csv").sort_values("loss").iloc[:-5]
    params, flops = raw["Model Size"].to_numpy(), raw["Training FLOP"].to_numpy()
    groups = fixed_budgets(params, flops)
    found = np.log([np.exp(np.log(flops[cells]).mean()) for cells in groups])
    for budget in (6e18, 1e19, 3e19, 6e19, 1e20, 3e20, 6e20, 1e21, 3e21):
        assert np.abs(found - np.log(budget)).min() < 0.1, "as read off a figure"
    table = {"params": params, "examples": flops / 6 / params, "loss": raw["loss"].to_numpy()}
    runs = validate(pd.DataFrame(table).assign(mixture="m"))
    means = cell_means(runs, SIX_ND, cell_noise(runs, None))
    a = isoflop(means, SIX_ND, means.redrawn(200, 0)).params_exponent
    assert a.value == pytest.approx(0.49, abs=0.02)
    assert a.low < 0.462 < 0.534 < a.high
