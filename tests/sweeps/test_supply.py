"""The supply sweep: composition at one size, and nothing but the pretraining size differs."""

from pathlib import Path

import pytest

from jetscale.planning import plan_runs
from jetscale.planning.identity import flatten
from jetscale.study.load import load_study

SWEEPS = Path(__file__).parents[2] / "sweeps"


@pytest.fixture(params=[2_000, 8_000, 32_000])
def jets(request, monkeypatch):
    monkeypatch.setenv("SUPPLY_JETS", str(request.param))
    return request.param


def test_nothing_but_the_pretraining_size_differs_from_composition(jets):
    one, whole = load_study(SWEEPS / "supply.py"), load_study(SWEEPS / "composition.py")
    a, b = flatten(one.recipe.to_dict()), flatten(whole.recipe.to_dict())
    assert {name for name in a.keys() | b.keys() if a.get(name) != b.get(name)} == {
        "data.pretraining_jets"
    }
    assert one.recipe.data.pretraining_jets == jets
    for name in ("source", "seeds", "subsets", "data_sizes"):
        assert getattr(one, name) == getattr(whole, name)
    assert one.mixtures == whole.pretrained
    assert set(one.ladder) < set(whole.ladder)


def test_a_part_of_composition_does_not_change_it(jets, monkeypatch):
    before = load_study(SWEEPS / "supply.py")
    monkeypatch.setenv("COMPOSITION_PART", "1x7")
    assert load_study(SWEEPS / "supply.py") == before


def test_eight_epochs_are_those_of_the_grid_at_eight(jets, monkeypatch):
    two = load_study(SWEEPS / "supply.py")
    monkeypatch.setenv("SUPPLY_EPOCHS", "8")
    monkeypatch.setenv("VARIATION", "grid8")
    eight, grid = load_study(SWEEPS / "supply.py"), load_study(SWEEPS / "variations.py")
    assert eight.recipe == two.recipe.change(epochs=8)
    assert eight.recipe.change(pretraining_jets=128_000) == grid.recipe
    assert eight.ladder[0] in grid.ladder
    assert (eight.source, eight.seeds, eight.data_sizes) == (two.source, two.seeds, two.data_sizes)


def test_it_costs_what_it_says(jets):
    planned = plan_runs(load_study(SWEEPS / "supply.py"))
    assert [run.kind for run in planned].count("finetune") == 42
    assert sum(run.flops for run in planned) < 2.7e12
