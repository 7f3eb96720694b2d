import runpy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from jetscale.study.load import load_study

SCRIPT = Path(__file__).parents[2] / "analysis" / "factorial.py"
MANY, NEAR, BOTH = -0.05, -0.02, 0.03


@pytest.fixture(scope="module")
def script():
    return runpy.run_path(str(SCRIPT), run_name="analysis")


@pytest.fixture(scope="module")
def frame():
    """Losses with known effects of many labels, near jets and both."""
    rng = np.random.default_rng(1)
    corners = {"few-far": 0.0, "many-far": MANY, "few-near": NEAR, "many-near": MANY + NEAR + BOTH}
    rows = [
        {
            "mixture": name,
            "params": n,
            "examples": d,
            "seed": s,
            "loss": 2 + 10 / d**0.5 + shift + 0.001 * rng.normal(),
        }
        for name, shift in (corners | {"scratch": 0.1}).items()
        for n in (900, 3000, 20_000)
        for d in (500, 1000)
        for s in (1, 2)
    ]
    return pd.DataFrame(rows)


def test_known_effects_are_found(script, frame):
    found = {
        (name, size): value
        for name, size, value, _, _ in script["rows"](script["by_mixture"](frame))
    }
    truth = {
        "diversity: many - few": MANY + BOTH / 2,
        "alignment: near - far": NEAR + BOTH / 2,
        "interaction": BOTH,
    }
    for (name, _), value in found.items():
        assert value.value == pytest.approx(truth[name], abs=0.002)
        assert value.high - value.low < 0.01
    assert {size for _, size in found} == {"500", "1,000", "all"}


def test_signs_are_counted_over_runs(script, frame):
    rows = {
        (name, size): (lower, runs)
        for name, size, _, lower, runs in script["rows"](script["by_mixture"](frame))
    }
    assert rows["diversity: many - few", "all"] == (12, 12)
    assert rows["interaction", "500"] == (0, 6)


def test_incomplete_runs_are_left_out(script, frame):
    missing = frame[(frame["mixture"] != "few-near") | (frame["params"] > 900)]
    assert len(script["by_mixture"](missing)) == 8


def test_the_effects_name_the_mixtures_of_the_sweep(script):
    study = load_study(script["SWEEP"])
    names = {mixture.name for mixture in study.mixtures}
    for weights in script["EFFECTS"].values():
        assert set(weights) < names
        assert sum(weights.values()) == 0


def test_the_tables_are_markdown(script, frame, capsys, monkeypatch):
    main = script["main"]
    monkeypatch.setitem(main.__globals__, "runs", lambda: frame)
    main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "| D | few-far | few-near | many-far | many-near | scratch |"
    assert sum(line.startswith("| interaction |") for line in lines) == 3


def test_what_the_rates_may_make_of_an_effect(script, frame):
    regrets = {"few-far": 0.02, "many-far": 0.0, "few-near": 0.0, "many-near": 0.0, "scratch": 0.9}
    told = frame.assign(regret=frame["mixture"].map(regrets), regret_error=0.0)
    # few far labels would gain .02 by better rates: half of it in either main effect
    for name, share in (("diversity: many - few", 0.01), ("interaction", 0.02)):
        for label in ("500", "1,000", "all"):
            assert script["rates_share"](told, name, label) == pytest.approx(share)
    noisy = told.assign(regret=0.0, regret_error=0.02)
    assert script["rates_share"](noisy, "interaction", "all") == pytest.approx(0.04)
    assert np.isnan(script["rates_share"](frame, "interaction", "all"))
