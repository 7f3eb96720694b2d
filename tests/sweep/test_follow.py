import threading
import time

import pytest
from fixtures.waiting import PATIENCE

from jetscale.errors import StudyError
from jetscale.store.home import Home
from jetscale.store.records import RecordStore
from jetscale.sweep import follow as module
from jetscale.sweep.follow import LiveMirror, following, sync_study
from jetscale.tracking.mirror import PARENT, Mirror
from jetscale.tracking.names import name_run


@pytest.mark.integration
def test_records_appear_in_mlflow_while_the_sweep_goes_on(
    study, planned, records, tmp_path, monkeypatch, caplog
):
    caplog.set_level("INFO", logger="jetscale")
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(module, "MIRROR_SECONDS", 0.1)
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    live = LiveMirror(study, Home(tmp_path), planned, uri)
    seen = []
    with following(live, planned, lambda what, done, total: seen.append((what, done, total))):
        for record in records:
            RecordStore(Home(tmp_path).study(study)).write(record)
        deadline = time.monotonic() + 30
        mirror = Mirror(uri, study.name, Home(tmp_path))
        while len(mirror.pull({run.key for run in planned})) < len(planned):
            assert time.monotonic() < deadline, "records were not mirrored"
            time.sleep(0.1)
    assert seen[0] == ("training runs", 0, len(planned))
    assert seen[-1] == ("training runs", len(planned), len(planned))
    assert live.behind == ""
    lines = [line for line in caplog.messages if f" of {len(planned)})" in line]
    assert len(lines) == len(planned), "a line for each run"
    assert all(any(name_run(record) in line for line in lines) for record in records)


@pytest.mark.slow
def test_a_bug_in_mirroring_is_told_and_a_sweep_is_followed_on(
    study, planned, records, tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(module, "MIRROR_SECONDS", 0.0)
    live = LiveMirror(study, Home(tmp_path), planned, "sqlite://")
    live.store.write(records[0])
    tries, again = [], threading.Event()

    def push():
        tries.append(live)
        if len(tries) > 1:
            again.set()
        raise ValueError("a bug")

    monkeypatch.setattr(live, "push", push)
    with following(live, planned, lambda *_: None):
        assert again.wait(PATIENCE)
    assert "mirroring to MLflow failed; it is tried again" in caplog.messages
    assert "ValueError: a bug" in caplog.text


@pytest.mark.slow
def test_mlflow_down_is_a_line_and_nothing_is_lost(study, planned, records, tmp_path):
    live = LiveMirror(study, Home(tmp_path), planned, "sqlite:////proc/nowhere/mlflow.db")
    RecordStore(Home(tmp_path).study(study)).write(records[0])
    live.push({"sweep_seconds": 1.0})
    assert live.behind.startswith("MLflow at sqlite:")
    assert "mirrored by the next" in live.behind
    assert live.store.read_all(live.keys) == {records[0].key: records[0]}


@pytest.mark.integration
def test_what_mlflow_missed_is_offered_again(study, planned, records, tmp_path):
    broken = LiveMirror(study, Home(tmp_path), planned, "sqlite:////proc/nowhere/mlflow.db")
    for record in records:
        RecordStore(Home(tmp_path).study(study)).write(record)
    broken.push()
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    LiveMirror(study, Home(tmp_path), planned, uri).push()
    mirror = Mirror(uri, study.name, Home(tmp_path))
    assert len(mirror.pull({run.key for run in planned})) == len(planned)
    [parent] = mirror.client.search_runs([mirror.experiment], f"tags.`{PARENT}` != ''")
    lowest = min(record.loss for record in records if record.loss is not None)
    assert parent.data.metrics == {"runs_done": len(records), "lowest_loss": lowest}


def test_records_of_other_plans_are_not_shown(study, planned, records, tmp_path):
    for record in records:
        RecordStore(Home(tmp_path).study(study)).write(record)
    live = LiveMirror(study, Home(tmp_path), planned[:2], "sqlite://")
    assert set(live.store.read_all(live.keys)) == {run.key for run in planned[:2]}


def test_there_is_nothing_to_mirror_before_a_run_is_done(study, tmp_path):
    with pytest.raises(StudyError, match="has no finished runs: start it with `jetscale run`"):
        sync_study(study, Home(tmp_path), f"sqlite:///{tmp_path / 'mlflow.db'}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.integration
def test_a_record_that_is_damaged_is_named_and_the_others_are_mirrored(study, records, tmp_path):
    store = RecordStore(Home(tmp_path).study(study))
    for record in records:
        store.write(record)
    (store.folder.path / "records" / f"{records[0].key}.json").write_text("{")
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    added, kept, [line] = sync_study(study, Home(tmp_path), uri)
    assert (added, kept) == (len(records) - 1, len(records) - 1)
    assert "not a JSON object; remove the file" in line
