from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from jetscale.errors import StudyError
from jetscale.executor import in_process
from jetscale.jets.schema import FEATURE_SETS
from jetscale.mixtures.assemble import prepare_in_process
from jetscale.mixtures.inputs import ensure_shards, stream_plans
from jetscale.models.inputs import feature_inputs
from jetscale.models.protocol import flops_by_jet
from jetscale.models.transformer import TRANSFORMER
from jetscale.models.transformer.flops import parameters, training_flops
from jetscale.planning import plan_runs, pretraining_examples
from jetscale.planning.cost import check_budgets, typical_lengths
from jetscale.study import Mixture
from jetscale.training.engine import Engine, Source


def test_steps_and_costs_are_those_of_the_recipe(study):
    run = next(c for c in plan_runs(study) if c.kind == "finetune" and c.examples == 40)
    assert run.steps == 2 * 3  # two epochs of ceil(40 / 16)
    mean, square = typical_lengths(128).mean(), (typical_lengths(128) ** 2).mean()
    expected = training_flops(
        run.size,
        13,
        10,
        jets=80,
        constituents=round(80 * mean),
        constituents_squared=round(80 * square),
    )
    assert run.flops == expected
    assert run.params == parameters(run.size, 13, 10).total


def test_the_plan_and_the_training_take_the_same_steps(study, spec_of, jets_of):
    recipe = study.recipe.change(batch_exponent=0.5, pretraining_epochs=3)
    runs = plan_runs(replace(study, recipe=recipe))
    assert {run.kind for run in runs} == {"pretrain", "finetune"}
    for kind, examples, epochs, steps in {(r.kind, r.examples, r.epochs, r.steps) for r in runs}:
        batch = max(1, round(16 * (examples * epochs / 16_000) ** 0.5))
        spec = spec_of(batch_size=16, batch_exponent=0.5, epochs=epochs)
        order = Engine([Source(spec=spec, train=jets_of(examples))], "cpu").order
        assert epochs == (3 if kind == "pretrain" else 2)
        assert order.batch_size == batch
        assert order.steps == steps == epochs * -(-examples // batch)


@pytest.mark.parametrize("limit", [32, 128])
def test_typical_lengths_match_a_sample(limit):
    sample = np.random.default_rng(1).lognormal(np.log(42), 0.38, 200_000).clip(5, limit)
    lengths = typical_lengths(limit)
    assert lengths.mean() == pytest.approx(sample.mean(), rel=5e-3)
    assert (lengths**2).mean() == pytest.approx((sample**2).mean(), rel=5e-3)


def equal_flops(study, jets=50):
    recipe = study.recipe.change(pretraining_jets=jets, pretraining_budget="flops")
    return replace(study, recipe=recipe)


def test_equal_jets_are_the_default(study):
    lengths = np.full(50, 3)
    assert pretraining_examples(study, study.mixtures[1], study.ladder[0], lengths, 27) == 50


def test_equal_flops_give_fewer_large_jets_and_more_small_ones(study):
    study = equal_flops(study)
    spent = []
    for mean in (30, 60):
        lengths = np.random.default_rng(mean).poisson(mean, 100)
        for mixture in (
            Mixture(name="a", parts={"qcd": 1}),
            Mixture(name="b", parts={"X_YY_*": 1}),
        ):
            size, classes = study.ladder[1], len(study.labels(mixture))
            jets = pretraining_examples(study, mixture, size, lengths, classes)
            features = feature_inputs(FEATURE_SETS["kinpid"])
            flops = partial(TRANSFORMER.training_flops, size, features, classes)
            cost = np.cumsum(flops_by_jet(flops, lengths))
            spent += [cost[jets - 1], cost[jets]]
            assert (jets > 50) == (mean == 30)
    assert max(spent[::2]) <= min(spent[1::2])  # one budget lies between all of them


def test_equal_flops_need_enough_jets(study):
    with pytest.raises(StudyError, match="mixture 'qcd': its 100 pretraining jets are small"):
        pretraining_examples(
            equal_flops(study), study.mixtures[1], study.ladder[0], np.full(100, 4), 27
        )


def test_a_budget_no_mixture_can_spend_is_refused_before_training(tmp_path, given):
    controls = given.recipe.change(
        pretraining_jets=30, pretraining_budget="flops", constituents=128
    )
    study = replace(given, controls=controls)
    shards = ensure_shards(study, tmp_path, in_process, lambda *_: None)
    streams = prepare_in_process(stream_plans(study, shards), tmp_path / "streams")
    with pytest.raises(StudyError, match="mixture 'qcd': its 60 pretraining jets are small"):
        check_budgets(study, streams)
    enough = replace(study, recipe=controls.change(constituents=8))
    streams = prepare_in_process(stream_plans(enough, shards), tmp_path / "streams")
    check_budgets(enough, streams)
