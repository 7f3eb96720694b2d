"""Redrawn deviations of the null: as large as errors, alike where runs have something in common."""

import numpy as np
import pytest

from jetscale.scaling.comparison.joint import Pair
from jetscale.scaling.engine.forms import CHINCHILLA
from jetscale.scaling.engine.objective import Objective
from jetscale.scaling.table import validate

SMALL = {"params": np.geomspace(1e7, 3e9, 4), "examples": np.geomspace(1e8, 1e11, 4)}


def as_pair(frame, by_trunk=False):
    a, b = (part for _, part in validate(frame).groupby("mixture", sort=False))
    return Pair(a, b, CHINCHILLA, Objective("squares", 0.1), by_trunk)


def test_draws_match_on_common_cells_and_only_there(grid, truth):
    frame = grid({"a": truth, "b": truth}, **SMALL)
    same = frame["loss"].where(frame["mixture"] == "a", frame["loss"].shift(len(frame) // 2))
    drawn = as_pair(frame.assign(loss=same)).deviations(20, 0)
    half = drawn.shape[1] // 2
    assert drawn[:, :half] == pytest.approx(drawn[:, half:])
    fewer = frame[(frame["mixture"] == "a") | (frame["examples"] > 2e8)]
    drawn = as_pair(fewer).deviations(400, 0)
    correlation = np.corrcoef(drawn.T)[:half, half:]
    assert np.abs(correlation).max() < 0.3


@pytest.mark.slow
def test_deviations_are_no_smaller_than_the_errors(grid, truth):
    """The fit takes 8 of 64 degrees of freedom; a misfit that is not seen counts as possible."""
    ratios = []
    for random in range(25):
        frame = grid({"a": truth, "b": truth}, random=random, **SMALL)
        exact = grid({"a": truth, "b": truth}, noise=0.0, **SMALL)
        errors = np.log(frame["loss"] / exact["loss"]).to_numpy()
        drawn = as_pair(frame).deviations(200, random)
        ratios.append(np.median((drawn**2).sum(axis=1)) / (errors**2).sum())
    assert 0.95 < np.mean(ratios) < 1.6


def test_runs_of_a_trunk_move_together(grid, truth):
    frame = grid({"a": truth, "b": truth}, noise=0.001, **SMALL)
    keys = frame.groupby(["mixture", "params", "seed"]).ngroup().to_numpy()
    off = 0.05 * np.random.default_rng(0).normal(size=keys.max() + 1)
    pair = as_pair(frame.assign(loss=frame["loss"] * np.exp(off[keys])), by_trunk=True)
    drawn = pair.deviations(200, 0)
    trunk = pair.runs.groupby(["mixture", "params", "seed"]).ngroup().to_numpy()
    correlation = np.corrcoef(drawn.T)
    same = trunk[:, None] == trunk
    np.fill_diagonal(same, False)
    assert correlation[same].mean() > 0.9
    assert abs(correlation[trunk[:, None] != trunk].mean()) < 0.1
