from dataclasses import replace

from jetscale.jets.generator.conditions import Conditions
from jetscale.plan import plan_runs
from jetscale.plan.identity import study_identity
from jetscale.study import Mixture, Simulated


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


def test_keys_ignore_the_grid_and_follow_the_recipe(study):
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


def test_pretraining_conditions_change_pretrained_runs_alone(study):
    wide = replace(study.source, pretraining=Conditions(window="jetclass2"))
    before, after = plan_runs(study), plan_runs(replace(study, source=wide))
    same = [a.key == b.key for a, b in zip(before, after, strict=True)]
    assert same == [run.mixture.is_scratch for run in before]
    piled = replace(study.source, downstream=Conditions(pileup=20))
    assert not {c.key for c in before} & {c.key for c in plan_runs(replace(study, source=piled))}
