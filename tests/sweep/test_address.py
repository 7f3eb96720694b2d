"""Sweeps whose results lie in a bucket, on an S3 server of this machine."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pandas as pd
import pytest
from fixtures.sweeps import sweep_text, write_roles
from fixtures.waiting import PATIENCE

from jetscale.errors import DataError
from jetscale.executor import in_process
from jetscale.mixtures.assemble import prepare_in_process
from jetscale.mixtures.inputs import ensure_shards, stream_plans
from jetscale.mixtures.stream import INDEX
from jetscale.planning import plan_runs
from jetscale.planning.identity import recipe_of
from jetscale.scaling import UNSEARCHED
from jetscale.store.copies import fetch_folder, put_folder
from jetscale.store.home import Home
from jetscale.store.records import RecordStore
from jetscale.study.load import load_study
from jetscale.sweep import worker
from jetscale.sweep.follow import sync_study
from jetscale.sweep.runs import RunSource, load_runs
from jetscale.sweep.worker import Job, run_job
from jetscale.tracking.address import tracking_uri
from jetscale.training.loop import train_stack

pytestmark = pytest.mark.slow


@pytest.fixture
def sweep(tmp_path, make_jets, gate):
    root, path = write_roles(tmp_path, make_jets, train=500, qcd=320), tmp_path / "small.py"
    settings = {"pretraining_jets": 300, "epochs": 20, "objective": gate.objective}
    path.write_text(sweep_text(root, data_sizes=(50, 400), **settings))
    return path


@pytest.fixture
def jetscale(tmp_path, sweep, monkeypatch):
    """A function that starts a command on a machine that has nothing but the sweep file."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    started = []

    def start(command, home, machine):
        environment = os.environ | {"JETSCALE_HOME": home}
        environment["JETSCALE_CACHE"] = str(tmp_path / "machines" / machine)
        arguments = [sys.executable, "-m", "jetscale", *command.split(), str(sweep)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        started.append(subprocess.Popen(arguments, env=environment, **pipes))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def table(study, home):
    frame, _ = load_runs(study, home, "", RunSource.RECORDS)
    same = ["mixture", "seed", "params", "examples", "steps", "loss", "validation_loss", "flops"]
    return frame[[*same, "key", "trunk", "recipe_digest"]]


@pytest.mark.long
@pytest.mark.integration
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # MLflow leaves its database open
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_killed_and_taken_up_by_another_machine_it_is_the_same_as_in_a_folder(
    jetscale, make_bucket, sweep, tmp_path, gate
):
    address, study = f"s3://{make_bucket()}/group/runs", load_study(sweep)
    home, planned = Home(tmp_path / "reader", address), plan_runs(load_study(sweep))
    store = RecordStore.open(study, home, planned)
    gate.close("evaluation", tmp_path, 0)  # which pretraining, the first to be done, has none of
    first = jetscale("run", address, "first")
    deadline = time.monotonic() + PATIENCE
    while len(store.keys()) < 2:
        assert first.poll() is None, first.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.05)
    refused = jetscale("run", address, "second")
    told = refused.communicate()[0]
    assert refused.returncode == 2
    assert f"study folder {address}/small is in use by another `jetscale run` or" in told
    assert "`jetscale work` on " in told
    first.send_signal(signal.SIGKILL)
    first.communicate()
    gate.wait_until_gone()
    gate.open()
    before = store.read_all(store.keys())
    assert 2 <= len(before) < len(planned)
    # the lease of the dead one holds for a while
    while (second := jetscale("run", address, "second")) and "is in use" in (
        told := second.communicate()[0]
    ):
        assert time.monotonic() < deadline
        time.sleep(1)
    assert second.returncode == 0, told
    assert f"{len(planned)} of {len(planned)} runs done" in told
    store.refresh()
    after = store.read_all(store.keys())
    assert {key: after[key] for key in before} == before
    assert store.storage.names("checkpoints") == store.storage.names("running") == []

    folder = tmp_path / "folder"
    local = jetscale("run", str(folder), "first")
    local.communicate()
    assert local.returncode == 0
    status = jetscale("status --json", address, "third")
    counts = json.loads(status.communicate()[0])
    assert counts["done"] == len(planned)
    # a machine with an empty working copy has the same table, from records and through MLflow
    pd.testing.assert_frame_equal(table(study, home), table(study, Home(folder)))
    sync_study(study, home, tracking_uri(home))
    mirrored, warnings = load_runs(study, home, tracking_uri(home), RunSource.MLFLOW)
    assert warnings == [UNSEARCHED]
    assert list(mirrored["loss"]) == list(table(study, home)["loss"])
    assert not home.streams.exists()


@pytest.fixture
def job(make_bucket, sweep, tmp_path):
    """A function that gives the whole study as one job to a machine of its own."""
    sweep.write_text(sweep.read_text().replace("epochs=20", "epochs=4, batch_size=16"))
    study = replace(load_study(sweep), data_sizes=(50,), seeds=(1,))
    address = f"s3://{make_bucket()}/runs"
    driver = Home(tmp_path / "driver", address)
    plans = stream_plans(study, ensure_shards(study, driver.path, in_process, lambda *_: None))
    streams = prepare_in_process(plans, driver.streams)
    for folder in streams.values():
        put_folder(driver, folder, INDEX)

    def on(machine):
        home = Home(tmp_path / machine, address)
        return Job(
            study=study,
            folder=home.study(study),
            streams=streams,
            recipe=recipe_of(study),
            runs=plan_runs(study),
            home=home,
        )

    return on


def losses(job):
    store = RecordStore(job.folder)
    return {key: json.dumps([r.loss, r.curve]) for key, r in store.read_all(store.keys()).items()}


class KilledError(BaseException):
    """Ends a worker as a signal does: nothing is said of it afterwards."""


@pytest.mark.long
def test_a_killed_run_goes_on_from_the_checkpoint_in_the_bucket(job, monkeypatch):
    def train(stop, seen, every):
        def run(tasks, *arguments, **options):
            (task,) = tasks

            def step(done, steps):
                seen.append(done)
                task.on_step(done, steps)
                if len(seen) == stop:
                    raise KilledError

            options |= {"checkpoint_seconds": every}
            return train_stack([replace(task, on_step=step)], *arguments, **options)

        monkeypatch.setattr(worker, "train_stack", run)

    train(stop=5, seen=(first := []), every=0)
    with pytest.raises(KilledError):
        run_job(job("one"))
    assert first == [1, 2, 3, 4, 5]
    storage = job("two").folder.storage
    assert len(storage.names("checkpoints")) == 2
    train(stop=None, seen=(second := []), every=1e9)
    assert run_job(job("two")) == {"trained": 3, "failed": 0}
    assert second[0] == 6
    assert storage.names("checkpoints") == []
    assert len(storage.names("trunks")) == 1
    resumed = losses(job("two"))
    for name in (*storage.names("records"), *storage.names("trunks")):
        storage.delete(name)
    assert run_job(job("three")) == {"trained": 3, "failed": 0}
    assert losses(job("three")) == resumed


def damage(block):
    content = bytearray(block)
    content[len(content) // 2] ^= 1
    return bytes(content)


@pytest.mark.long
def test_a_damaged_copy_of_a_stream_is_fetched_again(job):
    sound, spoilt = job("sound"), job("spoilt")
    assert run_job(sound)["failed"] == 0
    before = losses(sound)
    for name in sound.folder.storage.names("records"):
        sound.folder.storage.delete(name)
    folder = spoilt.home.streams / spoilt.streams["train-0"].name
    assert fetch_folder(spoilt.home, folder, INDEX)
    block = next(folder.glob("*.arrow"))
    block.write_bytes(damage(block.read_bytes()))
    assert run_job(spoilt) == {"trained": 3, "failed": 0}
    assert losses(spoilt) == before


@pytest.mark.long
def test_a_stream_that_is_damaged_in_the_bucket_is_put_there_again(job):
    told, stream = job("one"), job("one").streams["train-0"]
    storage, name = told.home.storage, f"streams/{stream.name}"
    block = next(n for n in storage.names(name) if n.endswith(".arrow"))
    storage.write(block, damage(storage.read(block)))
    with pytest.raises(DataError, match="is damaged: expected sha256"):
        run_job(told)
    assert f"{name}/{INDEX}" not in storage.names(name)  # no node takes it for whole
    driver = replace(told.home, path=stream.parent.parent)
    put_folder(driver, stream, INDEX)  # as the next call does
    assert run_job(told)["failed"] == 0


@pytest.mark.long
def test_a_trunk_comes_from_the_bucket_and_is_checked(job):
    first = job("one")
    run_job(first)
    store = RecordStore(first.folder)
    trunk = next(run for run in first.runs if run.kind == "pretrain")
    user = next(run for run in first.runs if run.trunk == trunk.key)
    before = losses(first)
    store.storage.delete(f"records/{user.key}.json")
    second = job("two")
    assert run_job(second) == {"trained": 1, "failed": 0}
    assert losses(second) == before
    name = f"trunks/{trunk.key}.pt"
    store.storage.write(name, store.storage.read(name)[:-1])
    store.storage.delete(f"records/{user.key}.json")
    third = job("three")
    assert run_job(third) == {"trained": 2, "failed": 0}
    assert losses(third) == before
    assert store.storage.read(name) == second.folder.trunk(trunk.key).read_bytes()
