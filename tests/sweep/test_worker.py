"""A job run in this process, without Ray."""

import hashlib
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from jetscale.errors import Diverged, StorageError, StudyError
from jetscale.executor import in_process
from jetscale.mixtures.assemble import prepare_in_process
from jetscale.mixtures.inputs import ensure_shards, stream_plans
from jetscale.mixtures.stream import open_stream
from jetscale.planning import plan_runs, pretraining_examples
from jetscale.planning.feed import Listed
from jetscale.planning.identity import check_same_recipe, recipe_of
from jetscale.planning.stacks import shape_of
from jetscale.store.home import StudyFolder
from jetscale.store.record import make_table
from jetscale.store.records import RecordStore, RunState
from jetscale.sweep import worker
from jetscale.sweep.worker import Job, run_job

pytestmark = pytest.mark.slow


@pytest.fixture
def job(tmp_path, given):
    # most jets have more than 5 constituents: runs on other jets can share a stack
    study = replace(given, seeds=(1,), data_sizes=(20,), recipe=given.recipe.change(constituents=5))
    plans = stream_plans(study, ensure_shards(study, tmp_path, in_process, lambda *_: None))
    streams = prepare_in_process(plans, tmp_path / "streams")
    RecordStore(StudyFolder(tmp_path / "study")).prepare()
    return make_job(study, streams, tmp_path)


def make_job(study, streams, tmp_path):
    return Job(
        study=study,
        folder=StudyFolder(tmp_path / "study"),
        streams=streams,
        recipe=recipe_of(study),
        runs=plan_runs(study),
    )


def read_all(job):
    store = RecordStore(job.folder)
    return list(store.read_all(store.keys()).values())


def test_every_run_gets_a_complete_record(job):
    assert run_job(job) == {"trained": 3, "failed": 0}
    records = {r.key: r for r in read_all(job)}
    assert set(records) == {run.key for run in job.runs}
    for run in job.runs:
        record = records[run.key]
        assert (record.params, record.steps, record.examples) == (
            run.params,
            run.steps,
            run.examples,
        )
        assert record.examples_seen == run.examples * run.epochs
        assert 0 < record.flops <= record.flops_padded
        assert (record.loss is None) == (run.kind == "pretrain")
        assert record.training_loss > 0
        assert record.recipe == recipe_of(job.study)
        assert (record.epochs, record.ranks) == (run.epochs, 1)
        assert record.tokens >= record.constituents > 0
        assert record.peak_rate > 0
    pretrained = next(r for r in records.values() if r.trunk)
    assert pretrained.pretraining_examples == records[pretrained.trunk].examples
    assert pretrained.pretraining_flops == records[pretrained.trunk].flops
    used = {"train-0", f"train-0:{pretrained.examples}", "validation", "test"}
    before = {"pretrain-qcd", f"pretrain-qcd:{pretrained.pretraining_examples}"}
    assert set(pretrained.streams) == used | before
    assert set(records[pretrained.trunk].streams) == before
    assert records[pretrained.trunk].validation_loss is None
    assert not list((job.folder.path / "checkpoints").glob("*.pt"))


@pytest.mark.long
def test_only_what_is_missing_is_trained(job):
    run_job(replace(job, runs=job.runs[:1]))
    before = RecordStore(job.folder).read(job.runs[0].key)
    assert run_job(job) == {"trained": 2, "failed": 0}
    assert RecordStore(job.folder).read(job.runs[0].key) == before
    assert run_job(job) == {"trained": 0, "failed": 0}


@pytest.mark.long
def test_a_wider_grid_adds_runs_that_may_be_compared(job, tmp_path):
    run_job(job)
    wider = replace(job.study, data_sizes=(20, 50), seeds=(1, 2), subsets=1)
    plans = stream_plans(wider, ensure_shards(wider, tmp_path, in_process, lambda *_: None))
    streams = prepare_in_process(plans, tmp_path / "streams")
    assert streams["train-0"] != job.streams["train-0"]
    again = make_job(wider, streams, tmp_path)
    assert run_job(again) == {"trained": len(again.runs) - len(job.runs), "failed": 0}
    frame = make_table(read_all(job))
    assert len(frame) == 8
    check_same_recipe(frame)


@pytest.mark.long
def test_a_longer_stream_begins_with_the_shorter_one(job, tmp_path):
    longer = replace(job.study, data_sizes=(20, 50))
    plans = stream_plans(longer, ensure_shards(longer, tmp_path, in_process, lambda *_: None))
    streams = prepare_in_process(plans, tmp_path / "streams")
    short = open_stream(job.streams["train-0"]).read()
    head = open_stream(streams["train-0"]).read(len(short))
    assert np.array_equal(short.values, head.values)
    assert np.array_equal(short.labels, head.labels)


@pytest.mark.long
def test_a_job_needs_no_shards_and_no_particular_folder(job, tmp_path, monkeypatch):
    for name in ("train", "validation", "test", "qcd"):
        shutil.rmtree(tmp_path / name)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert run_job(job) == {"trained": 3, "failed": 0}


@pytest.mark.long
def test_a_run_without_its_trunk_fails_alone(job):
    chosen = tuple(run for run in job.runs if run.kind == "finetune")
    assert run_job(replace(job, runs=chosen)) == {"trained": 1, "failed": 1}
    rows = RecordStore(job.folder).status(chosen)
    failed = next(row for row in rows if row.state is RunState.FAILED)
    assert "its pretraining run" in failed.why


@pytest.mark.long
def test_a_trunk_of_other_weights_is_not_fine_tuned(job):
    trunk = next(run for run in job.runs if run.kind == "pretrain")
    user = next(run for run in job.runs if run.trunk == trunk.key)
    run_job(job)
    store = RecordStore(job.folder)
    record, path = store.read(trunk.key), store.trunk(trunk.key)
    assert record.trunk_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert store.read(user.key).trunk_sha256 is None
    before = json.dumps([store.read(user.key).loss, store.read(user.key).curve])
    weights = torch.load(path, weights_only=True)
    for tensor in weights["trunk"].values():
        tensor.zero_()
    torch.save(weights, path)
    store.storage.delete(f"records/{user.key}.json")
    assert run_job(replace(job, runs=(user,))) == {"trained": 0, "failed": 1}
    why = next(r.why for r in RecordStore(job.folder).status([user]))
    assert f"{path} are not those it left; run again" in why
    # with its pretraining in the job, as a sweep plans it, the trunk is made again once
    assert run_job(job) == {"trained": 2, "failed": 0}
    assert run_job(job) == {"trained": 0, "failed": 0}
    again = RecordStore(job.folder)
    assert json.dumps([again.read(user.key).loss, again.read(user.key).curve]) == before
    assert again.read(trunk.key).trunk_sha256 == record.trunk_sha256


def end_all(tasks):
    for task in tasks:
        task.on_end(Diverged("loss is nan"))


@pytest.mark.long
def test_the_first_rank_alone_writes(job, monkeypatch):
    scratch = tuple(run for run in job.runs if run.mixture.is_scratch)
    monkeypatch.setattr(worker.Ranks, "current", lambda: worker.Ranks(rank=1, world=2))
    monkeypatch.setattr(worker.Ranks, "agree", lambda self, value: value)
    before = sorted(job.folder.path.rglob("*"))
    monkeypatch.setattr(worker, "train_stack", lambda tasks, *_, **__: end_all(tasks))
    assert run_job(replace(job, runs=scratch)) == {"trained": 0, "failed": 1}
    assert sorted(job.folder.path.rglob("*")) == before
    monkeypatch.undo()
    assert run_job(replace(job, runs=scratch)) == {"trained": 1, "failed": 0}


@pytest.fixture
def stacked(job):
    """A job of two seeds, whose runs of one shape come in stacks: 2 trunks, then 4 runs."""
    study = replace(job.study, seeds=(1, 2))
    wide = make_job(study, job.streams, job.folder.path.parent)
    shapes = {}
    for run in wide.runs:
        shapes.setdefault((run.kind == "finetune", shape_of(run)), []).append(run)
    stacks = [tuple(shapes[shape]) for shape in sorted(shapes, key=lambda shape: shape[0])]
    assert [len(stack) for stack in stacks] == [2, 4]
    return wide, stacks


@pytest.mark.long
def test_a_stack_gives_the_records_of_its_runs_alone(stacked, tmp_path):
    job, stacks = stacked
    apart = replace(job, folder=StudyFolder(tmp_path / "apart"))
    RecordStore(apart.folder).prepare()
    assert run_job(apart) == {"trained": 6, "failed": 0}
    assert run_job(job, Listed(stacks)) == {"trained": 6, "failed": 0}
    alone = {record.key: record for record in read_all(apart)}
    for record in read_all(job):
        expected = alone[record.key]
        assert record.stack == (2 if record.kind == "pretrain" else 4)
        assert expected.stack == 1
        assert record.training_loss == pytest.approx(expected.training_loss, rel=1e-4)
        if record.kind == "finetune":
            assert record.loss == pytest.approx(expected.loss, rel=1e-4)
        assert (record.streams, record.recipe_digest) == (
            expected.streams,
            expected.recipe_digest,
        )
    assert len({record.loss for record in read_all(job) if record.loss}) == 4
    assert not list((job.folder.path / "checkpoints").glob("*.pt"))
    assert run_job(job, Listed(stacks)) == {"trained": 0, "failed": 0}


def test_what_is_finished_is_left_out_of_a_stack(stacked):
    job, stacks = stacked
    run_job(replace(job, runs=stacks[0] + stacks[1][:1]))
    assert run_job(job, Listed(stacks)) == {"trained": 3, "failed": 0}
    store = RecordStore(job.folder)
    assert sorted(store.read(run.key).stack for run in stacks[1]) == [1, 3, 3, 3]


def test_a_run_that_is_wrong_fails_alone_in_a_stack(stacked):
    job, stacks = stacked
    run_job(job, Listed(stacks[:1]))
    trunk = stacks[0][0].key
    RecordStore(job.folder).trunk(trunk).unlink()
    lost = [run for run in stacks[1] if run.trunk == trunk]
    assert run_job(job, Listed(stacks[1:])) == {"trained": 3, "failed": 1}
    rows = RecordStore(job.folder).status(stacks[1])
    assert [row.key for row in rows if row.state is RunState.FAILED] == [lost[0].key]


def test_a_run_that_diverges_in_a_stack_fails_at_once_and_is_quiet(stacked, monkeypatch):
    """Its failure and its last sign of life come before the others end."""
    job, stacks = stacked
    seen = []
    train = worker.train_stack

    def diverging(tasks, *arguments, **options):
        tasks[0].on_end(Diverged("loss is nan"))
        failed = tasks[0].source.spec.key
        rows = {row.key: row.state for row in RecordStore(job.folder).status(stacks[0])}
        seen.append((rows[failed], (job.folder.path / "running" / f"{failed}.json").exists()))
        return train(tasks[1:], *arguments, **options)

    monkeypatch.setattr(worker, "train_stack", diverging)
    assert run_job(job, Listed(stacks[:1])) == {"trained": 1, "failed": 1}
    assert seen == [(RunState.FAILED, False)]


def test_a_stack_that_is_too_large_for_the_machine_is_trained_one_by_one(stacked, monkeypatch):
    job, stacks = stacked
    sizes, train = [], worker.train_stack

    def full(tasks, *arguments, **options):
        sizes.append(len(tasks))
        if len(tasks) > 1:
            raise MemoryError
        return train(tasks, *arguments, **options)

    monkeypatch.setattr(worker, "train_stack", full)
    assert run_job(job, Listed(stacks[:1])) == {"trained": 2, "failed": 0}
    assert sizes == [2, 1, 1]


@pytest.mark.parametrize("together", [False, True])
def test_a_fault_of_a_user_s_model_leaves_the_other_runs_alone(job, monkeypatch, together):
    scratch, trunk = (run for run in job.runs if run.trunk is None)
    feed = Listed([(trunk, scratch)] if together else [(trunk,), (scratch,)])
    first, train = trunk.key, worker.train_stack

    def faulty(tasks, *arguments, **options):
        if first in [task.source.spec.key for task in tasks]:
            raise IndexError("index 64 is out of range")
        return train(tasks, *arguments, **options)

    monkeypatch.setattr(worker, "train_stack", faulty)
    assert run_job(job, feed) == {"trained": 1, "failed": 1}
    row = RecordStore(job.folder).status([trunk])[0]
    assert (row.failure.kind, row.why) == ("IndexError", "index 64 is out of range")


def test_code_that_was_edited_since_the_start_trains_nothing(job):
    model = job.recipe["model"] | {"architecture_version": "of yesterday"}
    with pytest.raises(StudyError, match="was edited since the sweep started; start it again"):
        run_job(replace(job, recipe=job.recipe | {"model": model}))
    assert RecordStore(job.folder).keys() == set()


def test_a_full_disk_stops_the_job(job, monkeypatch):
    def full(*_args, **_kwargs):
        raise StorageError("cannot write x: the disk is full; free some space and run again")

    monkeypatch.setattr(worker, "train_stack", full)
    with pytest.raises(StorageError, match="the disk is full"):
        run_job(job)
    assert RecordStore(job.folder).keys() == set()


@pytest.mark.long
def test_both_seeds_and_the_mixture_change_the_loss(job):
    study = replace(job.study, seeds=(1, 2))
    run_job(make_job(study, job.streams, job.folder.path.parent))
    losses = [r.loss for r in read_all(job) if r.kind == "finetune"]
    assert len(losses) == 4
    assert len(set(losses)) == 4


@pytest.mark.long
def test_equal_flops_decide_the_pretraining_jets(tmp_path, given):
    recipe = given.recipe.change(pretraining_jets=30, pretraining_budget="flops")
    study = replace(given, seeds=(1,), data_sizes=(20,), recipe=recipe)
    plans = stream_plans(study, ensure_shards(study, tmp_path, in_process, lambda *_: None))
    job = make_job(study, prepare_in_process(plans, tmp_path / "streams"), tmp_path)
    RecordStore(job.folder).prepare()
    assert run_job(job)["failed"] == 0
    record = next(r for r in read_all(job) if r.kind == "pretrain")
    stream = open_stream(job.streams["pretrain-qcd"])
    assert stream.rows == 60
    lengths = stream.read().lengths
    size = study.ladder[0]
    assert record.examples == pretraining_examples(study, study.mixtures[1], size, lengths, 27)
    assert record.examples != 30
    assert record.recipe["data"]["pretraining_budget"] == "flops"


def test_a_trunk_of_version_0_1_is_fine_tuned_at_a_new_size(
    former_study, former_home, tmp_path, given
):
    wider = replace(former_study, data_sizes=(20, 30, 40))
    runs = plan_runs(wider)
    store = RecordStore.open(wider, former_home, runs)
    # other jets under the names of the study: what is tested is where the trunk comes from
    made = replace(given, data_sizes=(20, 30, 40))
    plans = stream_plans(made, ensure_shards(made, tmp_path, in_process, lambda *_: None))
    job = Job(
        study=wider,
        folder=store.folder,
        streams=prepare_in_process(plans, tmp_path / "streams"),
        recipe=recipe_of(wider),
        runs=runs,
        former=store.former,
    )
    assert run_job(job) == {"trained": 4, "failed": 0}
    new = RecordStore.open(wider, former_home, runs)
    for run in runs:
        record = new.read(run.key)
        assert record.pretraining_examples == (50 if run.trunk else 0)
        assert (record.tokens is None) == (run.examples != 30)


def test_weights_are_there_before_the_record_that_names_them(job, monkeypatch):
    def refuse(*arguments):
        raise StorageError("the disk is full")

    written = RecordStore.write
    monkeypatch.setattr(RecordStore, "write", refuse)
    run = next(run for run in job.runs if run.mixture.is_scratch)
    alone = replace(job, runs=(run,))
    with pytest.raises(StorageError):
        run_job(alone)
    path = job.folder.model(run.key, best=True)
    before = path.read_bytes()
    monkeypatch.setattr(RecordStore, "write", written)
    assert run_job(alone) == {"trained": 1, "failed": 0}
    assert path.read_bytes() == before  # it went on from its checkpoint, bit for bit
    record = RecordStore(job.folder).read(run.key)
    assert record.model_sha256 == hashlib.sha256(before).hexdigest()


def test_a_run_whose_weights_cannot_be_written_has_no_record(job, monkeypatch):
    def refuse(*arguments):
        raise StorageError("the disk is full")

    monkeypatch.setattr("jetscale.training.leave.write_model", refuse)
    with pytest.raises(StorageError, match="the disk is full"):
        run_job(replace(job, runs=tuple(run for run in job.runs if run.mixture.is_scratch)))
    assert read_all(job) == []


@pytest.mark.long
def test_what_is_kept_changes_no_result(job):
    run_job(job)
    first = {r.key: r.loss for r in read_all(job)}
    shutil.rmtree(job.folder.path)
    run_job(replace(job, study=replace(job.study, keep="none")))
    records = read_all(job)
    assert {r.key: r.loss for r in records} == first
    assert not (job.folder.path / "best").exists()
    assert {r.model_sha256 for r in records} == {None}
