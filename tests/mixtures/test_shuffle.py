import shutil
from dataclasses import replace

import numpy as np
import pytest

from jetscale.errors import DataError, StorageError
from jetscale.jets.schema import JETCLASS2, PARTS
from jetscale.jets.shards import write_shards
from jetscale.jets.shards import writer as shards
from jetscale.mixtures import shuffle
from jetscale.mixtures.assemble import open_pools
from jetscale.mixtures.quota import NOT_DRAWN, slots
from jetscale.mixtures.shuffle import (
    blocks_in_order,
    buckets_of,
    readings_of,
    write_blocks,
    write_runs,
    write_runs_from,
)
from jetscale.mixtures.stream import content_sha256, read_block


def drawn(plan, folder):
    """The shards to be read for one stream, and what the stream takes from each."""
    folder.mkdir(exist_ok=True)
    return readings_of([(plan, open_pools(plan), folder)])


def test_a_reading_per_shard_with_drawn_jets(train_plan, make_jets, tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "ROWS_PER_SHARD", 100)
    monkeypatch.setattr(shards, "ROWS_PER_GROUP", 50)
    write_shards(tmp_path / "p", [make_jets(420, [0, 3])], corpus="jetclass", role="train")
    source = replace(train_plan.sources["train"], folder=tmp_path / "p", labels=("Hgg",))
    plan = replace(train_plan, sources={"train": source}, rows=150)
    pool = open_pools(plan)["train"]
    readings = drawn(plan, tmp_path / "a")
    assert [reading.path.name for reading in readings] == [
        f"shard-{i:05d}.parquet" for i in range(5)
    ]
    spans = [share.eligible for reading in readings for share in reading.shares]
    assert [span.start for span in spans[1:]] == [span.stop for span in spans[:-1]]
    assert spans[-1].stop == pool.eligible(pool.manifest)
    for span, shard in zip(spans, pool.manifest.shards, strict=True):
        assert len(span) == shard.label_counts["Hgg"] == pool.eligible(shard)
    assert (np.load(readings[0].shares[0].slots) != NOT_DRAWN).sum() == 150
    assert 1 <= len(drawn(replace(plan, rows=2), tmp_path / "few")) <= 2


def test_a_shard_is_read_once_for_all_streams(train_plan, mixture_plan, tmp_path):
    plans = [train_plan, replace(train_plan, seed=8, features="full"), mixture_plan]
    folders = [tmp_path / str(i) for i in range(3)]
    for folder in folders:
        folder.mkdir()
    readings = readings_of((p, open_pools(p), f) for p, f in zip(plans, folders, strict=True))
    assert [len(reading.shares) for reading in readings] == [2, 1, 2]
    assert "part_dzerr" in readings[0].columns
    assert readings[0].columns == tuple(sorted(set(readings[0].columns)))
    assert str(readings[0]) == str(readings[0].path)
    for reading in readings:
        write_runs(reading)
    alone = drawn(train_plan, tmp_path / "alone")
    write_runs(alone[0])
    ((_, (mine,)), (_, (other,))) = (
        write_blocks(*buckets_of(train_plan, 7, folder))
        for folder in (folders[0], tmp_path / "alone")
    )
    assert mine == other


def test_labels_outside_a_source_are_not_eligible(mixture_plan, tmp_path):
    plan = replace(mixture_plan, labels=JETCLASS2[::-1])
    shares = [share for reading in drawn(plan, tmp_path) for share in reading.shares]
    by_slots = {share.slots.name: share for share in shares}
    for i, name in enumerate(("qcd", "res2p", "res34p")):
        labels = by_slots[f"slots-{i}.npy"].labels
        for label, mapped in zip(JETCLASS2, labels, strict=True):
            assert mapped == (187 - JETCLASS2.index(label) if label in PARTS[name].labels else -1)


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(shuffle, "ROWS_PER_BLOCK", 100)
    monkeypatch.setattr(shuffle, "BLOCKS_PER_BUCKET", 2)


@pytest.mark.usefixtures("small")
def test_buckets_are_consecutive_blocks(train_plan, tmp_path):
    for rows, edges in (
        (500, [(0, 100, 200), (200, 300, 400), (400, 500)]),
        (401, [(0, 100, 200), (200, 300, 400), (400, 401)]),
        (7, [(0, 7)]),
    ):
        buckets = buckets_of(replace(train_plan, rows=rows), 7, tmp_path)
        assert [bucket.edges for bucket in buckets] == edges
        assert [bucket.first for bucket in buckets] == [2 * i for i in range(len(edges))]
        assert {bucket.n_features for bucket in buckets} == {7}
    assert str(buckets[0]) == f"{tmp_path}: blocks 0 to 0"


def test_columns_are_checked_when_a_pool_is_opened(train_plan, make_jets, tmp_path):
    table = make_jets(9, [0]).drop_columns(["part_dzerr"])
    write_shards(tmp_path / "p", [table], corpus="jetclass", role="train")
    source = replace(train_plan.sources["train"], folder=tmp_path / "p")
    plan = replace(train_plan, sources={"train": source}, features="full")
    with pytest.raises(DataError, match=r"p lacks columns part_dzerr.*use the features 'kinpid'"):
        open_pools(plan)
    assert set(open_pools(replace(plan, features="kinpid"))) == {"train"}


@pytest.fixture
def tasks(small, mixture_plan, tmp_path):
    """Readings and buckets of a stream of 400 jets: two shards, three sources."""
    return drawn(mixture_plan, tmp_path), buckets_of(mixture_plan, 17, tmp_path)


def test_runs_hold_the_drawn_jets_sorted_by_position(tasks, mixture_plan):
    readings, _ = tasks
    assert [write_runs(reading) for reading in readings] == [200, 30 + 170]
    pools = open_pools(mixture_plan)
    available = {name: pool.eligible(pool.manifest) for name, pool in pools.items()}
    order = slots(mixture_plan.quotas, available, mixture_plan.seed, "s")
    shares = [share for reading in readings for share in reading.shares]
    for share, (_, slot) in zip(shares, order, strict=True):
        scratch = share.slots.parent
        positions = np.load(scratch / f"{share.runs}-000.npy")
        assert np.array_equal(positions, np.sort(slot[slot < mixture_plan.rows]))
        assert len(read_block(scratch / f"{share.runs}-000.arrow", 17)) == len(positions)


@pytest.mark.slow
@pytest.mark.parametrize("run_bytes", [1, 50_000, 10**9])
def test_blocks_do_not_depend_on_the_cut_into_runs_and_the_order_of_tasks(
    tasks, mixture_plan, tmp_path, monkeypatch, run_bytes
):
    readings, buckets = tasks
    for reading in readings:
        write_runs(reading)
    expected = blocks_in_order([write_blocks(bucket) for bucket in buckets], tmp_path)
    shutil.rmtree(tmp_path / "scratch")
    monkeypatch.setattr(shuffle, "RUN_BYTES", run_bytes)
    monkeypatch.setattr(shuffle, "PIECE", 70)
    for reading in drawn(mixture_plan, tmp_path)[::-1]:
        write_runs(reading)
        write_runs(reading)  # a task that is done twice, as after the loss of a node
    written = [write_blocks(bucket) for bucket in buckets[::-1]]
    assert blocks_in_order(written, tmp_path) == expected
    assert blocks_in_order(written, tmp_path / "other") == []
    assert [block.rows for block in expected] == [100] * 4
    assert [block.file for block in expected] == [f"block-0000{i}.arrow" for i in range(4)]
    jets = read_block(tmp_path / "block-00003.arrow", 17)
    assert content_sha256(jets) == expected[3].sha256


def test_a_run_is_written_as_soon_as_it_is_long_enough(
    make_jets, train_plan, tmp_path, monkeypatch
):
    """What waits in memory is one run and one row group at most."""
    monkeypatch.setattr(shards, "ROWS_PER_GROUP", 50)
    write_shards(tmp_path / "p", [make_jets(500, [0])], corpus="jetclass", role="train")
    source = replace(train_plan.sources["train"], folder=tmp_path / "p")
    plan = replace(train_plan, sources={"train": source})
    (reading,) = drawn(plan, tmp_path)
    monkeypatch.setattr(shuffle, "RUN_BYTES", 20_000)
    write_runs(reading)
    runs = sorted((tmp_path / "scratch").glob("run-*.arrow"))
    sizes = [read_block(path, 7).values.nbytes for path in runs]
    assert len(sizes) > 2
    assert all(20_000 <= size < 20_000 + 50 * 16 * 7 * 4 for size in sizes[:-1])


def test_folders_and_runs_that_this_machine_lacks(tasks):
    readings, buckets = tasks
    for reading in readings[1:]:
        write_runs(reading)
    with pytest.raises(StorageError, match=r"\d+ of 200 jets are on this node.*all nodes share"):
        write_blocks(buckets[0])
    shutil.rmtree(readings[0].shares[0].slots.parent)
    with pytest.raises(StorageError, match="not on this node; use a folder that all nodes share"):
        write_runs(readings[0])


def test_a_full_disk_is_named(tasks, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shuffle, "write_jets", full)
    with pytest.raises(StorageError, match=r"cannot write .*scratch: the disk is full"):
        write_runs(tasks[0][0])


@pytest.mark.parametrize("eligible", [299, 301])
def test_a_shard_with_other_jets_than_its_manifest_says(tasks, eligible):
    (reading, _), _ = tasks
    share = replace(reading.shares[0], eligible=range(eligible))
    with pytest.raises(DataError, match=rf"expected {eligible} jets .* among 300, found 300 among"):
        write_runs(replace(reading, shares=(share,)))


def test_rows_that_are_not_all_of_the_shard(tasks):
    (reading, _), _ = tasks
    with pytest.raises(DataError, match=r"expected 300 jets .* among 300, found 0 among 0"):
        write_runs_from(reading, [])


def test_a_shard_with_other_bytes_than_its_manifest_says(tasks):
    (reading, _), _ = tasks
    with pytest.raises(DataError, match="expected sha256 000"):
        write_runs(replace(reading, shard=replace(reading.shard, sha256="0" * 64)))
