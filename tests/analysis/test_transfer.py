"""What was transferred in made-up runs is found; each law gets the runs it wants."""

import runpy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

SCRIPT = Path(__file__).parents[2] / "analysis" / "transfer.py"
SIZES = (500, 1000, 2000, 4000, 8000, 16_000, 32_000)
FULL = 128_000


@pytest.fixture(scope="module")
def script():
    return runpy.run_path(str(SCRIPT), run_name="analysis")


@pytest.mark.slow
def test_what_is_transferred_grows_with_the_supply_as_it_was_made(script):
    """At one size E + B / (D + D_T)^beta with D_T = 900 (D / 2k)^x (P / 32k)^z, z = 0.25."""
    rng, rows = np.random.default_rng(1), []
    for mixture, x in (("scratch", 0), ("qcd", 0.1), ("qcd+bsm", 0.4)):
        for supply in (0,) if mixture == "scratch" else (2000, 8000, 32_000, FULL):
            for d in SIZES:
                moved = 900 * (d / 2000) ** x * (supply / 32_000) ** 0.25
                loss = 0.8 + 30 / (d + moved) ** 0.5
                arm = {"mixture": mixture, "pretraining_examples": supply, "params": 12_490}
                rows += [
                    {**arm, "examples": d, "seed": s, "loss": loss * np.exp(0.002 * rng.normal())}
                    for s in (1, 2, 3)
                ]
    lines = list(script["transferred_table"](pd.DataFrame(rows), 20))
    for line, x in ((lines[1], 0.1), (lines[2], 0.4)):
        _, _, told, own_x, own_z, _ = line.split("|")
        assert told.split()[0] in {"880", "890", "900", "910", "920"}
        assert float(own_x.split()[0]) == pytest.approx(x, abs=0.05)
        assert float(own_z.split()[0]) == pytest.approx(0.25, abs=0.03)


def test_the_pretraining_law_gets_no_runs_from_scratch(script):
    runs = script["SUPPLY"]["read"](SCRIPT.with_name("supply-runs.csv"))
    scratch = runs.assign(mixture="scratch", pretraining_examples=0)
    found = script["pretraining_table"](pd.concat([scratch, runs]))
    assert set(found["mixture"]) == {"qcd", "qcd+bsm"}
    assert len(found) == len(runs)
