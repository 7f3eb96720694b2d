import json
import time
from dataclasses import replace

from jetscale.store import records as module
from jetscale.store.records import RecordStore, finished, run_table, summarise, trunk_path


def test_a_record_comes_back_as_it_was(tmp_path, records):
    store = RecordStore(tmp_path)
    for record in records:
        store.write(record)
    assert store.keys() == {record.key for record in records}
    assert store.all() == sorted(records, key=lambda record: record.key)
    assert store.read(records[0].key) == records[0]
    assert store.read("absent") is None


def test_a_truncated_or_foreign_record_counts_as_absent(tmp_path, records):
    store = RecordStore(tmp_path)
    for record in records[:3]:
        store.write(record)
    path = tmp_path / "records" / f"{records[0].key}.json"
    path.write_text(path.read_text()[:100])
    other = tmp_path / "records" / f"{records[1].key}.json"
    other.write_text(json.dumps(records[1].to_dict() | {"schema": 99}))
    assert store.all() == [records[2]]


def test_status_tells_done_running_failed_and_missing(tmp_path, planned, records):
    store = RecordStore(tmp_path)
    store.prepare()
    store.write(records[0])
    store.beat(planned[1].key, 3, 8)
    store.write_failure(planned[2], "loss is nan at step 4")
    rows = {row["key"]: row for row in store.status(planned)}
    assert rows[planned[0].key]["state"] == "done"
    assert rows[planned[0].key]["loss"] == records[0].loss
    assert rows[planned[1].key]["why"] == "step 3 of 8"
    assert rows[planned[2].key]["why"] == "loss is nan at step 4"
    assert rows[planned[3].key]["state"] == "missing"
    summary = summarise(list(rows.values()))
    assert [summary[s] for s in ("done", "running", "failed", "missing")] == [
        1,
        1,
        1,
        len(planned) - 3,
    ]
    assert len(summary["runs"]) == len(planned)


def test_a_run_that_went_silent_is_missing_not_running(tmp_path, planned, monkeypatch):
    store = RecordStore(tmp_path)
    store.prepare()
    store.beat(planned[0].key, 3, 8)
    later = time.time() + module.SILENT_SECONDS + 1
    monkeypatch.setattr(module.time, "time", lambda: later)
    row = store.status(planned[:1])[0]
    assert (row["state"], row["why"]) == ("missing", "interrupted at step 3 of 8")


def test_a_record_clears_the_failure_and_the_heartbeat(tmp_path, planned, records):
    store = RecordStore(tmp_path)
    store.beat(planned[0].key, 3, 8)
    store.write_failure(planned[0], "evil")
    store.write(records[0])
    assert not list((tmp_path / "failures").iterdir())
    assert not list((tmp_path / "running").iterdir())


def test_a_lost_trunk_is_trained_again_only_where_it_is_needed(tmp_path, planned, records):
    store = RecordStore(tmp_path)
    by_key = {record.key: record for record in records}
    trunk = next(run for run in planned if run.kind == "pretrain")
    users = [run for run in planned if run.trunk == trunk.key]
    for run in (trunk, *users):
        store.write(by_key[run.key])
    assert trunk.key in finished(store, tmp_path, [trunk, *users])
    (tmp_path / "records" / f"{users[0].key}.json").unlink()
    assert finished(store, tmp_path, [trunk, *users]) == {run.key for run in users[1:]}
    path = trunk_path(tmp_path, trunk.key)
    path.parent.mkdir()
    path.touch()
    assert trunk.key in finished(store, tmp_path, [trunk, *users])


def test_the_run_table_has_one_row_per_finetuning_run(records):
    frame = run_table(records)
    assert len(frame) == sum(record.kind == "finetune" for record in records)
    assert {"mixture", "params", "examples", "loss", "flops", "seed"} <= set(frame.columns)
    first = next(r for r in records if r.key == frame["key"][0])
    assert frame["loss"][0] == first.loss
    assert frame["controls"][0] == first.controls


def test_a_table_without_runs_has_its_columns(records):
    pretraining = [replace(record, kind="pretrain") for record in records]
    assert list(run_table(pretraining).columns) == list(run_table(records).columns)
