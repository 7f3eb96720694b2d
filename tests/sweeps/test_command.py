"""The sweep whose runs a command trains, and weaver-core as one."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from jetscale.executor import in_process
from jetscale.mixtures.assemble import prepare_in_process
from jetscale.mixtures.inputs import ensure_shards, stream_plans
from jetscale.planning import plan_runs
from jetscale.planning.identity import recipe_of
from jetscale.store.home import Home
from jetscale.store.records import RecordStore
from jetscale.study import Command
from jetscale.study.load import load_study
from jetscale.sweep.worker import Job, run_job

SWEEPS = Path(__file__).parents[2] / "sweeps"
WEAVER = SWEEPS / "trainers" / "weaver_part.py"


def trained(study, home):
    """The runs of a study, each with its record."""
    shards = ensure_shards(study, home.path, in_process, lambda *_: None)
    runs = plan_runs(study)
    job = Job(
        study=study,
        folder=home.study(study),
        streams=prepare_in_process(stream_plans(study, shards), home.streams),
        recipe=recipe_of(study),
        runs=runs,
    )
    store = RecordStore.open(study, home, runs)
    store.prepare()
    counts = run_job(job)
    why = [row.why for row in store.status(runs) if row.why]
    assert counts == {"trained": len(runs), "failed": 0}, why
    return [(run, store.read(run.key)) for run in runs]


@pytest.mark.long
def test_the_command_starts_in_the_folder_of_the_sweep_file(given, tmp_path):
    sweep = load_study(SWEEPS / "command.py")
    assert sweep.recipe.trainer.folder == str(SWEEPS)
    recipe = replace(given.recipe, trainer=sweep.recipe.trainer)
    study = replace(given, recipe=recipe, seeds=(1,), data_sizes=(20,))
    assert trained(study, Home(tmp_path / "runs"))


@pytest.mark.long
@pytest.mark.integration
def test_weaver_core_trains_its_particle_transformer(given, tmp_path):
    """N, counted by weaver's module, is that of our architecture; trunks go from run to run."""
    pytest.importorskip("weaver.nn.model.ParticleTransformer", reason="weaver-core is absent")
    pytest.importorskip("uproot")
    words = re.search(r'run=((?:\s*"[^"]*")+)', WEAVER.read_text())[1]
    run = "".join(re.findall(r'"([^"]*)"', words)).replace("trainers/weaver_part.py", str(WEAVER))
    recipe = given.recipe.change(architecture="part", learning_rate=1e-3)
    recipe = replace(recipe, trainer=Command(run=run, files="root"))
    study = replace(given, recipe=recipe, seeds=(1,), data_sizes=(40,))
    records = trained(study, Home(tmp_path / "runs"))
    for run, record in records:
        assert (record.params, record.steps) == (run.params, run.steps)
        assert record.flops == pytest.approx(run.flops, rel=1)
        assert record.versions["weaver-core"] == "0.5.3"
        assert record.curve["training_loss"]
        if run.kind == "finetune":
            assert 1 < record.loss < 4  # about log 10, on labels that mean nothing
