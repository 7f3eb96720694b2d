"""A tiny study, shard folders for it, and made-up records of it."""

from dataclasses import replace

import pytest

from jetscale.jets.shards import write_shards
from jetscale.plan import cells
from jetscale.study import Controls, Folders, Mixture, ModelSize, Simulated, Study, digest
from jetscale.sweep.records import Record


@pytest.fixture
def study():
    return Study(
        name="tiny",
        source=Simulated(train_jets=100),
        mixtures=(Mixture(name="scratch"), Mixture(name="qcd", parts={"qcd": 1})),
        ladder=(ModelSize(width=8, layers=1, heads=1),),
        data_sizes=(20, 40),
        seeds=(1, 2),
        controls=Controls(pretraining_jets=50, validation_jets=10, test_jets=10, constituents=16),
    )


@pytest.fixture
def given(tmp_path, make_jets, study):
    """The tiny study on shard folders of its own, written below tmp_path."""
    for i, (role, jets) in enumerate([("train", 60), ("validation", 20), ("test", 20)]):
        write_shards(tmp_path / role, [make_jets(jets, range(10), i)], corpus="jetclass", role=role)
    qcd = make_jets(60, range(161, 188), 9)
    write_shards(tmp_path / "qcd", [qcd], corpus="jetclass2", role="pretrain")
    source = Folders(
        train=str(tmp_path / "train"),
        validation=str(tmp_path / "validation"),
        test=str(tmp_path / "test"),
        pretrain={"qcd": str(tmp_path / "qcd")},
    )
    return replace(study, source=source)


def make_record(study, cell, **changes):
    controls = {"epochs": 2, "architecture": "a"}
    values = {
        "key": cell.key,
        "study": study.name,
        "kind": cell.kind,
        "mixture": cell.mixture.name,
        "parts": dict(cell.mixture.parts),
        "width": 8,
        "layers": 1,
        "heads": 1,
        "seed": cell.seed,
        "subset": cell.subset,
        "params": cell.params,
        "params_non_embedding": cell.params_non_embedding,
        "examples": cell.examples,
        "examples_seen": 2 * cell.examples,
        "steps": cell.steps,
        "flops": 1e9 + cell.examples,
        "flops_padded": 2e9,
        "flops_6nd": 0.8e9,
        "pretraining_flops": 5e9 if cell.trunk else 0.0,
        "loss": 1.0 + 1.0 / cell.examples,
        "validation_loss": 1.1,
        "scores": {"accuracy": 0.5, "auc": None, "rejection": {"Hbb": 10.0, "Tbl": None}},
        "curve": {"training_loss": [[1, 2.3], [4, 1.9]], "validation_loss": [[4, 1.1]]},
        "controls": controls,
        "controls_digest": digest(controls),
        "streams": {"train-0": "abc"},
        "trunk": cell.trunk,
        "timings": {"steps": 1.0, "evaluation": 0.5, "total": 2.0},
        "device": "cpu",
        "host": "here",
        "versions": {"torch": "2"},
        "started": 1000.0,
        "finished": 1002.0,
    }
    return Record(**(values | changes))


@pytest.fixture
def planned(study):
    return cells(study)


@pytest.fixture
def records(study, planned):
    return [make_record(study, cell) for cell in planned]
