"""Simulated shards between an address and the machines that need them."""

from uuid import uuid4

import pytest
from fixtures import stars

from jetscale.executor import in_process
from jetscale.jets.shards import verify
from jetscale.mixtures import declared, inputs
from jetscale.mixtures.assemble import prepare_in_process, stream_folders
from jetscale.mixtures.inputs import shard_folders, stream_plans
from jetscale.store.home import Home
from jetscale.study import Controls, Declared, Mixture, ModelSize, Study
from jetscale.sweep.shards import keep_shards


@pytest.fixture
def stars_study():
    source = Declared(
        downstream=stars.corpus("catalogue", simulate=stars.two_numbers),
        pretraining=(stars.corpus("curves"),),
        train_examples=60,
    )
    return Study(
        name="stars",
        source=source,
        mixtures=(Mixture(name="scratch"), Mixture(name="all", parts={"curves": 1})),
        ladder=(ModelSize(width=8, layers=1, heads=1),),
        data_sizes=(20,),
        seeds=(1,),
        controls=Controls(
            pretraining_jets=30,
            validation_jets=10,
            test_jets=10,
            constituents=6,
            features="all",
        ),
    )


def keep(study, home):
    return keep_shards(study, home, in_process, lambda *_: None)


def test_what_one_machine_simulated_another_fetches(stars_study, tmp_path, monkeypatch):
    address = f"memory://{uuid4().hex}/runs"
    here, there = (Home(tmp_path / name, address) for name in ("here", "there"))
    made = keep(stars_study, here)
    assert sorted(made.values()) == sorted(shard_folders(stars_study, here.path))
    monkeypatch.setattr(declared, "call_simulators", None)  # calling it would fail
    fetched = keep(stars_study, there)
    assert fetched.keys() == made.keys()
    for name, folder in fetched.items():
        assert folder.is_relative_to(there.path)
        assert verify(folder).manifest.shards == verify(made[name]).manifest.shards
    # the streams have the same names, so they need not be made again either
    plans = stream_plans(stars_study, fetched)
    streams = prepare_in_process(plans, there.streams)
    assert streams == stream_folders(plans, there.streams)
    other = stream_folders(stream_plans(stars_study, made), here.streams)
    assert {k: p.name for k, p in streams.items()} == {k: p.name for k, p in other.items()}


def test_in_a_folder_nothing_is_copied(stars_study, tmp_path):
    home = Home(tmp_path / "runs")
    assert sorted(keep(stars_study, home).values()) == sorted(shard_folders(stars_study, home.path))
    assert [path.name for path in home.path.iterdir()] == ["shards"]


def test_folders_of_ones_own_stay_where_they_are(given, tmp_path):
    home = Home(tmp_path / "cache", f"memory://{uuid4().hex}/runs")
    assert inputs.shard_folders(given, home.path) == []
    assert keep(given, home)["train"] == tmp_path / "train"
    assert home.storage.names("shards") == []
