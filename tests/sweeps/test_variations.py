"""Each variation changes one thing of the composition study, and its cells are those of that."""

from dataclasses import replace
from pathlib import Path

import pytest

from jetscale.planning.identity import flatten, recipe_of
from jetscale.study.load import load_study

SWEEPS = Path(__file__).parents[2] / "sweeps"


def load(monkeypatch, choice):
    monkeypatch.setenv("VARIATION", choice)
    return load_study(SWEEPS / "variations.py")


@pytest.fixture
def whole():
    return load_study(SWEEPS / "composition.py")


@pytest.mark.parametrize(
    ("choice", "changed"),
    [
        ("epochs8", {"schedule.epochs"}),
        ("epochs32", {"schedule.epochs"}),
        ("grid8", {"schedule.epochs"}),
        ("rates", {"optimiser.rates", "optimiser.learning_rate", "optimiser.width_exponent"}),
        ("draw", {"data.source"}),
    ],
)
def test_one_thing_is_changed(monkeypatch, whole, choice, changed):
    study = load(monkeypatch, choice)
    ours, theirs = flatten(recipe_of(study)), flatten(recipe_of(whole))
    differ = {name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name)}
    assert {name for name in differ if not name.startswith(tuple(changed))} == set()
    assert differ
    assert set(study.ladder) <= set(whole.ladder)
    assert set(study.data_sizes) <= set(whole.data_sizes)
    assert set(study.seeds) <= set(whole.seeds)
    assert (study.mixtures, study.subsets) == (whole.mixtures, whole.subsets)


def test_both_numbers_of_epochs_share_a_folder(monkeypatch):
    assert load(monkeypatch, "epochs8").name == load(monkeypatch, "epochs32").name
    assert load(monkeypatch, "epochs8").name == load(monkeypatch, "grid8").name
    assert load(monkeypatch, "rates").name != load(monkeypatch, "draw").name


def test_parts_of_the_grid_at_eight_epochs_are_of_it(monkeypatch):
    whole = load(monkeypatch, "grid8")
    monkeypatch.setenv("COMPOSITION_PART", "2x6")
    part = load(monkeypatch, "grid8")
    assert (len(part.ladder), len(part.data_sizes)) == (2, 6)
    assert replace(part, ladder=whole.ladder, data_sizes=whole.data_sizes) == whole


def test_cells_beyond_the_grid_at_eight_epochs_are_new_ones_of_the_same_study(monkeypatch):
    grid = load(monkeypatch, "grid8")
    seen = {(size, jets) for size in grid.ladder for jets in grid.data_sizes}
    for choice in ("small8", "long8", "longer8"):
        part = load(monkeypatch, choice)
        cells = {(size, jets) for size in part.ladder for jets in part.data_sizes}
        assert cells.isdisjoint(seen)
        assert max(part.data_sizes) <= part.recipe.data.pretraining_jets
        assert replace(part, ladder=grid.ladder, data_sizes=grid.data_sizes) == grid
        seen |= cells
    assert len(seen) == 6 * 7 + 9 + 6 + 1


def test_a_part_of_composition_is_of_it(monkeypatch, whole):
    monkeypatch.setenv("COMPOSITION_PART", "wide")
    wide = load_study(SWEEPS / "composition.py")
    assert wide.ladder == whole.ladder[4:5]
    assert max(wide.data_sizes) == 128_000
    same = replace(wide, ladder=whole.ladder, data_sizes=whole.data_sizes)
    assert same == whole


def test_more_seeds_keep_the_jets_of_those_before(monkeypatch, whole):
    grid = load(monkeypatch, "grid8")
    monkeypatch.setenv("COMPOSITION_PART", "6x5")
    more = load(monkeypatch, "seeds8")
    assert (len(more.ladder), len(more.data_sizes)) == (6, 5)
    assert list(more.replicates())[:3] == list(grid.replicates())
    assert len({subset for _, subset in more.replicates()}) == len(more.seeds) == 9
    same = {"ladder": grid.ladder, "data_sizes": grid.data_sizes}
    assert replace(more, **same, seeds=grid.seeds, subsets=grid.subsets) == grid


def test_models_of_one_shape_differ_in_nothing_but_heads_and_searched_rates(monkeypatch):
    grid = load(monkeypatch, "grid8")
    monkeypatch.setenv("COMPOSITION8_PART", "4x8")
    study = load_study(SWEEPS / "composition8.py")
    assert (len(study.ladder), max(study.data_sizes)) == (4, 64_000)
    assert {size.width / size.heads for size in study.ladder} == {4}
    assert (study.mixtures, study.seeds, study.source) == (grid.mixtures, grid.seeds, grid.source)
    ours, theirs = flatten(recipe_of(study)), flatten(recipe_of(grid))
    differ = {name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name)}
    assert {name.split(".")[0] for name in differ} == {"optimiser"}
    monkeypatch.setenv("COMPOSITION8_PART", "4x8x6")
    more = load_study(SWEEPS / "composition8.py")
    assert list(more.replicates())[:3] == list(study.replicates())
    assert replace(more, seeds=study.seeds, subsets=study.subsets) == study
    assert not study.recipe.searched_otherwise
    assert grid.recipe.searched_otherwise
