"""A study whose recipe names the architecture: from plan to records."""

from dataclasses import replace

import pytest

from jetscale.executor import in_process
from jetscale.mixtures.assemble import prepare_in_process
from jetscale.mixtures.inputs import ensure_shards, stream_plans
from jetscale.planning import plan_runs
from jetscale.planning.identity import recipe_of
from jetscale.store.home import Home
from jetscale.store.records import RecordStore
from jetscale.sweep.worker import Job, run_job


@pytest.fixture
def part(given):
    recipe = given.recipe.change(architecture="part", learning_rate=1e-3)
    return replace(given, recipe=recipe)


def test_it_has_keys_of_its_own_and_a_version(given, part):
    plain, ours = plan_runs(given), plan_runs(part)
    assert len(plain) == len(ours)
    assert not {run.key for run in plain} & {run.key for run in ours}
    assert recipe_of(part)["model"]["architecture_version"] == 1
    assert all(b.params > a.params for a, b in zip(plain, ours, strict=True))


@pytest.mark.long
def test_a_study_trains_and_its_trunks_are_fine_tuned(part, tmp_path):
    home = Home(tmp_path / "runs")
    shards = ensure_shards(part, home.path, in_process, lambda *_: None)
    runs = plan_runs(part)
    job = Job(
        study=part,
        folder=home.study(part),
        streams=prepare_in_process(stream_plans(part, shards), home.streams),
        recipe=recipe_of(part),
        runs=runs,
    )
    assert run_job(job) == {"trained": len(runs), "failed": 0}
    records = RecordStore.open(part, home, runs).read_all(run.key for run in runs)
    assert set(records) == {run.key for run in runs}
    for run in runs:
        record = records[run.key]
        assert (record.params, record.steps) == (run.params, run.steps)
        assert record.flops == pytest.approx(run.flops, rel=1)
        assert record.recipe["model"]["architecture"] == "part"
