"""What trunks are pretrained to do: keys, versions, costs, and what the plan says of it."""

from dataclasses import replace

import numpy as np
import pytest

from jetscale.errors import StudyError
from jetscale.models.inputs import feature_inputs
from jetscale.models.transformer import TRANSFORMER
from jetscale.models.transformer.flops import parameters
from jetscale.objectives.masked import MASKED
from jetscale.objectives.protocol import OBJECTIVES
from jetscale.planning import plan_runs, pretraining_examples
from jetscale.planning.identity import recipe_of
from jetscale.planning.overview import overview
from jetscale.study import Mixture


@pytest.fixture
def masked(study):
    return replace(study, recipe=study.recipe.change(pretraining_objective="masked"))


def keys(study, *, pretrained):
    return [run.key for run in plan_runs(study) if run.mixture.is_scratch != pretrained]


def test_runs_from_scratch_keep_their_keys_and_all_others_are_new(study, masked):
    assert keys(masked, pretrained=False) == keys(study, pretrained=False)
    assert not set(keys(masked, pretrained=True)) & set(keys(study, pretrained=True))


def test_the_versions_of_both_objectives_are_part_of_the_keys(masked, monkeypatch):
    told = recipe_of(masked)["model"]
    assert told["objective"] == "classify"
    assert told["pretraining_objective"] == "masked"
    assert told["pretraining_objective_version"] == MASKED.version
    before = [keys(masked, pretrained=pretrained) for pretrained in (False, True)]

    class Newer(type(MASKED)):
        version = 99

    monkeypatch.setitem(OBJECTIVES.known, "masked", Newer())
    assert keys(masked, pretrained=False) == before[0]
    assert not set(keys(masked, pretrained=True)) & set(before[1])


def test_each_run_has_the_objective_of_its_start(masked):
    found = {(run.start, run.recipe.model.objective) for run in plan_runs(masked)}
    assert found == {
        ("scratch", "classify"),
        ("pretraining", "masked"),
        ("pretrained", "classify"),
    }


def test_pretraining_costs_what_the_trunk_and_its_own_head_do(study, masked):
    features = feature_inputs(feature.name for feature in study.features)
    for run in (run for run in plan_runs(masked) if run.kind == "pretrain"):
        trunk = parameters(run.size, 13, 1)
        head = MASKED.head_parameters(run.size, features, 128)
        assert run.params == trunk.total - trunk.head + head
        # typical jets have a mean of 45 constituents, of which 0.3 are hidden
        sums = {"jets": 100, "constituents": 4_504, "constituents_squared": 232_000}
        about = TRANSFORMER.token_flops(run.size, features, **sums)
        about += 0.3 * 4_504 * MASKED.head_flops(run.size, features)
        assert run.flops == pytest.approx(about, rel=0.02)
    pairs = zip(plan_runs(masked), plan_runs(study), strict=True)
    for run, other in pairs:
        same = (run.flops, run.params) == (other.flops, other.params)
        assert same == (run.kind == "finetune")


def test_equal_flops_count_what_is_hidden(masked):
    recipe = masked.recipe.change(pretraining_budget="flops")
    study, lengths = replace(masked, recipe=recipe), np.full(100, 45)
    size, mixture = study.ladder[0], study.mixtures[1]
    run = next(run for run in plan_runs(study) if run.size == size and run.kind == "pretrain")
    features = feature_inputs(feature.name for feature in study.features)
    for n, hidden in ((45, 14), (90, 27)):
        sums = {"jets": 1, "constituents": n, "constituents_squared": n * n}
        one = TRANSFORMER.token_flops(size, features, **sums)
        one += hidden * MASKED.head_flops(size, features)
        found = pretraining_examples(study, mixture, size, np.full(100, n), 27)
        assert found == run.flops / run.epochs // one
    # the classes of a stream do not matter to a head that names none
    examples = {pretraining_examples(study, mixture, size, lengths, n) for n in (1, 27, 160)}
    assert len(examples) == 1


def test_a_mixture_of_one_label_is_enough(study, masked):
    alone = Mixture(name="light", parts={"QCD_light": 1.0})
    with pytest.raises(StudyError, match="nothing to tell apart"):
        replace(study, mixtures=(alone,))
    runs = plan_runs(replace(masked, mixtures=(alone,)))
    assert {run.kind for run in runs} == {"pretrain", "finetune"}


def test_the_task_itself_cannot_be_masked(study):
    wrong = replace(study, recipe=study.recipe.change(objective="masked"))
    with pytest.raises(StudyError) as refused:
        plan_runs(wrong)
    assert str(refused.value) == (
        "objective 'masked' is for pretraining alone: it tells nothing of a jet; set "
        "recipe.model.pretraining_objective to 'masked' and leave objective='classify'"
    )


@pytest.mark.slow
def test_an_architecture_without_vectors_of_constituents_is_refused(masked):
    changed = masked.recipe.change(architecture="fixtures.training:deep_sets")
    with pytest.raises(StudyError, match="no token_flops, so its trunks give no vectors of const"):
        plan_runs(replace(masked, recipe=changed))


def test_the_plan_says_what_trunks_are_pretrained_to_do(study, masked):
    assert overview(study)["notes"] == []
    assert overview(masked)["notes"] == [
        "trunks are pretrained with objective masked, which reads no labels; runs on the task have "
        "objective classify"
    ]
    assert overview(replace(masked, mixtures=masked.mixtures[:1]))["notes"] == []


def test_runs_with_few_jets_take_more_passes_for_enough_steps(study):
    more = replace(study, recipe=study.recipe.change(min_steps=9))
    found = {(run.kind, run.examples): (run.epochs, run.steps) for run in plan_runs(more)}
    # batches of 16: 20 jets are 2 steps a pass, 40 are 3, 50 are 4
    assert found == {
        ("finetune", 20): (5, 10),
        ("finetune", 40): (3, 9),
        ("pretrain", 50): (3, 12),
    }
    asked = {(run.name, run.examples): run.flops / run.epochs for run in plan_runs(study)}
    for run in plan_runs(more):
        assert run.flops / run.epochs == pytest.approx(asked[run.name, run.examples], rel=1e-3)
    assert overview(more)["notes"] == [
        "at least 9 optimiser steps take more passes: D=20 5 epochs, D=40 3 epochs, "
        "pretraining D=50 3 epochs"
    ]
    rows = overview(more)["rows"]
    assert {tuple(row["steps"]) for row in rows} == {(9, 10)}


def test_min_steps_that_all_runs_make_change_no_cost_but_are_another_recipe(study):
    same = replace(study, recipe=study.recipe.change(min_steps=4))
    assert [(run.epochs, run.steps) for run in plan_runs(same)] == [
        (run.epochs, run.steps) for run in plan_runs(study)
    ]
    assert not {run.key for run in plan_runs(same)} & {run.key for run in plan_runs(study)}
    none = replace(study, recipe=study.recipe.change(min_steps=0))
    assert [run.key for run in plan_runs(none)] == [run.key for run in plan_runs(study)]
