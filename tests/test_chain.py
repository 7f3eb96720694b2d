"""Rooms joined: published jets and simulated jets on their way into training."""

from pathlib import Path

import numpy as np
import pytest

from jetscale.jets.ingest.ingest import ingest
from jetscale.jets.schema import FEATURE_SETS, JETCLASS2
from jetscale.jets.shards.verify import verify
from jetscale.mixtures.assemble import prepare_in_process
from jetscale.mixtures.stream import Source, StreamPlan, open_stream
from jetscale.models.inputs import feature_inputs
from jetscale.study import Controls, ModelSize
from jetscale.training.loop import train_run
from jetscale.training.spec import RunSpec


@pytest.mark.integration
@pytest.mark.parametrize("features", ["kin", "kinpid", "full"])
def test_published_jets_pass_through_ingest_stream_and_two_steps(real_data, tmp_path, features):
    shards = tmp_path / "shards"
    manifest = ingest("jetclass2", "pretrain", [real_data / "JetClassII_example.parquet"], shards)
    assert manifest.rows == 100
    assert verify(shards).manifest.label_counts == manifest.label_counts
    stream = open_stream(_prepared(shards, tmp_path / "streams", features))
    stream.verify()
    jets = stream.read()
    assert len(jets) == 100
    assert np.isfinite(jets.values).all()
    counts = np.bincount(jets.labels, minlength=188)
    assert {JETCLASS2[i]: n for i, n in enumerate(counts) if n} == dict(manifest.label_counts)

    recipe = Controls(
        pretraining_jets=100,
        validation_jets=1,
        test_jets=1,
        features=features,
        batch_size=50,
        constituents=64,
    )
    spec = RunSpec(
        key="published",
        size=ModelSize(width=16, layers=1, heads=2),
        classes=JETCLASS2,
        features=feature_inputs(FEATURE_SETS[features]),
        recipe=recipe,
        epochs=1,
        seed=1,
    )
    trunk = tmp_path / "trunk.pt"
    result = train_run(spec, jets, test=jets, save_trunk=trunk)
    assert result.steps == 2
    assert result.examples == 100
    assert result.loss is not None
    assert 3 < result.loss < 8  # ln 188 = 5.2 for a guess
    assert trunk.is_file()


def _prepared(shards: Path, root: Path, features: str) -> Path:
    plan = StreamPlan(
        name="pretrain",
        sources={"all": Source(folder=shards, labels=JETCLASS2, weight=1.0)},
        rows=100,
        labels=JETCLASS2,
        features=features,
        constituents=64,
        seed=1,
    )
    return prepare_in_process([plan], root)["pretrain"]
