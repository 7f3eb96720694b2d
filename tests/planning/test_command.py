"""Runs that a command trains, as they are planned."""

from dataclasses import replace

import pytest

from jetscale import training
from jetscale.planning import plan_runs
from jetscale.planning.former import former_keys
from jetscale.planning.identity import recipe_of
from jetscale.planning.overview import overview
from jetscale.planning.stacks import most_in_stack
from jetscale.planning.workers import workers_of
from jetscale.study import Command

RUN = "train {train} {out} {trunk} {save_trunk} {seed}"


@pytest.fixture
def ours(study):
    return replace(study, recipe=replace(study.recipe, trainer=Command(run=RUN)))


def keys(study):
    return [run.key for run in plan_runs(study)]


def changed(study, **changes):
    trainer = replace(study.recipe.trainer, **changes)
    return replace(study, recipe=replace(study.recipe, trainer=trainer))


def test_without_a_command_keys_and_recipes_are_as_before(study):
    assert "trainer" not in recipe_of(study)
    assert keys(study) == keys(replace(study, recipe=replace(study.recipe, trainer=None)))


@pytest.mark.parametrize("changes", [{"run": f"{RUN} -v"}, {"version": 2}, {"files": "root"}])
def test_text_version_and_files_of_a_command_are_in_every_key(study, ours, changes):
    sets = [set(keys(one)) for one in (study, ours, changed(ours, **changes))]
    assert not (sets[0] & sets[1])
    assert not (sets[1] & sets[2])


def test_the_version_of_our_training_is_not(study, ours, monkeypatch):
    before = keys(study), keys(ours)
    monkeypatch.setattr(training, "VERSION", 99)
    assert keys(study) != before[0]
    assert keys(ours) == before[1]


def test_what_it_costs_is_counted_by_the_architecture(study, ours):
    for one, other in zip(plan_runs(study), plan_runs(ours), strict=True):
        assert (one.params, one.flops, one.steps) == (other.params, other.flops, other.steps)


def test_it_has_one_worker_and_no_stack(study, ours):
    for plain, run in zip(plan_runs(study), plan_runs(ours), strict=True):
        long = {"chain": 1e6, "total": 1e6, "slots": 64, "most": 8}
        many = replace(plain, recipe=plain.recipe.change(batch_size=64))
        assert workers_of(many, **long) > 1
        assert workers_of(replace(run, recipe=run.recipe.change(batch_size=64)), **long) == 1
        assert most_in_stack(plain) > most_in_stack(run) == 1


def test_models_and_objectives_are_not_tried(ours, study, monkeypatch):
    def broken(*_):
        raise RuntimeError("built")

    monkeypatch.setattr("jetscale.planning.run.try_scores", broken)
    monkeypatch.setattr("jetscale.planning.run.check_parametrization", broken)
    assert plan_runs(ours)
    with pytest.raises(RuntimeError, match="built"):
        plan_runs(study)


def test_version_0_1_had_none(study, ours):
    assert former_keys(study, plan_runs(study))
    assert former_keys(ours, plan_runs(ours)) == {}


def test_a_plan_shows_the_command(ours):
    assert overview(ours)["recipe"]["trainer.run"] == RUN
