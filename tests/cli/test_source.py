"""--source: where the runs of a sweep are read."""

import json

import numpy as np
import pytest
from fixtures.former import FORMER

from jetscale.cli import main
from jetscale.scaling.tuning import TrainingCurve

SWEEP = str(FORMER / "tiny.py")


def call(capsys, *arguments):
    code = 0
    try:
        main(list(arguments))
    except SystemExit as stop:
        code = int(stop.code or 0)
    out, err = capsys.readouterr()
    return code, out, err


@pytest.fixture(autouse=True)
def folder(former_home, monkeypatch):
    monkeypatch.setenv("JETSCALE_HOME", str(former_home.path))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return former_home


def test_records_are_read_without_mlflow(capsys, folder):
    code, out, err = call(capsys, "fit", SWEEP, "--source", "records", "--json")
    assert code == 0
    assert err.startswith("warning: learning rates were not searched")
    assert json.loads(out)["paired"]["pairs"][0]["mixture"] == "qcd"
    assert not folder.database.exists()


def test_mlflow_that_was_asked_for_must_answer(capsys, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:////proc/nowhere/mlflow.db")
    code, _, err = call(capsys, "fit", SWEEP, "--source", "mlflow")
    assert (code, err.count("\n")) == (2, 1)
    assert err.startswith("jetscale: MLflow at sqlite:")
    code, out, err = call(capsys, "fit", SWEEP, "--json")
    assert code == 0
    assert "using the record files instead" in err
    assert json.loads(out)["paired"]["pairs"]


def test_a_table_of_its_own_has_no_source(capsys, tmp_path):
    code, _, err = call(capsys, "fit", "--runs", str(tmp_path / "x.csv"), "--source", "mlflow")
    assert (code, "--source goes with a SWEEP" in err) == (2, True)


def test_another_source_is_answered_with_those_there_are(capsys):
    code, _, err = call(capsys, "fit", SWEEP, "--source", "record")
    assert code == 2
    assert "'mlflow'" in err
    assert "'records'" in err


@pytest.mark.slow
def test_training_curves_that_leave_the_others_are_a_line(capsys, monkeypatch):
    random, shares = np.random.default_rng(4), np.arange(1, 33) / 32
    curves = []
    for params, power in ((1e4, 0.3), (4e4, 0.3), (2e5, 0.1), (1e6, 0.3)):
        for seed in (1, 2, 3):
            y = shares**-power * np.exp(random.normal(0, 0.01, 32))
            given = {"mixture": "qcd", "params": params, "examples": 100, "seed": seed}
            points = list(zip(shares, y, strict=True))
            curves.append(TrainingCurve(**given, points=points, final=y[-1]))
    monkeypatch.setattr("jetscale.sweep.runs.load_curves", lambda study, home: curves)
    _, out, _ = call(capsys, "fit", SWEEP, "--source", "records", "--full")
    assert "Training curves: 1 of 4 rungs leave" in " ".join(out.split())
    _, out, _ = call(capsys, "fit", SWEEP, "--source", "records", "--json")
    assert [rung["breaks"] for rung in json.loads(out)["collapse"]["rungs"]] == [0, 0, 1, 0]
    alike = [curve for curve in curves if curve.params != 2e5]
    monkeypatch.setattr("jetscale.sweep.runs.load_curves", lambda study, home: alike)
    _, out, _ = call(capsys, "fit", SWEEP, "--source", "records", "--full")
    assert "Training curves" not in out


@pytest.mark.integration
def test_commands_that_only_read_leave_mlflow_as_it_is(capsys, folder):
    assert call(capsys, "sync", SWEEP)[0] == 0
    before = folder.database.read_bytes()
    for command in ("status", "plan", "fit", "compare", "runs"):
        code, _, err = call(capsys, command, SWEEP)
        assert code == 0, err
    call(capsys, "allocate", SWEEP, "--budget", "1e9")  # one size and no law: refused after reading
    assert folder.database.read_bytes() == before
