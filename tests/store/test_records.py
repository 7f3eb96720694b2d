import hashlib
import json
import math
import os
import re
import socket
import subprocess
import time
from dataclasses import replace

import pytest

from jetscale.digests import digest
from jetscale.errors import Failure, StorageError, TrainingError
from jetscale.store import local
from jetscale.store import records as module
from jetscale.store.home import StudyFolder
from jetscale.store.records import RecordStore, RunState, count_states, find_finished


@pytest.fixture
def store(tmp_path):
    store = RecordStore(StudyFolder(tmp_path))
    store.prepare()
    return store


DEEP = "@" * 20  # stands for lists in lists, deeper than json reads


def put(store, record, **change):
    """Write a record with other fields, as somebody's editor would; returns its file."""
    path = store.folder.path / "records" / f"{record.key}.json"
    text = json.dumps(json.loads(record.to_json()) | change)
    path.write_text(text.replace(f'"{DEEP}"', "[" * 100_000 + "]" * 100_000))
    return path


def test_a_record_comes_back_as_it_was(store, records):
    for record in records:
        store.write(record)
    assert store.keys() == {record.key for record in records}
    again = RecordStore(store.folder)
    assert again.read_all(store.keys()) == {record.key: record for record in records}
    assert again.read("absent") is None


def test_records_of_one_recipe_share_it_in_memory(store, records):
    for record in records:
        store.write(record)
    found = RecordStore(store.folder).read_all(store.keys()).values()
    recipes = {record.recipe_digest: record.recipe for record in found}
    assert len(found) > len(recipes)
    assert all(record.recipe is recipes[record.recipe_digest] for record in found)
    assert all(digest(recipe) == key for key, recipe in recipes.items())


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
    assert row.state is RunState.DAMAGED
    assert row.why == f"{path}: not a JSON object; remove the file"


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


def test_a_trunk_that_is_not_the_one_of_its_record_is_trained_again(store, planned, records):
    by_key = {record.key: record for record in records}
    trunk = next(run for run in planned if run.kind == "pretrain")
    users = [run for run in planned if run.trunk == trunk.key]
    path = store.trunk(trunk.key)
    path.parent.mkdir()
    path.write_bytes(b"weights")
    store.write(replace(by_key[trunk.key], trunk_sha256=hashlib.sha256(b"weights").hexdigest()))
    for run in users[1:]:
        store.write(by_key[run.key])
    assert find_finished(store, [trunk, *users]) == {trunk.key, *(run.key for run in users[1:])}
    for damage in (b"weighty", b"weight", b""):
        path.write_bytes(damage)
        assert not store.has_trunk(trunk.key)
        assert find_finished(store, [trunk, *users]) == {run.key for run in users[1:]}
    path.unlink()
    assert not store.has_trunk(trunk.key)
    store.write(by_key[users[0].key])  # nobody needs it any more
    assert find_finished(store, [trunk, *users]) == {trunk.key, *(run.key for run in users)}


def test_a_trunk_that_another_process_trained_again_is_the_right_one(store, planned, records):
    record = next(record for record in records if record.kind == "pretrain")
    path, other = store.trunk(record.key), RecordStore(store.folder)
    path.parent.mkdir()
    for weights in (b"first", b"second"):
        path.write_bytes(weights)
        other.write(replace(record, trunk_sha256=hashlib.sha256(weights).hexdigest()))
        assert store.has_trunk(record.key)
    path.write_bytes(b"third")
    assert not store.has_trunk(record.key)


def test_a_torn_record_of_a_trunk_is_a_missing_run(store, planned, records):
    trunk = next(run for run in planned if run.kind == "pretrain")
    path = put(store, next(record for record in records if record.key == trunk.key))
    store.trunk(trunk.key).parent.mkdir()
    store.trunk(trunk.key).touch()
    assert find_finished(store, [trunk]) == {trunk.key}
    path.write_text(path.read_text()[:200])
    assert find_finished(RecordStore(store.folder), [trunk]) == set()


def test_a_record_from_before_trunks_were_told_apart_keeps_its_key(store, planned, records):
    """The field came within schema 2: a record without it is read, and its trunk is taken as is."""
    record = next(record for record in records if record.kind == "pretrain")
    path = put(store, record)
    old = json.loads(path.read_text())
    del old["trunk_sha256"]
    path.write_text(json.dumps(old))
    assert store.read(record.key) == replace(record, trunk_sha256=None)
    assert not store.has_trunk(record.key)
    store.trunk(record.key).parent.mkdir()
    store.trunk(record.key).touch()
    assert store.has_trunk(record.key)


@pytest.mark.parametrize(
    ("step", "still", "pace", "state"),
    [
        (3, 299.0, 0.1, RunState.RUNNING),
        (3, 301.0, 0.1, RunState.STALLED),
        (0, 301.0, 0.0, RunState.STALLED),
        (3, 900.0, 50.0, RunState.RUNNING),  # 20 steps would take 1000 s
        (3, 1001.0, 50.0, RunState.STALLED),
        (100, 301.0, 0.1, RunState.RUNNING),  # it scores its jets
    ],
)
def test_a_run_whose_step_does_not_move_has_stalled(store, planned, step, still, pace, state):
    store.beat(planned[0].key, step, 100, still=still, pace=pace)
    row = store.status(planned[:1])[0]
    assert row.state is state
    if state is RunState.STALLED:
        minutes = round(still / 60)
        place = f"step {step} of 100 for {minutes} minutes on {socket.gethostname()}"
        assert row.why == f"{place}; stop it and run again"


def test_a_long_run_may_validate_for_a_while(store, planned):
    """Validation takes at most a tenth of the training: here 1000 of 10,000 seconds."""
    for still, state in ((900.0, RunState.RUNNING), (1100.0, RunState.STALLED)):
        store.beat(planned[0].key, 500, 10_000, still=still, pace=1.0)
        assert store.status(planned[:1])[0].state is state


def test_a_stalled_run_that_went_silent_is_interrupted(store, planned, monkeypatch):
    store.beat(planned[0].key, 3, 8, still=900.0, pace=1.0)
    later = time.time() + module.SILENT_SECONDS + 1
    monkeypatch.setattr(module.time, "time", lambda: later)
    assert store.status(planned[:1])[0].state is RunState.MISSING


def test_a_sign_of_life_of_an_older_version_is_running(store, planned):
    beat = {"step": 3, "steps": 8, "host": "there", "pid": 7, "time": time.time()}
    store.storage.write(f"running/{planned[0].key}.json", json.dumps(beat).encode())
    assert store.status(planned[:1])[0].state is RunState.RUNNING


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


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"key": "0123"}, "key is '0123', needs '"),
        ({"mixture": "../../etc"}, "mixture is '../../etc', needs 'qcd'"),
        ({"parts": {"qcd": 0.5}}, "parts is {'qcd': 0.5}, needs {'qcd': 1.0}"),
        ({"examples": 77}, "examples is 77, needs 40"),
        ({"width": 9}, "width is 9, needs 8"),
        ({"seed": 3}, "seed is 3, needs 2"),
        ({"subset": 1}, "subset is 1, needs 0"),
        ({"params": 7}, "params is 7, needs 9"),
        ({"params": 10**400}, "params is 1000"),
        ({"steps": 99}, "steps is 99, needs "),
        ({"kind": "pretrain"}, "loss is 1.025, needs one, and of a fine-tuning run alone"),
        ({"trunk": None}, "trunk is None, needs '"),
        ({"recipe": {}}, "recipe is {}, needs its digest"),
        ({"recipe": {}, "recipe_digest": digest({})}, "recipe is {}, needs {"),
        ({"recipe": {"data": 3}, "recipe_digest": digest({"data": 3})}, "needs its digest"),
        ({"loss": math.nan}, "loss is nan, needs float"),
        ({"training_loss": math.inf}, "training_loss is inf, needs float"),
        ({"loss": None}, "loss is None, needs one"),
        ({"flops": -1.0}, "flops is -1.0, needs more than zero"),
        ({"timings": {}}, "timings is {}, needs "),
        ({"timings": {"total": math.nan}}, "timings is {'total': nan}, needs dict"),
        ({"streams": {}}, "streams is {}, needs "),
        ({"streams": {"validation": 1, "test": 2}}, "streams is {.*}, needs dict"),
        ({"versions": {"torch": [1, 2]}}, "versions is {'torch': .*, needs dict"),
        ({"curve": {"training_loss": "x"}}, "curve is {'training_loss': 'x'}, needs dict"),
        ({"curve": {"training_loss": [[1]]}}, r"needs points \[steps, loss\]"),
        ({"curve": {"..": []}}, "needs (training|validation)_loss or"),
        ({"scores": {"auc": 10**400}}, "scores is {'auc': 1000"),
        ({"scores": DEEP}, "not a JSON object"),
        ({"scores": {"a": json.loads("[" * 99 + "]" * 99)}}, "scores is {'a': "),
    ],
)
def test_a_record_that_is_not_of_its_run_is_one_line_and_stops_no_other(
    tmp_path, planned, records, change, message
):
    store = RecordStore(StudyFolder(tmp_path), runs=planned)
    for record in records:
        store.write(record)
    path = put(store, records[-1], **change)
    rows = store.status(planned)
    assert [row.state for row in rows[:-1]] == [RunState.DONE] * (len(rows) - 1)
    assert rows[-1].state is RunState.DAMAGED
    assert re.match(f"{re.escape(str(path))}: .*; remove the file$", rows[-1].why)
    assert re.search(message, rows[-1].why)
    assert store.damaged == {records[-1].key: rows[-1].why}
    assert records[-1].key not in find_finished(store, planned)


def test_a_copied_record_is_not_that_of_another_run(store, records):
    path = put(store, records[0])
    path.with_name(f"{records[1].key}.json").write_bytes(path.read_bytes())
    assert list(store.read_all(store.keys())) == [records[0].key]
    assert f"key is '{records[0].key}'" in store.damaged[records[1].key]


def test_training_a_damaged_run_again_keeps_the_file(store, records):
    path = put(store, records[0], loss="low")
    content = path.read_bytes()
    assert store.read(records[0].key) is None
    store.write(records[0])
    assert store.read(records[0].key) == records[0]
    assert store.damaged == {}
    assert (store.folder.path / "damaged" / path.name).read_bytes() == content


def test_pretraining_on_equal_flops_may_have_taken_other_jets(tmp_path, planned, records):
    store = RecordStore(StudyFolder(tmp_path), runs=planned)
    trunk = next(record for record in records if record.kind == "pretrain")
    store.write(replace(trunk, examples=trunk.examples + 1, steps=trunk.steps + 1))
    assert store.read(trunk.key) is not None


@pytest.mark.parametrize("text", ['{"step": 1}', '{"step": "a", "steps": 1, "time": 0}', "[]", "x"])
@pytest.mark.parametrize("folder", ["running", "failures"])
def test_a_damaged_sign_of_life_or_failure_is_none(store, planned, folder, text):
    (store.folder.path / folder / f"{planned[0].key}.json").write_text(text)
    (store.folder.path / folder / f"{planned[1].key}.json").write_text('{"kind": 1}')
    (store.folder.path / folder / f"{planned[2].key}.json").write_bytes(b"\xff")
    assert {row.why for row in store.status(planned[:3])} == {"not started"}
    store.evict({planned[0].key})


def test_what_killed_processes_left_half_written_goes(tmp_path, planned, monkeypatch):
    gone, writers, here = subprocess.Popen(["true"]), [], local._kernel()
    gone.wait()

    def begin(path, process=gone.pid, kernel=here):
        """What a process writes beside a file."""
        with monkeypatch.context() as patch:
            patch.setattr(os, "getpid", lambda: process)
            patch.setattr(local, "_kernel", lambda: kernel)
            writers.append(local.atomic_path(path))
            part = writers[-1].__enter__()
        part.write_text("half")
        return part.parent

    study = StudyFolder(tmp_path / "study")
    begin(study.home.streams / "train-0123")
    begin(study.record("a"))
    begin(study.page)
    os.utime(begin(study.trunk("a"), kernel="0123abcd"), (0, 0))
    left = [
        begin(study.trunk("b"), kernel="0123abcd"),
        begin(study.record("b"), os.getpid()),
        local.make_folder(study.path / ".ipynb_checkpoints"),
    ]
    RecordStore(study, runs=planned).prepare()
    assert sorted(tmp_path.rglob(".*")) == sorted(left)


@pytest.mark.parametrize("place", ["home", "study", "records"])
def test_a_file_where_a_folder_should_be_is_one_line(tmp_path, planned, place):
    folder = StudyFolder(tmp_path / "home" / "tiny")
    file = {"home": folder.path.parent, "study": folder.path}.get(place, folder.path / "records")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("runs")
    with pytest.raises(StorageError, match="part of the path is a file, not a folder"):
        RecordStore(folder).status(planned)
