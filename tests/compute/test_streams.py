"""The Ray Data job against the in-process run, on a real two-CPU Ray."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from jetscale.errors import DataError, SweepError
from jetscale.jets.shards.manifest import open_shards
from jetscale.mixtures.assemble import prepare_in_process
from jetscale.mixtures.stream import open_stream

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

ray = pytest.importorskip("ray")
from jetscale.compute.streams import prepare  # noqa: E402

pytestmark = [pytest.mark.integration, pytest.mark.filterwarnings("default")]


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


def content(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


@pytest.mark.usefixtures("cluster")
def test_ray_writes_the_same_bytes_as_one_process(train_plan, mixture_plan, tmp_path):
    plans = [train_plan, mixture_plan, replace(train_plan, name="order-2", seed=8)]
    progress: list[tuple[int, int]] = []
    made = prepare(plans, tmp_path / "ray", lambda *x: progress.append(x))
    assert prepare_in_process(plans, tmp_path / "here").keys() == made.keys()
    assert content(tmp_path / "ray") == content(tmp_path / "here")
    assert progress[-1] == (1400, 1400)
    before = content(tmp_path / "ray")
    assert prepare(plans, tmp_path / "ray") == made
    assert content(tmp_path / "ray") == before


@pytest.mark.usefixtures("cluster")
def test_streams_of_several_blocks(train_plan, make_jets, tmp_path):
    """More jets than a block holds, from several row groups of several shards."""
    from jetscale.jets.shards import write_shards
    from jetscale.mixtures.stream import Source

    tables = (make_jets(5_000, range(10), seed) for seed in range(6))
    write_shards(tmp_path / "many", tables, corpus="jetclass", role="train")
    source = Source(folder=tmp_path / "many", labels=train_plan.labels, weight=1.0)
    plan = replace(train_plan, sources={"train": source}, rows=30_000, features="kin")
    made = open_stream(prepare([plan], tmp_path / "ray")["train"])
    assert [block.rows for block in made.blocks] == [16_384, 13_616]
    made.verify()
    here = open_stream(prepare_in_process([plan], tmp_path / "here")["train"])
    assert here.digest == made.digest


@pytest.mark.usefixtures("cluster")
def test_a_shard_that_tasks_cannot_read_is_named_and_nothing_is_left(train_plan, tmp_path, capfd):
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


def test_without_ray_the_message_says_so(train_plan, tmp_path):
    if ray.is_initialized():
        ray.shutdown()
    with pytest.raises(SweepError, match=r"ray\.init"):
        prepare([train_plan], tmp_path)
