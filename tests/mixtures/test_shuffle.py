import shutil
from dataclasses import replace

import numpy as np
import pytest

from jetscale.errors import DataError, StorageError
from jetscale.mixtures import shuffle, work
from jetscale.mixtures.assemble import open_pools
from jetscale.mixtures.quota import slots
from jetscale.mixtures.shuffle import write_blocks, write_runs
from jetscale.mixtures.stream import content_sha256, read_block
from jetscale.mixtures.work import buckets_of, jobs_of


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(work, "ROWS_PER_BLOCK", 100)
    monkeypatch.setattr(work, "BLOCKS_PER_BUCKET", 2)


@pytest.fixture
def tasks(mixture_plan, tmp_path):
    """Jobs and buckets of a stream of 400 jets from three sources, each of one shard."""
    jobs = list(jobs_of(mixture_plan, open_pools(mixture_plan), tmp_path))
    return jobs, buckets_of(mixture_plan, 17, tmp_path, 7)


def test_runs_hold_the_drawn_jets_sorted_by_position(tasks, mixture_plan):
    jobs, _ = tasks
    assert [write_runs(job) for job in jobs] == [[{"jets": n}] for n in (200, 30, 170)]
    pools = open_pools(mixture_plan)
    available = {name: pool.available for name, pool in pools.items()}
    drawn = slots(mixture_plan.quotas, available, mixture_plan.seed, "s")
    for job, (_, slot) in zip(jobs, drawn, strict=True):
        scratch = job.slots.parent
        positions = np.load(scratch / f"{job.runs}-000.npy")
        assert np.array_equal(positions, np.sort(slot[slot < mixture_plan.rows]))
        assert len(read_block(scratch / f"{job.runs}-000.arrow", 17)) == len(positions)


@pytest.mark.parametrize("run_bytes", [1, 50_000, 10**9])
def test_blocks_do_not_depend_on_the_cut_into_runs_and_the_order_of_tasks(
    tasks, tmp_path, monkeypatch, run_bytes
):
    jobs, buckets = tasks
    for job in jobs:
        write_runs(job)
    expected = [row for bucket in buckets for row in write_blocks(bucket)]
    shutil.rmtree(tmp_path / "scratch", ignore_errors=True)
    monkeypatch.setattr(shuffle, "RUN_BYTES", run_bytes)
    again = list(jobs_of(jobs[0].plan, open_pools(jobs[0].plan), tmp_path))
    for job in again[::-1]:
        write_runs(job)
        write_runs(job)  # a task that is done twice, as after the loss of a node
    found = [row for bucket in buckets[::-1] for row in write_blocks(bucket)]
    assert sorted(found, key=lambda row: row["number"]) == expected
    assert [row["number"] for row in expected] == [7, 8, 9, 10]
    assert [row["rows"] for row in expected] == [100] * 4
    jets = read_block(tmp_path / "block-00003.arrow", 17)
    assert content_sha256(jets) == expected[3]["sha256"]


def test_a_run_is_written_as_soon_as_it_is_long_enough(
    make_jets, train_plan, tmp_path, monkeypatch
):
    """What waits in memory is one run and one row group at most."""
    from jetscale.jets.shards import writer as shards

    monkeypatch.setattr(shards, "ROWS_PER_GROUP", 50)
    shards.write_shards(tmp_path / "p", [make_jets(500, [0])], corpus="jetclass", role="train")
    source = replace(train_plan.sources["train"], folder=tmp_path / "p")
    plan = replace(train_plan, sources={"train": source})
    (job,) = jobs_of(plan, open_pools(plan), tmp_path)
    monkeypatch.setattr(shuffle, "RUN_BYTES", 20_000)
    write_runs(job)
    runs = sorted((tmp_path / "scratch").glob("run-*.arrow"))
    sizes = [read_block(path, 7).values.nbytes for path in runs]
    assert len(sizes) > 2
    assert all(20_000 <= size < 20_000 + 50 * 16 * 7 * 4 for size in sizes[:-1])


def test_folders_and_runs_that_this_machine_lacks(tasks):
    jobs, buckets = tasks
    for job in jobs[1:]:
        write_runs(job)
    with pytest.raises(StorageError, match=r"\d+ of 200 jets are on this node.*all nodes share"):
        write_blocks(buckets[0])
    shutil.rmtree(jobs[0].slots.parent)
    with pytest.raises(StorageError, match="not on this node; use a folder that all nodes share"):
        write_runs(jobs[0])


def test_a_shard_that_is_not_the_one_of_the_manifest(tasks):
    jobs, _ = tasks
    job = replace(jobs[0], check=False, eligible=range(0, 299))
    with pytest.raises(DataError, match=r"expected 299 jets .* among 300, found 300 among 300"):
        write_runs(job)
    other = replace(jobs[0].shard, sha256="0" * 64)
    with pytest.raises(DataError, match="expected sha256 000"):
        write_runs(replace(jobs[0], shard=other))
