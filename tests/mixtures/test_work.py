from dataclasses import replace

import numpy as np
import pytest

from jetscale.errors import DataError
from jetscale.jets.schema import JETCLASS2, PARTS
from jetscale.jets.shards import write_shards
from jetscale.mixtures import work
from jetscale.mixtures.assemble import open_pools
from jetscale.mixtures.quota import NOT_DRAWN
from jetscale.mixtures.work import buckets_of, jobs_of


def test_jobs_cover_the_shards_with_drawn_jets(train_plan, make_jets, tmp_path, monkeypatch):
    from jetscale.jets.shards import writer as shards

    monkeypatch.setattr(shards, "ROWS_PER_SHARD", 100)
    monkeypatch.setattr(shards, "ROWS_PER_GROUP", 50)
    write_shards(tmp_path / "p", [make_jets(420, [0, 3])], corpus="jetclass", role="train")
    source = replace(train_plan.sources["train"], folder=tmp_path / "p", labels=("Hgg",))
    plan = replace(train_plan, sources={"train": source}, rows=150)
    pools = open_pools(plan)
    jobs = list(jobs_of(plan, pools, tmp_path))
    assert [job.path.name for job in jobs] == [f"shard-{i:05d}.parquet" for i in range(5)]
    assert [job.eligible.start for job in jobs[1:]] == [job.eligible.stop for job in jobs[:-1]]
    assert jobs[-1].eligible.stop == pools["train"].available
    for job, shard in zip(jobs, pools["train"].manifest.shards, strict=True):
        assert len(job.eligible) == shard.label_counts["Hgg"] == pools["train"].eligible(shard)
    assert (np.load(jobs[0].slots) != NOT_DRAWN).sum() == 150
    (tmp_path / "few").mkdir()
    assert 1 <= len(list(jobs_of(replace(plan, rows=2), pools, tmp_path / "few"))) <= 2


def test_labels_outside_a_source_are_not_eligible(mixture_plan, tmp_path):
    plan = replace(mixture_plan, labels=JETCLASS2[::-1])
    by_slots = {job.slots.name: job for job in jobs_of(plan, open_pools(plan), tmp_path)}
    for i, name in enumerate(("qcd", "res2p", "res34p")):
        labels = by_slots[f"slots-{i}.npy"].labels
        for label, mapped in zip(JETCLASS2, labels, strict=True):
            assert mapped == (187 - JETCLASS2.index(label) if label in PARTS[name].labels else -1)


def test_buckets_are_consecutive_blocks(train_plan, tmp_path, monkeypatch):
    monkeypatch.setattr(work, "ROWS_PER_BLOCK", 100)
    monkeypatch.setattr(work, "BLOCKS_PER_BUCKET", 2)
    for rows, edges in (
        (500, [(0, 100, 200), (200, 300, 400), (400, 500)]),
        (401, [(0, 100, 200), (200, 300, 400), (400, 401)]),
        (7, [(0, 7)]),
    ):
        buckets = buckets_of(replace(train_plan, rows=rows), 7, tmp_path, 10)
        assert [bucket.edges for bucket in buckets] == edges
        assert [(bucket.first, bucket.number) for bucket in buckets] == [
            (2 * i, 10 + 2 * i) for i in range(len(edges))
        ]
        assert {bucket.n_features for bucket in buckets} == {7}


def test_columns_are_checked_when_a_pool_is_opened(train_plan, make_jets, tmp_path):
    table = make_jets(9, [0]).drop_columns(["part_dzerr"])
    write_shards(tmp_path / "p", [table], corpus="jetclass", role="train")
    source = replace(train_plan.sources["train"], folder=tmp_path / "p")
    plan = replace(train_plan, sources={"train": source}, features="full")
    with pytest.raises(DataError, match=r"p lacks columns part_dzerr.*use the features 'kinpid'"):
        open_pools(plan)
    assert set(open_pools(replace(plan, features="kinpid"))) == {"train"}
