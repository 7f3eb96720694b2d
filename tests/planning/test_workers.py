from dataclasses import replace

import pytest

from jetscale.planning import plan_runs
from jetscale.planning.workers import workers_of


@pytest.fixture
def run(study):
    run = plan_runs(study)[0]
    schedule = replace(run.recipe.schedule, batch_size=64)
    return replace(run, examples=4000, recipe=replace(run.recipe, schedule=schedule))


def test_short_runs_and_runs_that_do_not_make_others_wait_get_one(run):
    assert workers_of(run, 500, total=500, slots=16, most=8) == 1
    assert workers_of(run, 4000, total=50_000, slots=10, most=8) == 1


def test_a_run_that_all_would_wait_for_gets_several_up_to_the_limit(run):
    assert workers_of(run, 5000, total=20_000, slots=8, most=8) == 4
    assert workers_of(run, 50_000, total=60_000, slots=16, most=8) == 8
    assert workers_of(run, 50_000, total=60_000, slots=16, most=3) == 2
    assert workers_of(run, 50_000, total=60_000, slots=16, most=1) == 1


def test_a_worker_gets_enough_of_each_batch(run):
    schedule = replace(run.recipe.schedule, batch_size=10)
    small = replace(run, recipe=replace(run.recipe, schedule=schedule))
    assert workers_of(small, 50_000, total=60_000, slots=16, most=8) == 2
