"""Results of version 0.1 are read as they are, and nothing is trained again."""

import json
import math
import re
from dataclasses import replace

import pytest

from jetscale.errors import StorageError
from jetscale.planning import plan_runs
from jetscale.planning.former import former_keys
from jetscale.store.former import Former, upgrade_record
from jetscale.store.record import make_table, parse_record
from jetscale.store.records import RecordStore, RunState, find_finished


@pytest.fixture
def runs(former_study):
    return plan_runs(former_study)


@pytest.fixture
def store(former_study, former_home, runs):
    return RecordStore.open(former_study, former_home, runs)


def old_record(store, run):
    name = f"records/{store.former.keys[run.key]}.json"
    return json.loads((store.folder.path / name).read_text())


def test_every_run_is_done_and_none_is_trained_again(store, runs):
    assert find_finished(store, runs) == {run.key for run in runs}
    assert {row.state for row in store.status(runs)} == {RunState.DONE}
    assert store.count_others([run.key for run in runs]) == 0


def test_every_number_is_the_one_that_was_kept(store, runs):
    for run in runs:
        old, new = old_record(store, run), store.read(run.key)
        assert new.training_loss == old["curve"]["training_loss"][-1][1]
        assert new.loss == (None if run.kind == "pretrain" else old["loss"])
        for name in ("flops", "flops_padded", "flops_6nd", "steps", "curve", "streams", "started"):
            assert getattr(new, name) == old[name], name
        assert (new.key, new.trunk, new.examples) == (run.key, run.trunk, run.examples)
        assert 6 * new.params_non_embedding * new.constituents == old["flops_6nd"]
        assert new.peak_rate == 0.01 * 2**0.75  # at width 8
        assert new.tokens is None


def test_an_upgraded_record_is_a_record_of_today(store, runs):
    for run in runs:
        record = store.read(run.key)
        assert parse_record(json.loads(record.to_json()), "x") == record


def test_the_trunk_tells_the_pretraining_examples(store, runs):
    frame = make_table(store.read_all(run.key for run in runs).values())
    assert frame.groupby("mixture")["pretraining_examples"].max().to_dict() == {
        "qcd": 50,
        "scratch": 0,
    }
    for run in runs:
        if run.trunk:
            assert store.trunk(run.trunk).is_file()


def test_reading_writes_nothing(store, runs):
    before = sorted(store.folder.path.rglob("*"))
    store.read_all(run.key for run in runs)
    store.status(runs)
    assert sorted(store.folder.path.rglob("*")) == before


def test_a_run_with_other_settings_is_not_taken_for_one_of_these(former_study, former_home):
    other = replace(former_study, recipe=former_study.recipe.change(epochs=3))
    runs = plan_runs(other)
    store = RecordStore.open(other, former_home, runs)
    assert find_finished(store, runs) == set()
    assert store.count_others([run.key for run in runs]) == len(runs)


def test_a_lost_trunk_record_leaves_what_was_planned(store, runs):
    trunk = next(run for run in runs if run.kind == "pretrain")
    user = next(run for run in runs if run.trunk == trunk.key)
    (store.folder.path / "records" / f"{store.former.keys[trunk.key]}.json").unlink()
    assert store.read(user.key).pretraining_examples == 50


@pytest.mark.parametrize("field", ["timings", "curve", "flops_6nd", "width"])
def test_a_damaged_old_record_is_one_line(former_study, store, runs, field):
    values = old_record(store, runs[0])
    del values[field]
    former = Former(keys=former_keys(former_study, runs), recipe=store.former.recipe)
    with pytest.raises(StorageError, match=r"r.json: not a record of schema 1 \(KeyError"):
        upgrade_record(values, former, "r.json", 0)


def test_an_old_key_with_an_unknown_schema_is_refused(store, runs):
    path = store.folder.path / "records" / f"{store.former.keys[runs[0].key]}.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema": 7}))
    with pytest.raises(StorageError, match="schema 7, this version of jetscale reads 1 and 2"):
        store.read(runs[0].key)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"examples": 77}, "examples is 77, needs "),
        ({"loss": math.nan}, "loss is nan, needs float"),
        ({"flops_6nd": math.inf}, r"not a record of schema 1 \(OverflowError"),
        ({"curve": {"training_loss": [[1, "x"]]}}, "training_loss is 'x', needs float"),
        ({"trunk": "../../etc"}, r"not a record of schema 1 \(KeyError"),
        ({"trunk": ["a"]}, r"not a record of schema 1 \(TypeError"),
    ],
)
def test_a_damaged_old_record_stops_no_other(store, runs, change, message):
    run = next(run for run in runs if run.kind == "finetune")
    path = store.folder.path / "records" / f"{store.former.keys[run.key]}.json"
    path.write_text(json.dumps(old_record(store, run) | change))
    assert len(store.read_all(run.key for run in runs)) == len(runs) - 1
    assert re.search(message, store.damaged[run.key])
    assert store.damaged[run.key].startswith(f"{path}: ")
