"""Runs from scratch on the jets of a sweep, under changed recipes: what paired benchmarks share."""

import os
from pathlib import Path

from jetscale.executor import in_process
from jetscale.mixtures.assemble import prepare_in_process
from jetscale.mixtures.inputs import ensure_shards, stream_plans
from jetscale.mixtures.stream import open_stream
from jetscale.models.inputs import feature_inputs
from jetscale.planning import Run
from jetscale.study import Recipe, Study
from jetscale.training.loop import train_run
from jetscale.training.spec import RunSpec


def prepare(study: Study) -> dict[str, Path]:
    """The streams of a study, below $JETSCALE_HOME; jets that are missing are simulated."""
    home = Path(os.environ.get("JETSCALE_HOME") or "runs")
    shards = ensure_shards(study, home, in_process, lambda what, done, total: None)
    return prepare_in_process(stream_plans(study, shards), home / "streams")


def test_loss(study: Study, run: Run, recipe: Recipe, streams: dict[str, Path]) -> float:
    """Final test loss of a run under another recipe; its weights, jets and order stay."""
    spec = RunSpec(
        key=run.key,
        size=run.size,
        features=feature_inputs(feature.name for feature in study.features),
        classes=study.classes,
        recipe=recipe,
        epochs=run.epochs,
        seed=run.seed,
    )
    train = open_stream(streams[f"train-{run.subset}"]).read(run.examples)
    test = open_stream(streams["test"]).read(study.recipe.evaluation.test_jets)
    loss = train_run(spec, train, test=test).loss
    assert loss is not None
    return loss
