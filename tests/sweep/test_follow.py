import time

import pytest

from jetscale.store.records import RecordStore
from jetscale.sweep import follow as module
from jetscale.sweep.follow import LiveMirror, following
from jetscale.tracking.mirror import Mirror


@pytest.mark.integration
def test_records_appear_in_mlflow_while_the_sweep_goes_on(
    study, planned, records, tmp_path, monkeypatch
):
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(module, "MIRROR_SECONDS", 0.1)
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    live = LiveMirror(study, tmp_path, planned, uri)
    live.push()
    seen = []
    with following(live, planned, lambda what, done, total: seen.append((what, done, total))):
        for record in records:
            RecordStore(tmp_path).write(record)
        deadline = time.monotonic() + 30
        mirror = Mirror(uri, study.name, tmp_path / "artifacts")
        while len(mirror.pull()) < 8:
            assert time.monotonic() < deadline, "records were not mirrored"
            time.sleep(0.1)
    assert seen[0] == ("training runs", 0, len(planned))
    assert seen[-1] == ("training runs", len(planned), len(planned))
    assert live.problem == ""


def test_mlflow_down_is_a_line_and_nothing_is_lost(study, planned, records, tmp_path):
    live = LiveMirror(study, tmp_path, planned, "sqlite:////proc/nowhere/mlflow.db")
    RecordStore(tmp_path).write(records[0])
    live.push({"sweep_seconds": 1.0})
    assert live.problem.startswith("MLflow at sqlite:")
    assert "mirrored by the next" in live.problem
    assert live.records() == [records[0]]


@pytest.mark.integration
def test_what_mlflow_missed_is_offered_again(study, planned, records, tmp_path):
    broken = LiveMirror(study, tmp_path, planned, "sqlite:////proc/nowhere/mlflow.db")
    for record in records:
        RecordStore(tmp_path).write(record)
    broken.push()
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    LiveMirror(study, tmp_path, planned, uri).push()
    assert len(Mirror(uri, study.name, tmp_path / "artifacts").pull()) == 8


def test_records_of_other_plans_are_not_shown(study, planned, records, tmp_path):
    for record in records:
        RecordStore(tmp_path).write(record)
    live = LiveMirror(study, tmp_path, planned[:2], "sqlite://")
    assert {record.key for record in live.records()} == {run.key for run in planned[:2]}
