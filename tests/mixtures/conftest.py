"""Small shard folders of made-up jets, and plans that use them."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from jetscale.jets import schema
from jetscale.jets.shards import write_shards
from jetscale.mixtures.stream import Source, StreamPlan


def jets(n: int, labels: Sequence[int], seed: int = 0) -> pa.Table:
    """n jets of 1 to 40 constituents; ``jet_pt`` is 100 + the row number, so a jet can be found."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 41, n)
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))
    total = int(lengths.sum())
    flat = {name: rng.normal(size=total).astype(np.float32) for name in schema.PART_FLOATS}
    flat["part_energy"] = rng.uniform(1, 50, total).astype(np.float32)
    flat["part_charge"] = rng.integers(-1, 2, total).astype(np.int32)
    flat |= {name: rng.random(total) < 0.3 for name in schema.PART_FLAGS}
    columns = {k: pa.ListArray.from_arrays(offsets, pa.array(v)) for k, v in flat.items()}
    columns |= {
        name: pa.array(rng.uniform(0.5, 2, n).astype(np.float32)) for name in schema.JET_FLOATS
    }
    columns["jet_pt"] = pa.array((100 + np.arange(n)).astype(np.float32))
    columns["jet_nparticles"] = pa.array(lengths.astype(np.int32))
    columns["jet_label"] = pa.array(rng.choice(labels, n).astype(np.int32))
    return pa.table(columns)


@pytest.fixture(scope="session")
def make_jets() -> Callable[..., pa.Table]:
    return jets


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Shards by name: train (jetclass, 700 jets), pretrain (900 of all 188 classes), qcd (300)."""
    root = tmp_path_factory.mktemp("shards")
    made = {
        "train": ("jetclass", "train", jets(700, range(10), 1)),
        "pretrain": ("jetclass2", "pretrain", jets(900, range(188), 2)),
        "qcd": ("jetclass2", "pretrain", jets(300, range(161, 188), 3)),
    }
    for name, (corpus, role, table) in made.items():
        write_shards(root / name, [table], corpus=corpus, role=role)
    return {name: root / name for name in made}


def parts(weights: dict[str, float], where: dict[str, Path]) -> dict[str, Source]:
    """One source per part, all of its classes."""
    return {
        part: Source(folder=where[part], labels=schema.PARTS[part].labels, weight=weight)
        for part, weight in weights.items()
    }


@pytest.fixture
def train_plan(folders: dict[str, Path]) -> StreamPlan:
    """500 of the 700 training jets."""
    source = Source(folder=folders["train"], labels=schema.JETCLASS, weight=1.0)
    return StreamPlan(
        name="train",
        sources={"train": source},
        rows=500,
        labels=schema.JETCLASS,
        features="kin",
        constituents=16,
        seed=7,
    )


@pytest.fixture
def mixture_plan(folders: dict[str, Path]) -> StreamPlan:
    """Two parts from one folder of mixed classes and one from a folder of its own."""
    where = {"qcd": folders["qcd"], "res2p": folders["pretrain"], "res34p": folders["pretrain"]}
    return StreamPlan(
        name="mixture",
        sources=parts({"qcd": 2.0, "res2p": 0.3, "res34p": 1.7}, where),
        rows=400,
        labels=schema.JETCLASS2,
        features="full",
        constituents=128,
        seed=7,
    )
