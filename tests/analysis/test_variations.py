"""Changes that are known are found, and each mixture takes its own best number of epochs."""

import runpy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

SCRIPT = Path(__file__).parents[2] / "analysis" / "variations.py"
SIZES = (500, 1_000, 2_000, 4_000, 8_000, 16_000)


@pytest.fixture(scope="module")
def script():
    return runpy.run_path(str(SCRIPT), run_name="analysis")


def runs(losses, sizes=SIZES):
    """A table of mixtures with these losses at 500 jets, 5% lower at each next size."""
    rows = [
        (mixture, n, d, seed, loss * 0.95**i * (1 + 0.001 * seed))
        for mixture, loss in losses.items()
        for n in (970, 2_410, 5_770)
        for i, d in enumerate(sizes)
        for seed in (1, 2)
    ]
    frame = pd.DataFrame(rows, columns=["mixture", "params", "examples", "seed", "loss"])
    return frame.assign(validation_loss=frame["loss"], trunk="")


def test_changes_are_ratios_to_the_baseline(script):
    base = runs({"scratch": 2.0, "qcd": 1.8, "qcd+bsm": 1.7})
    lower = base.assign(loss=base["loss"] * np.where(base["mixture"] == "scratch", 0.9, 1.0))
    few = lower[lower["examples"] <= 1_000]
    lines = script["changes"]({"composition": base, "epochs8": lower, "epochs32": few}).splitlines()
    assert lines[2] == "| scratch | 500 | -10.5% [-10.5, -10.5] | -10.5% [-10.5, -10.5] |"
    assert lines[7] == "| scratch | 16,000 | -10.5% [-10.5, -10.5] | - |"
    assert lines[8].startswith("| qcd | 500 | +0.0% ")


def test_each_mixture_takes_the_epochs_that_suit_it_by_validation(script):
    two = runs({"scratch": 2.0, "qcd": 1.8})
    eight = runs({"scratch": 1.9, "qcd": 1.85})
    eight["loss"] *= 1.5  # the test set must not choose
    best = script["best_of"]([two, eight])
    assert len(best) == len(two)
    chosen = best.set_index(["mixture", "examples", "seed", "params"])
    assert chosen.loc[("scratch", 500, 1, 970), "loss"] == pytest.approx(1.9 * 1.5 * 1.001)
    assert chosen.loc[("qcd", 500, 1, 970), "loss"] == pytest.approx(1.8 * 1.001)


def test_differences_stand_beside_each_other(script):
    base = runs({"scratch": 2.0, "qcd": 1.8})
    told = script["differences"]({"composition": base, "epochs8": base}).splitlines()
    assert told[0].endswith("| as in composition | 8 epochs for 2 |")
    _, pair, size, first, second, _ = (cell.strip() for cell in told[2].split("|"))
    assert (pair, size, first) == ("qcd - scratch", "500", second)
    assert first.startswith("-0.200 [")


def test_the_tables_are_of_the_same_cells(script):
    tables = script["read"]()
    assert next(iter(tables)) == "composition"
    for name in set(tables) - {"composition"}:
        cells = set(map(tuple, tables[name][["params", "examples", "seed"]].to_numpy()))
        base = set(map(tuple, tables["composition"][["params", "examples", "seed"]].to_numpy()))
        assert cells <= base
