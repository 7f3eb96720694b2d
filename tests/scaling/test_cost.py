"""The cost model of a run table."""

import numpy as np
import pandas as pd
import pytest

from jetscale.errors import FitError
from jetscale.jsonable import as_json
from jetscale.scaling.cost import cost_model, pretraining


def runs(power: float, wobble: float = 0.0) -> pd.DataFrame:
    n = np.array([1e4, 1e5, 1e6, 1e4, 1e5, 1e6])
    d = np.array([1e3, 1e3, 1e3, 1e4, 1e4, 1e4])
    noise = np.exp(wobble * np.array([1, -2, 1, 1, -2, 1]))
    return pd.DataFrame({"params": n, "examples": d, "flops": 20 * n**power * d * noise})


def test_without_flops_the_convention_is_six_n_d():
    cost = cost_model(runs(1).drop(columns="flops"))
    assert (cost.k, cost.p, cost.worst_residual) == (6.0, 1.0, 0.0)
    assert cost.convention == "C = 6 x params x examples (the table has no flops column)"
    assert cost.flops(np.array(10.0), np.array(5.0)) == 300
    assert cost.warning == ""


def test_power_is_recovered():
    cost = cost_model(runs(0.9))
    assert cost.p == pytest.approx(0.9)
    assert cost.k == pytest.approx(20)
    assert cost.worst_residual < 1e-12
    assert "params^0.9000" in cost.convention
    assert "pretraining" not in cost.convention, "a table of tokens need not know the word"
    spent = runs(0.9).assign(mixture="m", pretraining_flops=1e9)
    left_out = "downstream training FLOPs; pretraining not counted"
    assert cost_model(spent).convention.endswith(left_out)


@pytest.mark.parametrize("dropped", [[], ["flops"]])
def test_params_are_named_where_the_table_knows_two_counts(dropped):
    table = runs(1).drop(columns=dropped)
    assert "trainable" not in cost_model(table).convention
    both = table.assign(params_non_embedding=table["params"] / 2)
    assert cost_model(both).convention.endswith("; params: all trainable parameters")


def test_pretraining_names_the_largest_model_of_each_mixture():
    table = runs(1).assign(mixture=["scratch", "qcd", "qcd"] * 2)
    assert pretraining(table) == {}
    table["pretraining_flops"] = [0.0, 1e9, 3e10] * 2
    assert list(pretraining(table)) == ["qcd"]
    assert "3e+10 FLOPs of pretraining" in pretraining(table)["qcd"]


def test_worst_residual_is_reported():
    cost = cost_model(runs(1.0, wobble=0.1))
    assert cost.p == pytest.approx(1.0)
    assert cost.worst_residual == pytest.approx(1 - np.exp(-0.2))
    assert "18%" in cost.warning
    assert as_json(cost)["worst_residual"] == cost.worst_residual


def test_flops_that_fall_with_size():
    with pytest.raises(FitError, match="flops per example fall with params"):
        cost_model(runs(-0.5))


def test_one_size_alone_gives_a_cost_per_example_for_whatever_its_logarithm_rounds_to():
    rng = np.random.default_rng(1)
    for size in rng.integers(500, 400_000, 200):
        table = pd.DataFrame({"params": [float(size)] * 7, "examples": 500.0 * 2.0 ** np.arange(7)})
        cost = cost_model(table.assign(flops=table["examples"] * rng.uniform(2, 2.2, 7)))
        assert cost.p == 1
        assert cost.k * size == pytest.approx(2.1, rel=0.05)
