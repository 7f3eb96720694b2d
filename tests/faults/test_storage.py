"""Disks that are full or read-only, and files that are torn: nothing is lost, one line says it."""

import errno
import json
import os
import subprocess
from dataclasses import replace
from itertools import count
from pathlib import Path

import pandas as pd
import pytest
from fixtures.faults import call, mounted, read_only
from fixtures.sweeps import sweep_text

from jetscale.errors import DataError, StorageError
from jetscale.executor import in_process
from jetscale.jets.shards import write_shards
from jetscale.mixtures.assemble import prepare_in_process
from jetscale.mixtures.inputs import ensure_shards, stream_plans
from jetscale.mixtures.stream import open_stream
from jetscale.planning import plan_runs
from jetscale.planning.identity import recipe_of
from jetscale.store.home import Home, StudyFolder
from jetscale.store.record import make_table
from jetscale.store.records import RecordStore, RunState
from jetscale.study.load import load_study
from jetscale.sweep.runs import RunSource, load_runs
from jetscale.sweep.worker import Job, run_job

pytestmark = pytest.mark.slow

SAME = ["key", "mixture", "params", "examples", "seed", "loss", "validation_loss", "flops"]


@pytest.fixture
def plans(given, tmp_path):
    """The streams of a study of three runs, one of them a pretraining run."""
    small = replace(given, seeds=(1,), data_sizes=(20,))
    return small, stream_plans(small, ensure_shards(small, tmp_path, in_process, lambda *_: None))


@pytest.fixture
def make_job(plans, tmp_path):
    """A function that makes a job for one results folder, all on the same streams."""
    study, asked = plans

    def make(name):
        folder = StudyFolder(tmp_path / name / study.name)
        RecordStore(folder).prepare()
        return Job(
            study=study,
            folder=folder,
            streams=prepare_in_process(asked, tmp_path / "streams"),
            recipe=recipe_of(study),
            runs=plan_runs(study),
        )

    return make


@pytest.fixture
def undisturbed(make_job):
    job = make_job("undisturbed")
    assert run_job(job) == {"trained": 3, "failed": 0}
    return table(job)


@pytest.fixture(scope="module")
def calm(tmp_path_factory, small_shards):
    """The results folder of the sweep on a sound disk."""
    folder = tmp_path_factory.mktemp("calm")
    path, home = folder / "small.py", folder / "runs"
    path.write_text(sweep_text(small_shards, epochs=2))
    home.mkdir()
    assert call("run", path, home=home)[0] == 0
    return home


def table(job):
    store = RecordStore(job.folder, runs=job.runs)
    return make_table(store.read_all(run.key for run in job.runs).values())[[*SAME, "streams"]]


def states(job):
    return {row.state for row in RecordStore(job.folder, runs=job.runs).status(job.runs)}


def refuse(monkeypatch, number, code):
    """From now on the write with this number, and every one after it, is refused."""
    write, numbers = Path.write_bytes, count()

    def write_bytes(path, content):
        if next(numbers) >= number:
            write(path, bytes(content)[: len(content) // 2])  # a full disk takes a part
            raise OSError(code, os.strerror(code), str(path))
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    return numbers


@pytest.mark.long
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
def test_whichever_write_of_a_worker_is_refused(make_job, undisturbed, monkeypatch, code):
    """Records, checkpoints, trunks and signs of life: each write in turn is the first refused."""
    stages = set()
    for number in count():
        job = make_job(f"write-{number}")
        with monkeypatch.context() as patch:
            writes = refuse(patch, number, code)
            try:
                run_job(job)
            except StorageError as error:
                refused = str(error)
            else:
                assert next(writes) <= number  # nothing was refused: every write had its turn
                break
        assert "\n" not in refused
        stages.add(Path(refused.removeprefix("cannot write ").split(": ")[0]).parent.name)
        assert not list(job.folder.path.rglob(".*")), "something half written was left"
        run_job(job)
        pd.testing.assert_frame_equal(table(job), undisturbed, check_exact=True)
        assert states(job) == {RunState.DONE}
    assert number > 5
    assert stages >= {"records", "running", "trunks"}


@pytest.mark.long
@pytest.mark.parametrize("what", ["empty", "half", "zeros", "list", "flipped", "infinite"])
def test_a_torn_record_is_trained_again_and_no_other(make_job, undisturbed, what):
    job = make_job("torn")
    run_job(job)
    run = next(run for run in job.runs if run.trunk)
    path = job.folder.path / "records" / f"{run.key}.json"
    whole, others = path.read_bytes(), {p: p.read_bytes() for p in path.parent.iterdir()}
    path.write_bytes(
        {
            "empty": b"",
            "half": whole[: len(whole) // 2],
            "zeros": bytes(len(whole)),
            "list": b"[]",
            "flipped": whole.replace(b'"examples": 20', b'"examples": 28'),
            "infinite": json.dumps(json.loads(whole) | {"loss": float("inf")}).encode(),
        }[what]
    )
    assert path.read_bytes() != whole
    assert states(job) == {RunState.DONE, RunState.DAMAGED}
    assert run_job(job) == {"trained": 1, "failed": 0}
    pd.testing.assert_frame_equal(table(job), undisturbed, check_exact=True)
    assert {p: p.read_bytes() for p in others if p != path} == {
        p: content for p, content in others.items() if p != path
    }


@pytest.mark.long
def test_a_flipped_byte_of_a_stream_is_noticed_and_the_stream_made_again(
    make_job, undisturbed, plans, tmp_path
):
    job = make_job("flipped")
    folder = job.streams["train-0"]
    block = folder / open_stream(folder).blocks[0].file
    whole = bytearray(block.read_bytes())
    whole[len(whole) // 2] ^= 1
    block.write_bytes(whole)
    # it was whole when the sweep began; another machine may see it so: no run has failed
    with pytest.raises(DataError, match="is damaged: expected sha256"):
        run_job(job)
    store = RecordStore(job.folder)
    assert not [row for row in store.status(job.runs) if row.failure]
    done = len(store.keys())
    again = make_job("flipped")
    assert again.streams == job.streams
    assert run_job(again) == {"trained": len(job.runs) - done, "failed": 0}
    pd.testing.assert_frame_equal(table(again), undisturbed, check_exact=True)


@pytest.mark.long
def test_a_damaged_shard_makes_no_stream_until_it_is_repaired(
    plans, make_job, undisturbed, tmp_path
):
    shard = tmp_path / "train" / "shard-00000.parquet"
    whole = shard.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    for content in (bytes(flipped), whole[:-1], b"", bytes(len(whole))):
        shard.write_bytes(content)
        with pytest.raises(DataError, match=r"shard-00000\.parquet: expected") as caught:
            prepare_in_process(plans[1], tmp_path / "anew")
        assert "\n" not in str(caught.value)
        assert not list((tmp_path / "anew").glob("*/stream.json"))
    shard.write_bytes(whole)
    streams = prepare_in_process(plans[1], tmp_path / "anew")
    job = replace(make_job("repaired"), streams=streams)
    run_job(job)
    pd.testing.assert_frame_equal(table(job), undisturbed, check_exact=True)


@pytest.mark.integration
def test_streams_on_a_disk_that_is_full_at_any_point(plans, tmp_path):
    asked = plans[1]
    sound = prepare_in_process(asked, tmp_path / "sound")
    wanted = {name: open_stream(folder).digest for name, folder in sound.items()}
    refused = []
    with mounted(tmp_path / "small", "-t", "tmpfs", "-o", "size=8k", "tmpfs") as disk:
        for kilobytes in count(8, 8):
            subprocess.run(["mount", "-o", f"remount,size={kilobytes}k", disk], check=True)
            try:
                made = prepare_in_process(asked, disk / "streams")
            except StorageError as error:
                refused.append(str(error))
                assert not [p for p in disk.rglob("*") if p.is_file()]
                continue
            assert {name: open_stream(f).digest for name, f in made.items()} == wanted
            break
    assert len(refused) > 3
    assert all("the disk is full; free some space and run again" in line for line in refused)


@pytest.mark.integration
def test_shards_on_a_disk_that_is_full_at_any_point(make_jets, tmp_path):
    jets, asked = make_jets(400, range(10), 1), {"corpus": "jetclass", "role": "train"}
    wanted = write_shards(tmp_path / "sound", [jets], **asked).digest
    refused = []
    with mounted(tmp_path / "small", "-t", "tmpfs", "-o", "size=8k", "tmpfs") as disk:
        for kilobytes in count(8, 32):
            subprocess.run(["mount", "-o", f"remount,size={kilobytes}k", disk], check=True)
            try:
                made = write_shards(disk / "shards", [jets], **asked)
            except StorageError as error:
                refused.append(str(error))
                assert list(disk.iterdir()) == []
                continue
            assert made.digest == wanted
            break
    assert len(refused) > 3
    assert all("the disk is full; free some space and run again" in line for line in refused)


@pytest.mark.long
@pytest.mark.integration
def test_a_sweep_on_a_full_disk_goes_on_when_it_is_enlarged(small_sweep, calm, tmp_path):
    path, home = small_sweep(), tmp_path / "full" / "runs"
    used = sum(p.stat().st_blocks * 512 for p in (calm / "streams").rglob("*") if p.is_file())
    lines = []
    with mounted(home, "-t", "tmpfs", "-o", "size=16k", "tmpfs"):
        # before the streams, behind them, room for all
        for size in (16_384, used + 40_960, 64 * 2**20):
            subprocess.run(["mount", "-o", f"remount,size={size}", str(home)], check=True)
            code, said = call("run", path, home=home)
            assert "Traceback" not in said
            lines.append((code, said.splitlines()[-1]))
        assert [code for code, _ in lines] == [2, 2, 0]
        for _, line in lines[:2]:
            assert line.startswith("jetscale: cannot write ")
            assert "the disk is full; free some space and run again" in line
        check_same_table(path, calm, home)


@pytest.mark.long
@pytest.mark.integration
def test_a_sweep_in_a_read_only_folder_goes_on_when_it_is_repaired(small_sweep, calm, tmp_path):
    path, home = small_sweep(), tmp_path / "fixed" / "runs"
    home.mkdir(parents=True)
    with read_only(home):
        code, said = call("run", path, home=home)
    *doing, problem = said.splitlines()
    assert code == 2
    assert all(line.endswith(" ...") for line in doing), said
    assert problem.startswith("jetscale: cannot write ")
    assert call("run", path, home=home)[0] == 0
    with read_only(home):  # reading needs no writing
        code, said = call("status", path, home=home)
        assert code == 0
        assert "10 done" in said
        check_same_table(path, calm, home)


def check_same_table(path, *homes):
    """The records of two results folders are one run table, to the last bit."""
    study = load_study(path)
    first, second = (load_runs(study, Home(home), "", RunSource.RECORDS)[0][SAME] for home in homes)
    assert len(first) == 8
    pd.testing.assert_frame_equal(first, second, check_exact=True)
