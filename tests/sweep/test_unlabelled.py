"""Unlabelled jets from a folder to a run table: pretrained on completing them, then classified."""

from dataclasses import replace

import pytest

from jetscale.errors import StudyError
from jetscale.executor import in_process
from jetscale.jets.shards import write_shards
from jetscale.mixtures.assemble import prepare_in_process
from jetscale.mixtures.inputs import ensure_shards, stream_plans
from jetscale.planning import plan_runs
from jetscale.planning.identity import recipe_of
from jetscale.store.home import Home
from jetscale.store.records import RecordStore
from jetscale.study import Mixture
from jetscale.sweep.runs import RunSource, load_runs
from jetscale.sweep.worker import Job, run_job
from jetscale.tracking.address import tracking_uri


@pytest.fixture
def study(given, tmp_path, make_jets):
    """The tiny study with a mixture of unlabelled jets beside, pretrained on completing them."""
    jets = make_jets(60, [0], 4).drop_columns("jet_label")
    jets = jets.append_column("jet_label", [[0] * 60])
    write_shards(tmp_path / "data", [jets], corpus="unlabelled", role="pretrain")
    source = replace(
        given.source, pretrain={**given.source.pretrain, "data": str(tmp_path / "data")}
    )
    recipe = given.recipe.change(pretraining_objective="masked", min_steps=6)
    mixtures = (*given.mixtures, Mixture(name="data", parts={"data": 1.0}))
    return replace(given, source=source, recipe=recipe, mixtures=mixtures)


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path / "runs")


def train(study, home):
    shards = ensure_shards(study, home.path, in_process, lambda *_: None)
    job = Job(
        study=study,
        folder=home.study(study),
        streams=prepare_in_process(stream_plans(study, shards), home.streams),
        recipe=recipe_of(study),
        runs=plan_runs(study),
    )
    return run_job(job)


@pytest.mark.long
def test_unlabelled_jets_pretrain_and_every_record_says_how(study, home):
    runs = plan_runs(study)
    assert train(study, home) == {"trained": len(runs), "failed": 0}
    records = RecordStore.open(study, home, runs).read_all(run.key for run in runs)
    for run in runs:
        record, told = records[run.key], records[run.key].recipe["model"]
        # several passes are a stated thing
        assert (record.examples, record.epochs, record.steps) == (
            *(run.examples, run.epochs, run.steps),
        )
        assert record.examples_seen == record.epochs * record.examples
        assert record.steps >= 6
        assert record.params == run.params
        masked = run.kind == "pretrain"
        assert told["objective"] == ("masked" if masked else "classify")
        trunk = run.start == "pretrained"
        assert told.get("pretraining_objective") == ("masked" if trunk else None)
        assert (record.loss is None) == masked
    frame, _ = load_runs(study, home, tracking_uri(home), RunSource.RECORDS)
    assert set(frame["mixture"]) == {"scratch", "qcd", "data"}
    assert frame["recipe_digest"].nunique() == 1
    assert set(frame["epochs"]) == {2, 3}
    assert (frame["steps"] >= 6).all()
    labelled = replace(study, recipe=study.recipe.change(pretraining_objective=None))
    with pytest.raises(StudyError, match="part 'data' has no labels"):
        plan_runs(labelled)


@pytest.mark.long
def test_scratch_is_trained_once_for_both_objectives(study, home):
    train(study, home)
    labelled = replace(
        study,
        recipe=study.recipe.change(pretraining_objective=None),
        mixtures=study.mixtures[:2],
        name=study.name,
    )
    scratch = sum(run.mixture.is_scratch for run in plan_runs(labelled))
    assert scratch == 4
    counts = train(labelled, home)
    assert counts == {"trained": len(plan_runs(labelled)) - scratch, "failed": 0}
