"""Streams made by Ray Data against those of one process, on a real two-CPU Ray."""

import hashlib
import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from jetscale.errors import DataError, SweepError
from jetscale.jets.shards import write_shards
from jetscale.jets.shards import writer as shards
from jetscale.jets.shards.manifest import open_shards
from jetscale.mixtures import shuffle
from jetscale.mixtures.assemble import assemble, prepare_in_process
from jetscale.mixtures.stream import Source, open_stream

ray = pytest.importorskip("ray")
from jetscale.compute import streams  # noqa: E402
from jetscale.compute.streams import prepare  # noqa: E402

pytestmark = [pytest.mark.integration, pytest.mark.filterwarnings("default")]


def content(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_without_ray_the_message_says_so(train_plan, tmp_path):
    with pytest.raises(SweepError, match=r"ray\.init"):
        prepare([train_plan], tmp_path)


@pytest.fixture
def plans(train_plan, mixture_plan):
    """Streams with features and corpora of their own, two of them from the same shard."""
    return [train_plan, mixture_plan, replace(train_plan, name="order-2", seed=8)]


def test_every_executor_writes_the_bytes_of_one_process(plans, tmp_path, executor):
    made = assemble(plans, tmp_path / "there", executor)
    assert prepare_in_process(plans, tmp_path / "here").keys() == made.keys()
    assert content(tmp_path / "there") == content(tmp_path / "here")


def test_ray_data_writes_the_bytes_of_one_process(plans, tmp_path, small_ray, monkeypatch, capfd):
    single = []
    monkeypatch.setattr(streams, "write_runs", single.append)  # only where Ray Data fails
    progress: list[tuple[int, int]] = []
    made = prepare(plans, tmp_path / "ray", lambda *x: progress.append(x))
    assert prepare_in_process(plans, tmp_path / "here").keys() == made.keys()
    assert content(tmp_path / "ray") == content(tmp_path / "here")
    assert progress[-1] == (1400, 1400)
    before = content(tmp_path / "ray")
    assert prepare(plans, tmp_path / "ray") == made
    assert content(tmp_path / "ray") == before
    assert single == []
    assert capfd.readouterr() == ("", "")
    assert ray.data.DataContext.get_current().use_datasource_v2  # settings are put back


@pytest.fixture
def long_plan(train_plan, make_jets, tmp_path, monkeypatch):
    """30,000 jets of ten shards, in row groups of 1,000."""
    monkeypatch.setattr(shards, "ROWS_PER_SHARD", 3_000)
    monkeypatch.setattr(shards, "ROWS_PER_GROUP", 1_000)
    tables = (make_jets(5_000, range(10), seed) for seed in range(6))
    write_shards(tmp_path / "many", tables, corpus="jetclass", role="train")
    source = Source(folder=tmp_path / "many", labels=train_plan.labels, weight=1.0)
    return replace(train_plan, sources={"train": source}, rows=29_000, features="kin")


def test_streams_of_several_blocks(long_plan, small_ray, tmp_path):
    made = open_stream(prepare([long_plan], tmp_path / "ray")["train"])
    assert [block.rows for block in made.blocks] == [16_384, 12_616]
    made.verify()
    here = open_stream(prepare_in_process([long_plan], tmp_path / "here")["train"])
    assert here.digest == made.digest


write_runs_of_batch = streams._write_runs


def kill_once(by_path, table):
    (reading, *_) = by_path.values()
    mark = reading.shares[0].slots.parents[3] / "killed"
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return write_runs_of_batch(by_path, table)


def kill_always(by_path, table):
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.long
@pytest.mark.parametrize("function", [kill_once, kill_always])
def test_workers_of_ray_data_may_die(long_plan, small_ray, tmp_path, monkeypatch, function, capfd):
    """Once: it is tried again. Always: single tasks do the work instead."""
    monkeypatch.setattr(streams, "_write_runs", function)
    made = prepare([long_plan], tmp_path / "ray")["train"]
    here = prepare_in_process([long_plan], tmp_path / "here")["train"]
    assert open_stream(made).digest == open_stream(here).digest
    assert (tmp_path / "ray" / "killed").exists() == (function is kill_once)
    assert "Traceback" not in capfd.readouterr().err


def die(reading):
    os.kill(os.getpid(), signal.SIGSEGV)


@pytest.mark.long
def test_a_shard_that_kills_every_worker_is_named(train_plan, small_ray, tmp_path, monkeypatch):
    monkeypatch.setattr(streams, "_write_runs", kill_always)
    monkeypatch.setattr(streams, "write_runs", die)
    with pytest.raises(SweepError, match=r"shard-00000\.parquet: the process .* died 3 times"):
        prepare([train_plan], tmp_path / "s")
    assert list((tmp_path / "s").iterdir()) == []


def test_a_shard_that_tasks_cannot_read_is_named_and_nothing_is_left(
    train_plan, small_ray, tmp_path, capfd
):
    folder = tmp_path / "damaged"
    folder.mkdir()
    for file in train_plan.sources["train"].folder.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    path = folder / "shard-00000.parquet"
    content = bytearray(path.read_bytes())
    content[100:3000] = bytes(2900)
    path.write_bytes(content)
    manifest = (folder / "manifest.json").read_text()  # made to agree, so that a task meets it
    sha256 = open_shards(folder).shards[0].sha256
    manifest = manifest.replace(sha256, hashlib.sha256(content).hexdigest())
    (folder / "manifest.json").write_text(manifest)
    source = replace(train_plan.sources["train"], folder=folder)
    with pytest.raises(DataError, match=r"shard-00000\.parquet is damaged") as caught:
        prepare([replace(train_plan, sources={"train": source})], tmp_path / "s")
    assert "\n" not in str(caught.value)
    assert list((tmp_path / "s").iterdir()) == []
    assert "Traceback" not in capfd.readouterr().err


@pytest.fixture
def long_stream(long_plan, tmp_path, monkeypatch):
    monkeypatch.setattr(shuffle, "ROWS_PER_BLOCK", 1_000)
    return open_stream(prepare_in_process([long_plan], tmp_path / "here")["train"])


@pytest.mark.parametrize("n", [None, 2_500])
def test_a_stream_as_a_data_set_of_ray(long_stream, small_ray, n):
    dataset, expected = long_stream.to_ray(n), long_stream.read(n)
    assert dataset.count() == len(expected)
    first = 0
    for batch in dataset.iter_batches(batch_size=777, batch_format="pyarrow"):
        lists = batch["constituents"].combine_chunks()
        jets = expected.take(np.arange(first, first + len(batch)))
        assert np.array_equal(batch["label"].to_numpy(), jets.labels)
        assert np.array_equal(np.diff(lists.offsets.to_numpy()), jets.lengths)
        assert np.array_equal(lists.flatten().flatten().to_numpy(), jets.values.reshape(-1))
        first += len(batch)
    assert first == len(expected)


def test_a_padded_data_set_is_arrays(long_stream, small_ray):
    expected = long_stream.read(3_000)
    dataset = long_stream.to_ray(3_000, padded=True)
    first = 0
    for batch in dataset.iter_torch_batches(batch_size=999):
        stop = first + len(batch["label"])
        assert batch["constituents"].shape == (stop - first, 16, 7)
        jets = expected.take(np.arange(first, stop))
        real = np.arange(16) < batch["length"].numpy()[:, None]
        assert np.array_equal(batch["label"].numpy(), jets.labels)
        assert np.array_equal(batch["length"].numpy(), jets.lengths)
        assert np.array_equal(batch["constituents"].numpy()[real], jets.values)
        assert not batch["constituents"].numpy()[~real].any()
        first = stop
    assert first == 3_000


def test_mistakes_of_who_asks_for_a_data_set(long_stream, small_ray):
    with pytest.raises(DataError, match="has 29000 jets, 29001 were asked for"):
        long_stream.to_ray(29_001)
    block = long_stream.folder / long_stream.blocks[1].file
    content = bytearray(block.read_bytes())
    content[-2000] ^= 1
    block.write_bytes(content)
    with pytest.raises(Exception, match=r"block-00001\.arrow is damaged"):
        list(long_stream.to_ray().iter_rows())
