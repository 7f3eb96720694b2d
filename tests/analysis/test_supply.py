"""Break-evens that are known are found, and what is not measured is not said."""

import runpy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

SCRIPT = Path(__file__).parents[2] / "analysis" / "supply.py"
SIZES = (500, 1000, 2000, 4000, 8000, 16_000, 32_000)
FULL = 128_000


@pytest.fixture(scope="module")
def script():
    return runpy.run_path(str(SCRIPT), run_name="analysis")


def difference(d, where):
    """Of log loss: far below zero at few jets, zero where pretraining breaks even."""
    return 5 * (float(where) ** -0.5 - float(d) ** -0.5)


def runs(arms, noise=0.0, seed=1):
    """A table with scratch and arms (mixture, supply, params) of known break-evens."""
    rng = np.random.default_rng(seed)
    rows = []
    for params, width in ((5770, 16), (12_490, 24), (33_610, 40)):
        for seed_ in (1, 2, 3):
            for d in SIZES:
                base = 2 + rng.normal() * noise
                cell = {"params": params, "width": width, "examples": d, "seed": seed_}
                rows.append({**cell, "mixture": "scratch", "supply": 0, "log": base})
                rows += [
                    {
                        **cell,
                        "mixture": mixture,
                        "supply": supply,
                        "log": base + difference(d, where) + noise * rng.normal(),
                    }
                    for (mixture, supply, size), where in arms.items()
                    if size == params
                ]
    frame = pd.DataFrame(rows).rename(columns={"supply": "pretraining_examples"})
    frame = frame.assign(loss=np.exp(frame.pop("log")), flops=frame["params"] * frame["examples"])
    return frame.assign(trunk="", regret=0.0, regret_error=0.0)


ARMS = {
    ("qcd", FULL, 5770): 12_000,
    ("qcd", FULL, 12_490): 6000,
    ("qcd", 8000, 12_490): 1500,
    ("qcd+bsm", FULL, 12_490): 200_000,
    ("qcd", FULL, 33_610): 200,
}


@pytest.fixture(scope="module")
def found(script):
    arms = script["arms_of"](runs(ARMS, noise=1e-4))
    noise = script["Noise"](arms)
    return {(a.mixture, a.supply, a.params): script["break_even"]([a], noise) for a in arms}


@pytest.mark.slow
@pytest.mark.parametrize("arm", [arm for arm, where in ARMS.items() if 500 < where < 32_000])
def test_a_known_break_even_is_found(found, arm):
    assert found[arm].value == pytest.approx(ARMS[arm], rel=0.1)


@pytest.mark.slow
def test_beyond_the_measured_jets_nothing_is_said(script, found):
    data = np.array(SIZES, float)
    texts = {arm: script["said"](one.value, data) for arm, one in found.items()}
    assert texts["qcd+bsm", FULL, 12_490] == ">32k"
    assert texts["qcd", FULL, 33_610] == "<500"
    assert found["qcd+bsm", FULL, 12_490].ends == (np.inf, np.inf)
    assert found["qcd", FULL, 33_610].ends == (0.0, 0.0)


@pytest.mark.long
def test_intervals_hold_the_truth_about_as_often_as_they_say(script, monkeypatch):
    """Independent draws of runs; nominal 95%, three seeds and a smooth curve as the only means."""
    monkeypatch.setitem(script["Noise"].redraws.__globals__, "REPLICATES", 300)
    held = []
    for seed in range(20):
        arms = script["arms_of"](runs(ARMS, noise=0.01, seed=seed))
        noise = script["Noise"](arms)
        for arm in arms:
            truth = ARMS[arm.mixture, arm.supply, arm.params]
            if 500 < truth < 32_000:
                low, high = script["break_even"]([arm], noise).ends
                held.append(low <= truth <= high)
    assert 0.85 <= np.mean(held) <= 1


def test_rates_move_the_break_even_both_ways(script):
    frame = runs(ARMS, noise=1e-4)
    frame["regret_error"] = 0.01 * frame["loss"].mean()
    arms = [arm for arm in script["arms_of"](frame) if arm.params == 5770]
    low, high = script["break_even"](arms, script["Noise"](arms)).rates
    assert 6000 < low < 12_000 < high


def test_curves_do_not_fall(script):
    data = np.array(SIZES, float)
    curve = script["Curve"](data, np.ones(len(data)))
    falling = np.linspace(0.1, -0.1, len(data))
    fitted = curve.at_fine @ curve.heights(falling)
    assert np.diff(fitted).min() >= 0
    rising = np.log(data / 4000)
    np.testing.assert_allclose(curve.at_data @ curve.heights(rising), rising, atol=1e-6)


@pytest.mark.slow
def test_the_sizes_of_pretraining_are_told_apart_in_the_tables(script):
    frame = runs(ARMS, noise=1e-3)
    arms = script["arms_of"](frame)
    lines = list(script["tables"](arms, script["Noise"](arms)))
    assert sum(line.startswith("| qcd | 8,000 |") for line in lines) == 1
    row = next(line for line in script["supply_table"](arms) if line.startswith("| qcd | 8,000"))
    gain = difference(1, 6000) - difference(1, 1500)
    assert float(row.split("|")[-2].split()[0]) == pytest.approx(gain, abs=0.002)
    factors = list(script["factor_table"](frame))
    assert sum(line.startswith("| qcd |") for line in factors) == 4


@pytest.mark.long
def test_the_figure_is_a_picture(script, tmp_path):
    arms = script["arms_of"](runs(ARMS, noise=0.01))
    drawing = runpy.run_path(str(SCRIPT.with_name("supply_figure.py")), run_name="analysis")
    drawing["draw"](arms, script["Noise"](arms), tmp_path / "s.png")
    assert (tmp_path / "s.png").read_bytes().startswith(b"\x89PNG")


def test_a_table_without_supplies_is_one_of_the_composition_study(script, tmp_path):
    frame = runs(ARMS).drop(columns=["pretraining_examples", "regret", "regret_error"])
    frame = frame.drop_duplicates(["mixture", "params", "examples", "seed"])
    frame.to_csv(tmp_path / "runs.csv", index=False)
    read = script["read"](tmp_path / "runs.csv")
    supplies = read.groupby("mixture")["pretraining_examples"].unique()
    assert supplies["scratch"] == [0]
    assert supplies["qcd"] == [FULL]
    assert read["regret"].notna().all()
