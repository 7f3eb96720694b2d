"""A study with two mixtures on made-up shards: one like the downstream jets, one unlike them."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from jetscale.jets.shards import write_shards
from jetscale.store.home import Home
from jetscale.study import Controls, Folders, Mixture, ModelSize, Study


def wider(table):
    """The same jets with constituents three times as far from the axis."""
    for name in ("part_deta", "part_dphi"):
        lists = table[name].combine_chunks()
        values = pa.array(3 * lists.flatten().to_numpy())
        column = pa.ListArray.from_arrays(lists.offsets, values)
        table = table.set_column(table.column_names.index(name), name, column)
    return table


@pytest.fixture(scope="session")
def folders(tmp_path_factory, make_jets):
    root = tmp_path_factory.mktemp("shards")
    for i, (role, jets) in enumerate([("train", 500), ("validation", 120), ("test", 20)]):
        write_shards(root / role, [make_jets(jets, range(10), i)], corpus="jetclass", role=role)
    near = make_jets(400, range(161, 188), 8)
    far = wider(make_jets(400, range(15), 9))
    write_shards(root / "qcd", [near], corpus="jetclass2", role="pretrain")
    write_shards(root / "res2p", [far], corpus="jetclass2", role="pretrain")
    return root


@pytest.fixture
def study(folders):
    return Study(
        name="small",
        source=Folders(
            train=str(folders / "train"),
            validation=str(folders / "validation"),
            test=str(folders / "test"),
            pretrain={part: str(folders / part) for part in ("qcd", "res2p")},
        ),
        mixtures=(
            Mixture(name="scratch"),
            Mixture(name="near", parts={"qcd": 1}),
            Mixture(name="both", parts={"qcd": 1, "res2p": 3}),
        ),
        ladder=(ModelSize(width=8, layers=1, heads=1), ModelSize(width=16, layers=1, heads=2)),
        data_sizes=(20, 40),
        seeds=(1, 2),
        controls=Controls(pretraining_jets=240, validation_jets=100, test_jets=10, constituents=16),
    )


@pytest.fixture
def shards(folders):
    names = ("train", "validation", "test")
    parts = {f"pretrain-{part}": folders / part for part in ("qcd", "res2p")}
    return {name: folders / name for name in names} | parts


@pytest.fixture
def quick(monkeypatch):
    """Fewer repeats, for tests of the path and not of the numbers."""
    monkeypatch.setattr("jetscale.measures.alignment.FOLDS", 2)
    monkeypatch.setattr("jetscale.measures.alignment.TREES", 5)
    monkeypatch.setattr("jetscale.measures.alignment.PERMUTATIONS", 19)


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.fixture
def as_folders(study):
    """The same study with another number of pretraining jets."""
    return lambda jets: replace(study, recipe=study.recipe.change(pretraining_jets=jets))


def silent(what: str, done: int, total: int) -> None:
    assert 0 <= done <= total


@pytest.fixture
def progress():
    return silent


@pytest.fixture
def results(tmp_path) -> Home:
    return Home(tmp_path / "results")
