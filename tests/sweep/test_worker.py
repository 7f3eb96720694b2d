"""A job run in this process, without Ray."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from jetscale.errors import StorageError
from jetscale.mixtures.assemble import prepare_in_process
from jetscale.mixtures.inputs import ensure_shards, stream_plans
from jetscale.mixtures.stream import open_stream
from jetscale.plan import plan_runs, pretraining_examples
from jetscale.plan.identity import check_same_controls, held_fixed
from jetscale.store.records import RecordStore, run_table
from jetscale.sweep import worker
from jetscale.sweep.worker import Job, run_job


@pytest.fixture
def job(tmp_path, given):
    study = replace(given, seeds=(1,), data_sizes=(20,))
    plans = stream_plans(study, ensure_shards(study, tmp_path, in_process, lambda *_: None))
    streams = prepare_in_process(plans, tmp_path / "streams")
    RecordStore(tmp_path / "study").prepare()
    return make_job(study, streams, tmp_path)


def make_job(study, streams, tmp_path):
    return Job(
        study=study,
        folder=tmp_path / "study",
        streams=streams,
        held_fixed=held_fixed(study, {n: open_stream(p).digest for n, p in streams.items()}),
        runs=plan_runs(study),
    )


def test_every_run_gets_a_complete_record(job):
    assert run_job(job) == {"trained": 3, "failed": 0}
    records = {r.key: r for r in RecordStore(job.folder).all()}
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
        assert record.loss > 0
        assert record.controls["stream.test"]
    pretrained = next(r for r in records.values() if r.trunk)
    assert pretrained.pretraining_flops == records[pretrained.trunk].flops
    assert set(pretrained.streams) == {"train-0", "validation", "test"}
    assert set(records[pretrained.trunk].streams) == {"pretrain-qcd"}
    assert records[pretrained.trunk].validation_loss is None
    assert not list((job.folder / "checkpoints").glob("*.pt"))


def test_only_what_is_missing_is_trained(job):
    run_job(replace(job, runs=job.runs[:1]))
    before = RecordStore(job.folder).read(job.runs[0].key)
    assert run_job(job) == {"trained": 2, "failed": 0}
    assert RecordStore(job.folder).read(job.runs[0].key) == before
    assert run_job(job) == {"trained": 0, "failed": 0}


def test_a_wider_grid_adds_runs_that_may_be_compared(job, tmp_path):
    run_job(job)
    wider = replace(job.study, data_sizes=(20, 50), seeds=(1, 2), subsets=1)
    plans = stream_plans(wider, ensure_shards(wider, tmp_path, in_process, lambda *_: None))
    streams = prepare_in_process(plans, tmp_path / "streams")
    assert streams["train-0"] != job.streams["train-0"]
    again = make_job(wider, streams, tmp_path)
    assert run_job(again) == {"trained": len(again.runs) - len(job.runs), "failed": 0}
    frame = run_table(RecordStore(job.folder).all())
    assert len(frame) == 8
    check_same_controls(frame)


def test_a_longer_stream_begins_with_the_shorter_one(job, tmp_path):
    longer = replace(job.study, data_sizes=(20, 50))
    plans = stream_plans(longer, ensure_shards(longer, tmp_path, in_process, lambda *_: None))
    streams = prepare_in_process(plans, tmp_path / "streams")
    short = open_stream(job.streams["train-0"]).read()
    head = open_stream(streams["train-0"]).read(len(short))
    assert np.array_equal(short.values, head.values)
    assert np.array_equal(short.labels, head.labels)


def test_a_job_needs_no_shards_and_no_particular_folder(job, tmp_path, monkeypatch):
    for name in ("train", "validation", "test", "qcd"):
        shutil.rmtree(tmp_path / name)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert run_job(job) == {"trained": 3, "failed": 0}


def test_a_run_without_its_trunk_fails_alone(job):
    chosen = tuple(run for run in job.runs if run.kind == "finetune")
    assert run_job(replace(job, runs=chosen)) == {"trained": 1, "failed": 1}
    rows = RecordStore(job.folder).status(chosen)
    failed = next(row for row in rows if row["state"] == "failed")
    assert "its pretraining run" in failed["why"]


def test_a_full_disk_stops_the_job(job, monkeypatch):
    def full(*_args, **_kwargs):
        raise StorageError("cannot write x: the disk is full; free some space and run again")

    monkeypatch.setattr(worker, "train_run", full)
    with pytest.raises(StorageError, match="the disk is full"):
        run_job(job)
    assert RecordStore(job.folder).keys() == set()


def test_both_seeds_and_the_mixture_change_the_loss(job):
    study = replace(job.study, seeds=(1, 2))
    run_job(make_job(study, job.streams, job.folder.parent))
    losses = [r.loss for r in RecordStore(job.folder).all() if r.kind == "finetune"]
    assert len(losses) == 4
    assert len(set(losses)) == 4


def test_equal_flops_decide_the_pretraining_jets(tmp_path, given):
    controls = given.recipe.change(pretraining_jets=30, pretraining_budget="flops")
    study = replace(given, seeds=(1,), data_sizes=(20,), controls=controls)
    plans = stream_plans(study, ensure_shards(study, tmp_path, in_process, lambda *_: None))
    job = make_job(study, prepare_in_process(plans, tmp_path / "streams"), tmp_path)
    RecordStore(job.folder).prepare()
    assert run_job(job)["failed"] == 0
    record = next(r for r in RecordStore(job.folder).all() if r.kind == "pretrain")
    stream = open_stream(job.streams["pretrain-qcd"])
    assert stream.rows == 60
    lengths = stream.read().lengths
    size = study.ladder[0]
    assert record.examples == pretraining_examples(study, study.mixtures[1], size, lengths)
    assert record.examples != 30
    assert record.controls["pretraining_budget"] == "flops"
