"""The command `jetscale power`, from a sweep file to tables and JSON; no jet is made for it."""

import importlib
import json
import re

import numpy as np
import pandas as pd
import pytest

from jetscale.cli import main

SWEEP = """
from jetscale.study import Controls, Mixture, ModelSize, Simulated, Study

def study():
    return Study(
        name="small",
        source=Simulated(train_jets=100_000),
        mixtures=({mixtures}),
        ladder=tuple(ModelSize(width=w, layers=1, heads=1) for w in {widths}),
        data_sizes={sizes},
        seeds={seeds},
        controls=Controls(pretraining_jets=1000, validation_jets=50, test_jets=50),
    )
"""
SCRATCH = 'Mixture(name="scratch"),'
QCD = 'Mixture(name="qcd", parts={"qcd": 1.0}),'


@pytest.fixture
def sweep(tmp_path, monkeypatch):
    """Writes a sweep file; 3 x 4 cells, 2 seeds and 2 mixtures unless told."""
    monkeypatch.setenv("JETSCALE_HOME", str(tmp_path / "runs"))
    answer = importlib.import_module("jetscale.scaling.power.answer")
    monkeypatch.setattr(answer, "_REPLICATES", 60)

    def write(mixtures=SCRATCH + QCD, widths=(8, 32, 128), sizes="(100, 1000, 10000, 100000)", **k):
        path = tmp_path / "sweep.py"
        seeds = k.get("seeds", "(1, 2)")
        path.write_text(SWEEP.format(mixtures=mixtures, widths=widths, sizes=sizes, seeds=seeds))
        return path

    return write


def call(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return stop.value.code, captured.out, captured.err


@pytest.mark.long
def test_tables_that_fit_a_terminal_and_a_conclusion(capsys, sweep, tmp_path, not_told):
    fast = ("--simulations", "10", "--shift", "-0.2", "--noise", "0.005")
    code, out, err = call(capsys, "power", sweep(), *fast)
    assert code == 0, err
    assert max(map(len, out.splitlines())) <= 80
    assert "…" not in out
    text = " ".join(out.split())
    assert "study small: 2 mixtures x 12 cells, 24 runs each" in text
    assert "law of every mixture: L = 0.5 +" in text
    assert "0.005 between seeds and smoothly by 0.005 from the law" in text
    for title in ("Expected 95% intervals", "A shift of a between two mixtures", "Further runs"):
        assert title in text
    assert "one more seed everywhere" in text
    assert "one pretrained trunk" in text
    assert "exponents would not be identified in" in text
    assert text.endswith("more compute).")
    verdict = out.split("study small")[0]
    assert "with 80% power" in verdict or "exponents would not be identified" in verdict
    assert "made-up studies, equal laws: 10/10" in err
    assert re.search(
        r"10 studies for each shift that is tried, about [\d.]+ (s|min) a shift", not_told[-1]
    )
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_json(capsys, sweep):
    arguments = ("--simulations", "10", "--law", "0.4,20,20,0.4,0.4", "--seed", "5", "--json")
    alone = sweep(mixtures=SCRATCH)
    code, out, _ = call(capsys, "power", alone, *arguments, "--noise", "0.02", "--misfit", "0")
    found = json.loads(out)
    assert code == 0
    assert found["study"] == "small"
    assert found["laws"]["scratch"]["alpha"] == 0.4
    assert (found["noise"], found["misfit"], found["seed"]) == (0.02, 0.0, 5)
    assert found["detection"] is None
    assert found["widths"]["scratch"]["not_identified"]["of"] == 10
    assert len(found["grid"]["params"]) == 12
    assert found["warnings"] == ["one mixture: nothing to compare"]
    assert {"what", "flops", "share_of_plan", "half_width", "gain"} <= set(found["extras"][0])


@pytest.mark.long
def test_like_a_pilot(capsys, sweep, tmp_path):
    rng = np.random.default_rng(2)
    n, d, s = (
        axis.ravel()
        for axis in np.meshgrid(np.geomspace(1e3, 3e5, 4), np.geomspace(1e2, 1e5, 5), [1, 2, 3])
    )
    loss = (0.5 + 10 / n**0.4 + 5 / d**0.4) * rng.lognormal(0, 0.02, len(n))
    columns = {"params": n, "examples": d, "seed": s, "loss": loss}
    pilot = tmp_path / "pilot.csv"
    pd.DataFrame({"mixture": "qcd"} | columns).to_csv(pilot, index=False)
    arguments = ("--like", pilot, "--simulations", "10", "--json")
    code, out, _ = call(capsys, "power", sweep(mixtures=SCRATCH, seeds="(1,)"), *arguments)
    found = json.loads(out)
    assert code == 0
    assert found["source"] == "laws of the pilot (scratch from qcd)"
    assert found["noise"] == pytest.approx(0.02, rel=0.3)
    assert found["laws"]["scratch"]["beta"] == pytest.approx(0.4, abs=0.1)
    assert found["warnings"][-2].startswith("one seed: the noise is assumed")


@pytest.mark.parametrize(
    ("grid", "options", "message"),
    [
        ({"widths": (8, 16)}, (), "the planned grid has 2 model sizes, needs at least 3"),
        ({"sizes": "(100, 200)"}, (), "has 2 data sizes"),
        ({}, ("--law", "1,2,x,4,5"), "--law is '1,2,x,4,5', needs 5 numbers"),
        ({}, ("--law", "0.5,1,1,3,0.3"), "law: alpha is 3, needs a number between 0.01 and 2"),
        ({}, ("--law", "0.5,1,1,0.3"), "alpha,beta or 6 numbers E,A,B,alpha,beta,gamma, not 4"),
        ({}, ("--law", "overfit"), "the law 'overfit' needs the runs of a pilot"),
        ({}, ("--law", "overfitt"), "unknown law 'overfitt'"),
        ({}, ("--law", "outer-power"), "a grid can say is known under chinchilla, overfit or auto"),
        ({}, ("--shift", "-0.6"), "a shift of -0.6 takes the law out of bounds"),
        ({}, ("--shift", "0"), "shift is 0"),
        ({"mixtures": SCRATCH}, ("--shift", "0.1"), "a shift needs two mixtures"),
        ({}, ("--noise", "0"), "noise is 0, needs a number above 0 and at most 1"),
        ({}, ("--misfit", "-1"), "misfit is -1"),
        ({}, ("--simulations", "1"), "1 is not a whole number of at least 10"),
        ({}, ("--seed", "-1"), "seed is -1"),
        ({}, ("--like", "absent.csv"), "absent.csv: cannot read the run table"),
    ],
)
def test_mistakes_end_in_one_line(capsys, sweep, grid, options, message):
    code, out, err = call(capsys, "power", sweep(**grid), *options)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert message in err


def test_a_missing_sweep_is_one_line(capsys, tmp_path):
    code, _, err = call(capsys, "power", tmp_path / "none.py")
    assert code == 2
    assert err.startswith("jetscale: ")


def test_help_stands_after_plan(capsys):
    code, out, _ = call(capsys, "--help")
    assert code == 0
    assert out.index("\n  plan ") < out.index("\n  power ") < out.index("\n  run ")
    assert "--like" in call(capsys, "power", "--help")[1]


@pytest.mark.long
def test_power_of_a_run_table(capsys, sweep, tmp_path):
    """Its grid and its laws; a quarter of the seeds would tell less."""
    rng = np.random.default_rng(0)
    rows = [
        (m, n, d, s, (0.5 + 20 / n**0.4 + 30 / d**0.4) * rng.lognormal(0, 0.01))
        for m in ("a", "b")
        for n in (1e3, 8e3, 6.4e4)
        for d in (1e3, 1e4, 1e5, 1e6)
        for s in (0, 1)
    ]
    path = tmp_path / "runs.csv"
    frame = pd.DataFrame(rows, columns=["mix", "params", "tokens", "seed", "loss"])
    frame.to_csv(path, index=False)
    options = ("--columns", "mixture=mix", "--objective", "squares", "--uncertainty", "wild")
    fast = ("--simulations", "10", "--shift", "-0.2", "--json")
    code, out, err = call(capsys, "power", "--runs", path, *options, *fast)
    found = json.loads(out)
    assert code == 0, err
    assert found["grid"]["mixtures"] == ["a", "b"]
    assert (len(found["grid"]["params"]), set(found["grid"]["seeds"])) == (12, {2})
    assert found["source"] == "laws of the pilot"
    assert found["laws"]["a"]["alpha"] == pytest.approx(0.4, abs=0.15)
    assert found["widths"]["a"]["method"] == "wild"
    code, _, err = call(capsys, "power")
    assert code == 2
    assert "give either a SWEEP file or --runs" in err


@pytest.mark.long
def test_power_under_the_law_of_a_pilot(capsys, tmp_path):
    """The law that a table asks for is assumed, shown and analysed; its shift needs more."""
    rng = np.random.default_rng(1)
    rows = [
        (m, n, d, s, (0.5 + 8 / n**0.4 + 8 * n**0.15 / d**0.4) * rng.lognormal(0, 0.003))
        for m in ("a", "b")
        for n in np.geomspace(1e3, 1e5, 5)
        for d in np.geomspace(1e3, 1e6, 6)
        for s in (0, 1)
    ]
    path = tmp_path / "runs.csv"
    columns = ["mixture", "params", "examples", "seed", "loss"]
    pd.DataFrame(rows, columns=columns).to_csv(path, index=False)
    fast = ("--simulations", "10", "--shift", "-0.1", "--law")
    code, out, err = call(capsys, "power", "--runs", path, *fast, "overfit", "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found["laws"]["a"]["gamma"] == pytest.approx(0.15, abs=0.05)
    assert found["laws"]["a"]["params_exponent"] == pytest.approx(0.4 / 0.95, abs=0.05)
    assert found["misfit"] < 0.003
    stated = ",".join(str(value) for value in (0.5, 8, 8, 0.4, 0.4, 0.15))
    code, out, err = call(capsys, "power", "--runs", path, *fast, stated, "--noise", "0.003")
    assert code == 0, err
    assert "L = 0.5 + 8 / N^0.4 + 8 N^0.15 / D^0.4, a = 0.42" in out
