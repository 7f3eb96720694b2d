"""--source: where the runs of a sweep are read."""

import json

import pytest
from fixtures.former import FORMER

from jetscale.cli import main

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
