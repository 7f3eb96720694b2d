import json
import time

import pytest

from jetscale.errors import Failure, StorageError, TrainingError
from jetscale.store import records as module
from jetscale.store.home import StudyFolder
from jetscale.store.records import RecordStore, RunState, count_states, find_finished


@pytest.fixture
def store(tmp_path):
    store = RecordStore(StudyFolder(tmp_path))
    store.prepare()
    return store


def test_a_record_comes_back_as_it_was(store, records):
    for record in records:
        store.write(record)
    assert store.keys() == {record.key for record in records}
    again = RecordStore(store.folder)
    assert again.read_all(store.keys()) == {record.key: record for record in records}
    assert again.read("absent") is None


def test_a_record_written_again_is_read_again(store, records):
    store.write(records[0])
    assert store.read(records[0].key) == records[0]
    changed = json.loads(records[0].to_json()) | {"host": "there"}
    store.write(module.parse_record(changed, "x"))
    assert store.read(records[0].key).host == "there"


def test_a_truncated_record_is_trained_again_and_status_says_why(store, planned, records):
    for record in records[:2]:
        store.write(record)
    path = store.folder.path / "records" / f"{records[0].key}.json"
    path.write_text(path.read_text()[:100])
    assert find_finished(store, planned) == {records[1].key}
    row = store.status(planned[:1])[0]
    assert row.state is RunState.MISSING
    assert row.why == "its record is damaged; `jetscale run` trains it again"


def test_a_record_of_a_later_version_is_refused_not_trained_again(store, planned, records):
    path = store.folder.path / "records" / f"{records[0].key}.json"
    path.write_text(json.dumps(json.loads(records[0].to_json()) | {"schema": 99}))
    for ask in (lambda: find_finished(store, planned), lambda: store.status(planned)):
        with pytest.raises(StorageError, match=r"schema 99, this version of jetscale reads 1 and"):
            ask()


def test_status_tells_every_state(store, planned, records):
    store.write(records[0])
    store.beat(planned[1].key, 3, 8)
    store.write_failure(planned[2], Failure.of(TrainingError("loss is nan at step 4")))
    store.beat(planned[3].key, 5, 8)
    store.evict({planned[3].key})
    rows = {row.key: row for row in store.status(planned)}
    states = [rows[run.key].state for run in planned[:5]]
    assert states == [
        RunState.DONE,
        RunState.RUNNING,
        RunState.FAILED,
        RunState.EVICTED,
        RunState.MISSING,
    ]
    done, running, failed, evicted, missing = (rows[run.key] for run in planned[:5])
    assert (done.loss, done.why) == (records[0].loss, None)
    assert (running.step, running.why) == (3, "step 3 of 8")
    assert failed.failure == Failure(kind="TrainingError", reason="loss is nan at step 4")
    assert evicted.why == "evicted at step 5 of 8"
    assert missing.why == "not started"
    counts = count_states(rows.values())
    assert list(counts) == [state.value for state in RunState]
    assert sum(counts.values()) == len(planned)
    assert counts["missing"] == len(planned) - 4


def test_evicting_leaves_the_runs_of_others_alone(store, planned):
    store.beat(planned[0].key, 1, 8)
    store.beat(planned[1].key, 1, 8)
    store.evict({planned[0].key})
    first, second = store.status(planned[:2])
    assert (first.state, second.state) == (RunState.EVICTED, RunState.RUNNING)


def test_a_run_that_went_silent_is_missing_not_running(store, planned, monkeypatch):
    store.beat(planned[0].key, 3, 8)
    later = time.time() + module.SILENT_SECONDS + 1
    monkeypatch.setattr(module.time, "time", lambda: later)
    row = store.status(planned[:1])[0]
    assert (row.state, row.why) == (RunState.MISSING, "interrupted at step 3 of 8")


def test_a_record_clears_the_failure_and_the_heartbeat(store, planned, records):
    store.beat(planned[0].key, 3, 8)
    store.write_failure(planned[0], Failure(kind="TrainingError", reason="evil"))
    store.write(records[0])
    assert store.storage.names("failures") == []
    assert store.storage.names("running") == []


def test_a_lost_trunk_is_trained_again_only_where_it_is_needed(store, planned, records):
    by_key = {record.key: record for record in records}
    trunk = next(run for run in planned if run.kind == "pretrain")
    users = [run for run in planned if run.trunk == trunk.key]
    chain = [trunk, *users]
    for run in chain:
        store.write(by_key[run.key])
    assert trunk.key in find_finished(store, chain)
    store.storage.delete(f"records/{users[0].key}.json")
    fresh = RecordStore(store.folder)
    assert find_finished(fresh, chain) == {run.key for run in users[1:]}
    path = store.trunk(trunk.key)
    path.parent.mkdir()
    path.touch()
    assert trunk.key in find_finished(fresh, chain)


def test_records_of_other_settings_are_counted(store, planned, records):
    for record in records:
        store.write(record)
    assert store.count_others({run.key for run in planned}) == 0
    assert store.count_others({run.key for run in planned[:3]}) == len(planned) - 3


def test_records_may_lie_in_another_storage(planned, records, tmp_path):
    class Memory(dict):
        read = dict.get
        write = dict.__setitem__

        def delete(self, name):
            self.pop(name, None)

        def names(self, folder):
            return sorted(name for name in self if name.startswith(folder + "/"))

    store = RecordStore(StudyFolder(tmp_path), storage=Memory())
    for record in records:
        store.write(record)
    assert find_finished(store, planned[:4]) == {run.key for run in planned[:4]}
    assert list(tmp_path.iterdir()) == []
