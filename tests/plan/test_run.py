from dataclasses import replace

import numpy as np
import pytest

from jetscale.errors import StudyError
from jetscale.jets.generator.conditions import Conditions
from jetscale.models.transformer import flops
from jetscale.plan import (
    chains,
    expected_constituents,
    pack,
    plan_runs,
    pretraining_examples,
    seconds,
    study_identity,
)
from jetscale.study import Controls, Mixture, ModelSize, Simulated, Study
from jetscale.words import short


@pytest.fixture
def study():
    return Study(
        name="tiny",
        source=Simulated(train_jets=100),
        mixtures=(Mixture(name="scratch"), Mixture(name="qcd", parts={"qcd": 1})),
        ladder=(ModelSize(width=8, layers=1, heads=1), ModelSize(width=16, layers=2, heads=2)),
        data_sizes=(40, 20),
        seeds=(1, 2),
        subsets=2,
        controls=Controls(pretraining_jets=50, validation_jets=10, test_jets=10),
    )


def test_the_grid_is_complete_and_trunks_come_first(study):
    planned = plan_runs(study)
    assert sum(run.kind == "pretrain" for run in planned) == 2 * 2
    assert sum(run.kind == "finetune" for run in planned) == 2 * 2 * 2 * 2
    seen = set()
    for run in planned:
        assert run.trunk is None or run.trunk in seen
        assert (run.trunk is None) == (run.mixture.is_scratch or run.kind == "pretrain")
        seen.add(run.key)
    assert len(seen) == len(planned)


def test_steps_and_costs_are_those_of_the_controls(study):
    run = next(c for c in plan_runs(study) if c.kind == "finetune" and c.examples == 40)
    assert run.steps == 2 * 3  # two epochs of ceil(40 / 16)
    mean, square = expected_constituents(128)
    expected = flops.training_flops(
        run.size,
        13,
        10,
        jets=80,
        constituents=round(80 * mean),
        constituents_squared=round(80 * square),
    )
    assert run.flops == expected
    assert run.params == flops.parameters(run.size, 13, 10).total


def test_keys_ignore_the_grid_and_follow_the_controls(study):
    keys = {run.key for run in plan_runs(study)}
    wider = replace(study, data_sizes=(20, 40, 80), seeds=(1, 2, 3))
    assert keys < {run.key for run in plan_runs(wider)}
    other = replace(study, recipe=study.recipe.change(weight_decay=0.1))
    assert not keys & {run.key for run in plan_runs(other)}
    assert study_identity(study) != study_identity(other)
    assert study_identity(study) == study_identity(wider)


def test_keys_follow_the_pretraining_jets_of_their_own_mixture(study):
    before = {c.key for c in plan_runs(study)}
    small = Mixture(name="small", parts={"res2p": 1, "qcd": 1})
    same_pool = replace(study, mixtures=(*study.mixtures, small))
    assert before < {c.key for c in plan_runs(same_pool)}
    large = Mixture(name="large", parts={"res2p": 1})
    after = replace(same_pool, mixtures=(*same_pool.mixtures, large))
    changed = {c.key for c in plan_runs(same_pool)} - {c.key for c in plan_runs(after)}
    assert {c.mixture.name for c in plan_runs(same_pool) if c.key in changed} == {"small"}


def test_the_source_of_the_jets_is_part_of_the_key(study):
    other = replace(study, source=Simulated(train_jets=100, seed=2))
    assert not {c.key for c in plan_runs(study)} & {c.key for c in plan_runs(other)}


def test_packing_keeps_chains_together_and_balances(study):
    planned = plan_runs(study)
    trials = pack(planned, 2)
    assert len(trials) == 2
    packed = [run for trial in trials for run in trial.runs]
    assert sorted(c.key for c in packed) == sorted(c.key for c in planned)
    for trial in trials:
        done = set()
        for run in trial.runs:
            assert run.trunk is None or run.trunk in done
            done.add(run.key)
    loads = [sum(map(seconds, trial.runs)) for trial in trials]
    longest = max(sum(map(seconds, chain)) for chain in chains(planned))
    assert max(loads) - min(loads) <= longest
    assert len({trial.name for trial in trials}) == 2


def test_long_sweeps_get_several_waves_of_trials(study):
    planned = plan_runs(study)
    assert len(pack(planned, 2, longest=sum(map(seconds, planned)) / 6)) == 6
    assert len(pack(planned, 100)) == len(chains(planned))
    assert pack((), 4) == ()


@pytest.mark.parametrize("limit", [32, 128])
def test_expected_constituents_match_a_sample(limit):
    sample = np.random.default_rng(1).lognormal(np.log(42), 0.38, 200_000).clip(5, limit)
    mean, square = expected_constituents(limit)
    assert mean == pytest.approx(sample.mean(), rel=5e-3)
    assert square == pytest.approx((sample**2).mean(), rel=5e-3)


def test_short_counts():
    assert [short(x) for x in (656, 2592, 1.2e6, 0.5)] == ["656", "2.59k", "1.2M", "0.5"]
    assert [short(x, 2) for x in (888e6, 999.9, 12345)] == ["890M", "1k", "12k"]


def equal_flops(study, jets=50):
    controls = study.recipe.change(pretraining_jets=jets, pretraining_budget="flops")
    return replace(study, controls=controls)


def test_equal_jets_are_the_default(study):
    lengths = np.full(50, 3)
    assert pretraining_examples(study, study.mixtures[1], study.ladder[0], lengths) == 50


def test_equal_flops_give_fewer_large_jets_and_more_small_ones(study):
    study = equal_flops(study)
    spent = []
    for mean in (30, 60):
        lengths = np.random.default_rng(mean).poisson(mean, 100)
        for mixture in (Mixture(name="a", parts={"qcd": 1}), Mixture(name="b", parts={"X_*": 1})):
            size, classes = study.ladder[1], len(mixture.labels)
            jets = pretraining_examples(study, mixture, size, lengths)
            cost = flops.cumulative_training_flops(size, 13, classes, lengths)
            spent += [cost[jets - 1], cost[jets]]
            assert (jets > 50) == (mean == 30)
    assert max(spent[::2]) <= min(spent[1::2])  # one budget lies between all of them


def test_equal_flops_need_enough_jets(study):
    with pytest.raises(StudyError, match="mixture 'qcd': its 100 pretraining jets are small"):
        pretraining_examples(
            equal_flops(study), study.mixtures[1], study.ladder[0], np.full(100, 4)
        )


def test_pretraining_conditions_change_pretrained_runs_alone(study):
    wide = replace(study.source, pretraining=Conditions(window="jetclass2"))
    before, after = plan_runs(study), plan_runs(replace(study, source=wide))
    same = [a.key == b.key for a, b in zip(before, after, strict=True)]
    assert same == [run.mixture.is_scratch for run in before]
    piled = replace(study.source, downstream=Conditions(pileup=20))
    assert not {c.key for c in before} & {c.key for c in plan_runs(replace(study, source=piled))}
