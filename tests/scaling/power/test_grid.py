"""The planned grid: costs, additions, and grids that are none."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jetscale.errors import FitError
from jetscale.scaling.fit import fit
from jetscale.scaling.power.grid import make_grid

N = [1e4, 1e4, 1e4, 1e5, 1e5, 1e5, 1e6, 1e6, 1e6]
D = [1e4, 1e5, 1e6] * 3


def test_the_default_cost_is_six_n_d():
    grid = make_grid(N, D)
    assert grid.cost.k == pytest.approx(6)
    assert grid.cost.p == pytest.approx(1)
    assert grid.total == pytest.approx(2 * 6 * np.dot(N, D))


def test_total_counts_pretraining_once_per_size_and_seed():
    trunk = np.repeat([10.0, 20.0, 40.0], 3)
    grid = make_grid(
        N, D, seeds=2, flops=np.multiply(N, D), pretraining_flops=trunk, mixtures="abc"
    )
    assert grid.total == pytest.approx(3 * 2 * np.dot(N, D) + 2 * (10 + 20 + 40))


def test_the_run_table_can_be_fitted(truth, small):
    table = small.runs(np.zeros(32), "x")
    assert len(table) == 32
    assert set(table["seed"]) == {0, 1}
    assert table.groupby(["params", "examples"]).size().eq(2).all()
    assert (table["mixture"] == "x").all()
    rng = np.random.default_rng(0)
    assert fit(small.runs(0.01 * rng.normal(size=32)), replicates=50).mixtures["m"].n_cells == 16


def test_trunks_are_named_where_there_is_pretraining(plan):
    pretrained = plan(3, 4, 2, pretraining_flops=5.0)
    table = pretrained.runs(np.zeros(24))
    assert pretrained.pretrained
    assert table.groupby("trunk").size().tolist() == [4] * 6
    assert table.groupby("trunk")[["params", "seed"]].nunique().eq(1).all(axis=None)
    assert "trunk" not in plan(3, 4, 2).runs(np.zeros(24))


def test_seeds_of_single_cells_may_differ():
    grid = make_grid(N, D, seeds=[1, 2, 3, 1, 2, 3, 1, 2, 3])
    assert grid.runs(np.zeros(18)).groupby(["params", "examples"]).size().tolist() == [1, 2, 3] * 3
    assert grid.with_another_seed().seeds.tolist() == [2, 3, 4] * 3


def test_a_new_size_costs_what_the_power_laws_say():
    trunk = 7.0 * np.array(N) ** 1.1
    grid = make_grid(N, D, 2, 5 * np.power(N, 0.9) * D, trunk, mixtures="ab")
    larger = grid.with_cells(1e7, [1e4, 1e5])
    added = 2 * 2 * 5 * 1e7**0.9 * (1e4 + 1e5) + 2 * 7 * 1e7**1.1
    assert larger.total - grid.total == pytest.approx(added)
    assert len(larger.params) == 11


def test_a_known_size_brings_no_further_trunk():
    trunk = [100.0] * 3 + [900.0] * 3 + [5000.0] * 3  # no power law
    grid = make_grid(N, D, 1, np.multiply(N, D), trunk)
    more_data = grid.with_cells(np.unique(N), 1e7)
    assert more_data.total - grid.total == pytest.approx(2 * 1e7 * sum(set(N)))


@pytest.mark.long
@settings(max_examples=20)
@given(
    st.lists(st.floats(2, 1e9), min_size=3, max_size=5, unique_by=round),
    st.lists(st.floats(2, 1e9), min_size=3, max_size=5, unique_by=round),
    st.integers(1, 5),
)
def test_one_more_seed_costs_its_share(params, examples, seeds):
    n, d = (v.ravel() for v in np.meshgrid(np.round(params), np.round(examples)))
    grid = make_grid(n, d, seeds, pretraining_flops=n)
    assert grid.with_another_seed().total == pytest.approx(grid.total * (seeds + 1) / seeds)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"params": [*N[:-1], 0]}, "params is 0, needs"),
        ({"examples": [*D[:-1], np.inf]}, "examples is inf"),
        ({"seeds": 0}, "seeds is 0"),
        ({"seeds": 1.5}, "whole numbers"),
        ({"flops": -1.0}, "flops is -1"),
        ({"pretraining_flops": -5.0}, "pretraining_flops is -5"),
        ({"params": [*N[:-1], 1e4], "examples": [*D[:-1], 1e4]}, "a cell twice"),
        ({"params": N[:-1]}, "one value of each"),
        ({"params": [], "examples": []}, "no cells"),
        ({"mixtures": ()}, "no mixtures"),
        ({"mixtures": ("a", "b", "a")}, "mixture 'a' twice"),
        ({"params": N[:6], "examples": D[:6]}, "has 2 model sizes, needs at least 3"),
        ({"params": N[:3] + N[3:9:3], "examples": D[:5]}, "5 cells"),
    ],
)
def test_what_is_no_grid_is_refused(change, message):
    with pytest.raises(FitError, match=message) as caught:
        make_grid(**{"params": N, "examples": D} | change)
    assert "\n" not in str(caught.value)
