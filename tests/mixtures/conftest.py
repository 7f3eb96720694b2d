"""Small shard folders of made-up jets, and plans that use them."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from jetscale.jets import schema
from jetscale.jets.shards import write_shards
from jetscale.mixtures.stream import Source, StreamPlan


@pytest.fixture(scope="session")
def folders(
    tmp_path_factory: pytest.TempPathFactory, make_jets: Callable[..., pa.Table]
) -> dict[str, Path]:
    """Shards by name: train (jetclass, 700 jets), pretrain (900 of all 188 classes), qcd (300)."""
    root = tmp_path_factory.mktemp("shards")
    made = {
        "train": ("jetclass", "train", make_jets(700, range(10), 1)),
        "pretrain": ("jetclass2", "pretrain", make_jets(900, range(188), 2)),
        "qcd": ("jetclass2", "pretrain", make_jets(300, range(161, 188), 3)),
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
