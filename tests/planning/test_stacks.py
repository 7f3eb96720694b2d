from dataclasses import replace

import pytest

from jetscale.objectives import protocol
from jetscale.planning import plan_runs
from jetscale.planning.stacks import ALL, MOST, most_in_stack, shape_of
from jetscale.study import Mixture, ModelSize


@pytest.fixture
def runs(study):
    return plan_runs(study)


def test_mixtures_and_seeds_share_a_shape_and_sizes_do_not(study, runs):
    shapes = {}
    for run in runs:
        shapes.setdefault(shape_of(run), []).append(run)
    for together in shapes.values():
        assert len({(run.kind, run.size, run.examples, run.steps) for run in together}) == 1
    tuned = [shape for shape, together in shapes.items() if together[0].kind == "finetune"]
    assert len(tuned) == len(study.ladder) * len(study.data_sizes)
    for shape in tuned:
        expected = len(study.mixtures) * len(study.seeds)
        assert len(shapes[shape]) == expected


def test_rates_of_their_own_do_not_part_runs_and_batches_do(runs):
    run = runs[-1]
    slower = replace(run, recipe=run.recipe.change(learning_rate=1e-4, steps_exponent=-0.2))
    smaller = replace(run, recipe=run.recipe.change(batch_size=2))
    assert shape_of(slower) == shape_of(run)
    assert shape_of(smaller) != shape_of(run)


def test_pretraining_on_other_classes_is_another_shape(study):
    wide = replace(study, mixtures=(*study.mixtures, Mixture(name="few", parts={"res2p": 1.0})))
    heads = {run.mixture.name: shape_of(run) for run in plan_runs(wide) if run.kind == "pretrain"}
    assert len(set(heads.values())) == len(heads)


def test_only_small_models_are_stacked_on_a_cpu(runs):
    run = runs[-1]
    small = replace(run, size=ModelSize(width=8, layers=1, heads=1), params_non_embedding=656)
    step = 6 * 656 * run.steps
    assert most_in_stack(replace(small, flops=500.0 * step)) == MOST["cpu"]
    assert most_in_stack(replace(small, flops=2400.0 * step)) == ALL["cpu"] // (2400 * 8)
    assert most_in_stack(replace(small, flops=5000.0 * step)) == 1
    assert most_in_stack(replace(small, flops=5000.0 * step), "cuda") == MOST["cuda"]


def test_what_cannot_be_stacked_is_not(runs, monkeypatch):
    trunk = next(run for run in runs if run.kind == "pretrain")
    assert most_in_stack(trunk) > 1
    flops = replace(trunk, recipe=trunk.recipe.change(pretraining_budget="flops"))
    assert most_in_stack(flops) == 1

    class Own:
        """An objective that does not give the losses one by one."""

        name, version = "own", 1
        outputs = loss = scores = staticmethod(lambda *_: 1)

    monkeypatch.setattr(protocol.OBJECTIVES, "known", dict(protocol.OBJECTIVES.known))
    protocol.register(Own())
    assert most_in_stack(replace(trunk, recipe=trunk.recipe.change(objective="own"))) == 1


def test_pretraining_without_labels_stacks_and_what_starts_from_it_does_with_scratch(study):
    recipe = study.recipe.change(pretraining_objective="masked")
    mixtures = (*study.mixtures, Mixture(name="few", parts={"res2p": 1.0}))
    shapes = {}
    for run in plan_runs(replace(study, recipe=recipe, mixtures=mixtures)):
        shapes.setdefault(shape_of(run), []).append(run)
        assert most_in_stack(run) > 1
    for together in shapes.values():
        names = {run.mixture.name for run in together}
        assert len(together) >= len(study.seeds)
        assert together[0].kind == "pretrain" or names == {"scratch", "qcd", "few"}
