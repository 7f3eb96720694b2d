"""Whose weights are kept: a policy that several workers follow without a lock."""

import hashlib
from dataclasses import replace

import pytest
from fixtures.studies import make_record

from jetscale.errors import StudyError
from jetscale.planning import plan_runs
from jetscale.planning.run import find_run
from jetscale.store.home import Home
from jetscale.store.models import (
    about_unkept,
    clear_worse,
    find_model,
    is_wanted,
    kept_keys,
    model_path,
    unkept,
)
from jetscale.store.records import RecordStore


@pytest.fixture
def tuned(planned):
    return [run for run in planned if run.kind == "finetune"]


@pytest.fixture
def store(study, planned, tmp_path):
    store = RecordStore(Home(tmp_path).study(study), runs=planned)
    store.prepare()
    return store


def finish(study, store, run, loss):
    """What a worker does at the end of a run."""
    sha256 = None
    if is_wanted(study, store, run, loss):
        path = model_path(study, store.folder, run)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content := f"{run.key} {loss}".encode())
        sha256 = hashlib.sha256(content).hexdigest()
    record = make_record(study, run, validation_loss=loss, model_sha256=sha256)
    store.write(record)
    clear_worse(study, store, record)
    return record


def kept(store):
    return {store.planned[key].name for key in kept_keys(store)}


@pytest.mark.parametrize(
    "order", [(2.0, 1.0, 1.5, 1.2), (1.0, 1.2, 1.5, 2.0), (1.0, 1.0, 1.0, 1.0)]
)
def test_of_each_mixture_the_best_is_kept_whatever_the_order(study, store, tuned, order):
    best = {}
    for mixture in ("scratch", "qcd"):
        runs = [run for run in tuned if run.mixture.name == mixture]
        records = [finish(study, store, *pair) for pair in zip(runs, order, strict=True)]
        best[mixture] = min(records, key=lambda r: (r.validation_loss, r.key))
    assert kept_keys(store) == {record.key for record in best.values()}
    assert all(find_model(store, record) for record in best.values())
    assert unkept(study, store, store.read_all(store.keys())) == []


def test_two_workers_that_end_at_once_leave_one_or_both_and_never_none(study, store, tuned):
    first, second, third = tuned[:3]
    assert is_wanted(study, store, first, 1.0)  # neither sees the other
    assert is_wanted(study, store, second, 1.0)
    for run in (first, second):
        path = model_path(study, store.folder, run)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"weights")
    made = [
        make_record(study, run, validation_loss=1.0, model_sha256="a") for run in (first, second)
    ]
    for record in made:
        store.write(record)
    for record in made:
        clear_worse(study, store, record)
    assert kept_keys(store) == {min(first.key, second.key)}
    assert not is_wanted(study, store, third, 1.1)


@pytest.mark.parametrize("order", [(1.0, 1.2, 1.4, 1.6), (1.6, 1.4, 1.2, 1.0)])
def test_weights_that_were_written_before_any_record_leave_one(study, store, tuned, order):
    runs = [run for run in tuned if run.mixture.is_scratch]
    for run in runs:
        path = model_path(study, store.folder, run)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"weights")
    for run, loss in zip(runs, order, strict=True):
        record = make_record(study, run, validation_loss=loss, model_sha256="a")
        store.write(record)
        clear_worse(study, store, record)
    assert kept_keys(store) == {runs[order.index(1.0)].key}


def test_a_study_that_grows_replaces_the_kept_one_by_a_better_run(study, store, tuned):
    finish(study, store, tuned[0], 1.5)
    wider = replace(study, data_sizes=(20, 40, 80))
    runs = plan_runs(wider)
    store.planned |= {run.key: run for run in runs}
    new = next(r for r in runs if r.examples == 80 and r.mixture.is_scratch)
    finish(wider, store, new, 1.4)
    assert kept_keys(store) == {new.key}


def test_weights_that_were_asked_for_by_name_are_never_replaced(study, store, tuned):
    chosen = replace(study, keep=[tuned[0].name, tuned[1].key[:8]])
    for run, loss in zip(tuned[:3], (3.0, 2.9, 1.0), strict=True):
        finish(chosen, store, run, loss)
    assert kept(store) == {run.name for run in tuned[:2]}
    finish(study, store, tuned[3], 0.5)
    assert len(kept_keys(store)) == 3
    everything = replace(study, keep="all")
    assert is_wanted(everything, store, tuned[2], 9.0)
    assert not is_wanted(replace(study, keep="none"), store, tuned[2], 0.0)


def test_weights_that_are_asked_for_later_are_named_and_not_made_again(study, store, tuned):
    nothing = replace(study, keep="none")
    for run in tuned[:2]:
        finish(nothing, store, run, 1.0)
    records = store.read_all(store.keys())
    assert about_unkept(nothing, store, records) == ""
    told = about_unkept(replace(study, keep="all"), store, records)
    assert told.startswith(
        "keep='all' asks for the weights of 2 finished runs that left none, the "
    )
    assert "is not trained again for its weights: remove its record" in told
    assert f"records/{tuned[0].key}.json" in told
    one = unkept(replace(study, keep=(tuned[1].name,)), store, records)
    assert [record.key for record in one] == [tuned[1].key]
    assert len(unkept(study, store, records)) == 1  # the best of scratch


def test_an_altered_file_is_not_taken_for_the_weights_of_the_run(study, store, tuned):
    record = finish(study, store, tuned[0], 1.0)
    path = find_model(store, record)
    path.write_bytes(b"other")
    assert find_model(store, record) is None


@pytest.mark.parametrize(
    ("keep", "words"),
    [
        ("bset", "unknown keep 'bset'; did you mean 'best'"),
        (3, "keep is 3, needs several values"),
        ((3,), r"keep is \(3,\), needs best, all, none or names of runs"),
    ],
)
def test_what_to_keep_is_checked(study, keep, words):
    with pytest.raises(StudyError, match=words):
        replace(study, keep=keep)


def test_what_is_kept_changes_no_key(study):
    runs = plan_runs(study)
    for keep in ("all", "none", (runs[0].name,)):
        assert plan_runs(replace(study, keep=keep)) == runs


def test_a_run_is_found_by_name_key_or_beginning(study, planned, tuned):
    run = tuned[0]
    for text in (run.key, run.key[:6], run.name):
        assert find_run(planned, text, "here") is run
    for text, words in (
        (run.name.replace("seed 1", "seed 7"), "here: unknown run .*; did you mean 'scratch N="),
        (run.key[:3], f"here: '{run.key[:3]}' may begin several keys; give 4 letters"),
        ("", "unknown run"),
        (next(r for r in planned if r.kind == "pretrain").key, "is pretraining, whose trunk"),
    ):
        with pytest.raises(StudyError, match=words):
            find_run(planned, text, "here")
    twins = [run, replace(run, key=run.key[:4] + "0" * 12)]
    with pytest.raises(StudyError, match="is 2 runs; give the key of one"):
        find_run(twins, run.name, "here")
    with pytest.raises(StudyError, match="study 'tiny': keep: unknown run 'nobody'"):
        plan_runs(replace(study, keep=("nobody",)))
