"""The analysis of the composition study, on made-up runs and on its own table."""

import runpy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from jetscale.errors import StudyError

SCRIPT = Path(__file__).parents[2] / "analysis" / "composition.py"


@pytest.fixture(scope="module")
def script():
    return runpy.run_path(str(SCRIPT), run_name="analysis")


@pytest.fixture(scope="module")
def frame():
    """Pretraining is worth four times the data, the exponents are those of the law."""
    rng, rows = np.random.default_rng(0), []
    for name, factor in (("scratch", 1), ("qcd", 2), ("qcd+bsm", 4)):
        for n in (500, 2_000, 8_000, 32_000, 128_000):
            for d in (500, 2_000, 8_000, 32_000, 128_000):
                for seed in (1, 2, 3):
                    loss = 0.5 + 8 * n**-0.4 + 30 * (factor * d) ** -0.5
                    row = {"mixture": name, "params": n, "examples": d, "seed": seed}
                    row |= {"loss": loss * np.exp(0.005 * rng.normal()), "flops": 200 * n * d}
                    rows.append(row | {"trunk": "" if factor == 1 else f"{name}{n}{seed}"})
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def fits(script, frame):
    return script["laws"](frame)


@pytest.mark.long
def test_the_figure_is_a_picture(script, frame, fits, tmp_path):
    script["draw"](frame, fits, tmp_path / "c.png")
    content = (tmp_path / "c.png").read_bytes()
    assert content.startswith(b"\x89PNG")
    assert len(content) > 20_000


@pytest.mark.slow
def test_equal_exponents_show_no_shift(script, fits):
    for name in ("qcd", "qcd+bsm"):
        found = script["shift"](fits, name)
        assert found.low < 0 < found.high
        assert found.high - found.low < 0.2
    assert fits["qcd"]["a"].value == pytest.approx(0.5 / 0.9, abs=0.05)


def test_a_row_for_everything_that_could_be_otherwise(script, frame):
    whole = frame.assign(validation_loss=1.0)
    names = [name for name, *_ in script["variants"](whole, "chinchilla")]
    assert names[:4] == ["all runs", *(f"seed and subset {seed} alone" for seed in (1, 2, 3))]
    assert "without the largest D" in names
    assert len(names) == len(set(names))
    others = {name for name, *_ in script["variants"](whole, "outer-power")} - {*names}
    assert others == {"sum of two terms"}


def test_differences_have_a_row_per_data_size_and_pair(script, frame):
    lines = script["differences"](frame).splitlines()
    assert len(lines) == 2 + 3 * (5 + 1)
    assert lines[0].count("|") == lines[1].count("|") == lines[2].count("|")
    assert lines[2].startswith("| qcd - scratch | 500 | -")


def test_runs_trained_here_are_added_to_the_table_in_place_of_the_same(
    script, tmp_path, monkeypatch, capsys
):
    """One part of the study has runs here, the others say that they have none."""
    runs = script["read"](script["AT_EIGHT"])
    table = tmp_path / "runs.csv"
    runs[runs["examples"] < 32_000].to_csv(table, index=False, float_format="%.12g")
    here = runs[runs["examples"] >= 16_000].assign(seconds=1.0)

    def ours(study):
        if len(study.ladder) == 6:
            return here.assign(key="k")
        raise StudyError("no finished runs")

    monkeypatch.setattr("jetscale.runs", ours)
    script["export"].__globals__["PARTS"][table] = script["PARTS"][script["AT_EIGHT"]]
    script["export"](table)
    found = script["read"](table)
    assert capsys.readouterr().out.count("no finished runs") == len(script["PARTS"][table]) - 1
    same = ["mixture", "params", "examples", "seed", "loss"]
    pd.testing.assert_frame_equal(found[same], runs[same])
    assert set(found["seconds"][found["examples"] >= 16_000]) == {1.0}


@pytest.mark.parametrize("table", ["TABLE", "AT_EIGHT"])
def test_the_table_of_the_study_is_whole(script, table):
    runs = script["read"](script[table])
    assert set(runs["mixture"]) == {"scratch", "qcd", "qcd+bsm"}
    assert runs.groupby(["params", "examples", "mixture"])["seed"].nunique().eq(3).all()
    sizes = runs.groupby("mixture").size()
    assert sizes.nunique() == 1, "every mixture has the same cells"
