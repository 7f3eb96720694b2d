"""Which runs err together, and when trunks can be told from the law."""

import numpy as np
import pytest

from jetscale.scaling import fit
from jetscale.scaling.kinds import Kind, cells_of, part_of, share_trunks, too_few, trunks_of
from jetscale.scaling.table import validate

SIZES = np.geomspace(1e7, 3e9, 5), np.geomspace(1e8, 1e11, 4)


def test_kinds_of_a_full_grid(grid, truth):
    runs = validate(grid({"m": truth}, *SIZES))
    cells, trunks = cells_of(runs), trunks_of(runs)
    assert cells.sizes.tolist() == [2] * 20
    assert (cells.labels == runs["cell"]).all(), "numbered as the cells are"
    assert trunks.sizes.tolist() == [4] * 10
    together = runs.groupby(trunks.labels)
    assert (together["params"].nunique() == 1).all()
    assert (together["seed"].nunique() == 1).all()


def test_sums_over_the_runs_of_a_unit():
    kind = Kind.of(np.array([1, 0, 1]))
    assert kind.sums(np.array([[1.0, 10.0, 100.0]])).tolist() == [[10.0, 101.0]]


def test_runs_that_share_nothing_have_no_trunks(grid, truth):
    runs = validate(grid({"m": truth}, *SIZES, seeds=1))
    assert trunks_of(runs.assign(trunk=[f"run {i}" for i in range(20)])) is None


@pytest.mark.slow
def test_three_trunks_cannot_be_told_from_the_law(grid, truth):
    few = validate(grid({"m": truth}, SIZES[0][:3], SIZES[1], seeds=1))
    assert too_few(few).startswith("3 trunks cannot be told from the law")
    assert trunks_of(few) is None
    assert too_few(validate(grid({"m": truth}, SIZES[0][:3], SIZES[1]))) == "", "six of two seeds"
    warned = fit(few, replicates=50, uncertainty="trunks").mixtures["m"].warnings
    assert any("intervals leave out how trunks differ" in line for line in warned)


def test_trunks_are_shared_where_several_cells_name_one(grid, truth):
    runs = validate(grid({"m": truth}, *SIZES))
    assert not share_trunks(runs)
    assert not share_trunks(runs.assign(trunk=[str(i) for i in range(len(runs))]))
    assert share_trunks(runs.assign(trunk=runs["params"].astype(str)))


@pytest.mark.parametrize(("count", "used"), [(40, 40), (300, 60)])
def test_some_of_many_trunks_say_how_they_differ(count, used):
    labels = np.repeat(np.arange(count), 3)
    assert len(np.unique(labels[part_of(Kind.of(labels))])) == used
