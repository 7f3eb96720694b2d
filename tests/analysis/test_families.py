"""Differences between families that are put into a made-up table are found."""

import runpy
from pathlib import Path

import pandas as pd
import pytest

SCRIPT = Path(__file__).parents[2] / "analysis" / "families.py"
WIDTHS = {4: 490, 6: 970, 10: 2_410, 16: 5_770}


@pytest.fixture(scope="module")
def script():
    return runpy.run_path(str(SCRIPT), run_name="analysis")


def runs(losses, wider=1):
    """Losses by mixture, 5% lower at each next data size; architectures differ in N."""
    rows = [
        (mixture, wider * n, width, d, seed, loss * 0.95**i + 0.001 * seed + 0.0001 * width)
        for mixture, loss in losses.items()
        for width, n in WIDTHS.items()
        for i, d in enumerate((500, 1_000, 2_000))
        for seed in (1, 2)
    ]
    columns = ["mixture", "params", "width", "examples", "seed", "loss"]
    return pd.DataFrame(rows, columns=columns).assign(trunk="")


@pytest.fixture(scope="module")
def tables():
    return {
        "transformer-classify": runs({"scratch": 2.0, "qcd": 1.8, "qcd+bsm": 1.7}),
        "transformer-masked": runs({"scratch": 2.0, "qcd": 1.9, "qcd+bsm": 1.95}),
        "part-classify": runs({"scratch": 1.9, "qcd": 1.7, "qcd+bsm": 1.6}, wider=3),
    }


@pytest.mark.slow
def test_the_order_of_the_mixtures_is_counted_over_cells(script, tables):
    told = script["order"](tables).splitlines()
    assert told[2:] == [
        "| transformer, labels | qcd+bsm < qcd < scratch: 12 |",
        "| transformer, masked | qcd < qcd+bsm < scratch: 12 |",
        "| ParT, labels | qcd+bsm < qcd < scratch: 12 |",
    ]


def test_differences_stand_beside_each_other(script, tables):
    lines = script["differences"](tables).splitlines()
    assert lines[0].endswith("| transformer, labels | transformer, masked | ParT, labels |")
    first = next(line for line in lines if line.startswith("| qcd - scratch | 500 |"))
    cells = [cell.strip() for cell in first.split("|")[3:-1]]
    assert [cell.split(" ")[0] for cell in cells] == ["-0.200", "-0.100", "-0.200"]
    assert all(cell.endswith("8 of 8") for cell in cells)
    assert any(line.startswith("| qcd+bsm - qcd | all |") for line in lines)


def test_differences_are_listed_by_width(script, tables):
    lines = script["by_width"](tables).splitlines()
    assert lines[0].endswith("| width 4 | width 6 | width 10 | width 16 |")
    first = next(line for line in lines if line.startswith("| qcd - scratch | transformer, masked"))
    assert first.count("-0.095, 6 of 6") == 4  # -0.1 at 500 jets, 5 and 10% less beyond


def test_an_effect_that_is_the_same_in_both_families_differs_by_nothing(script, tables):
    lines = script["between"](tables).splitlines()
    same = next(line for line in lines if "qcd - scratch | ParT, labels - transformer" in line)
    assert same.count("+0.000 [") + same.count("-0.000 [") == 4
    masked = next(line for line in lines if "qcd - scratch | transformer, masked - trans" in line)
    assert "| +0.100 [+0.100, +0.100] |" in masked
    assert not any("ParT, masked" in line for line in lines)


def test_objectives_are_compared_on_the_same_jets(script, tables):
    lines = script["objectives"](tables).splitlines()
    assert "| transformer | qcd | 500 | +0.100 [+0.100, +0.100] | 0 of 8 |" in lines
    assert len(lines) == 2 + 2 * 4


def test_runs_from_scratch_are_listed_once(script, tables):
    lines = script["losses"](tables).splitlines()
    assert sum("| scratch |" in line for line in lines) == 2 * len(WIDTHS)
    assert len(lines) == 2 + (3 + 2 + 3) * len(WIDTHS)
