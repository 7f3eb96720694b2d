from dataclasses import replace

import pytest

from jetscale.errors import StudyError
from jetscale.jets.generator.conditions import Conditions
from jetscale.models.protocol import ARCHITECTURES
from jetscale.models.transformer import Transformer
from jetscale.planning import plan_runs
from jetscale.planning.identity import study_identity
from jetscale.study import Mixture, RateLaw, Rates, Simulated
from jetscale.study.rates import STARTS


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


def laws(**changes):
    """The rates of a plain recipe, one law per start, with some changed."""
    same = {start: RateLaw(learning_rate=0.01) for start in STARTS}
    return Rates(**same | {s: RateLaw(learning_rate=rate) for s, rate in changes.items()})


def keys_by_start(study):
    found = {start: set() for start in STARTS}
    for run in plan_runs(study):
        found[run.start].add(run.key)
    return found


def test_one_law_for_all_starts_is_the_same_recipe_as_none(study):
    tuned = replace(study, recipe=study.recipe.change(rates=laws()))
    assert keys_by_start(tuned) == keys_by_start(study)
    assert study_identity(tuned) != study_identity(study)


@pytest.mark.parametrize(
    ("changed", "new"),
    [
        ("scratch", {"scratch"}),
        ("pretrained", {"pretrained"}),
        ("pretraining", {"pretraining", "pretrained"}),
    ],
)
def test_a_rate_of_one_start_changes_the_keys_of_what_it_decides(study, changed, new):
    before = keys_by_start(study)
    tuned = replace(study, recipe=study.recipe.change(rates=laws(**{changed: 0.02})))
    after = keys_by_start(tuned)
    assert {start for start in STARTS if not before[start] & after[start]} == new
    assert all(before[start] == after[start] for start in set(STARTS) - new)


def test_a_run_knows_its_peak_rate(study):
    tuned = replace(study, recipe=study.recipe.change(rates=laws(scratch=0.03)))
    for run in plan_runs(tuned):
        base = 0.03 if run.start == "scratch" else 0.01
        assert run.peak_rate == base * (16 / run.size.width) ** 0.75


def test_another_parametrization_makes_other_runs_of_the_same_cost(study):
    flat = replace(study, recipe=study.recipe.change(width_exponent=0.0))
    complete = replace(study, recipe=flat.recipe.change(parametrization="complete"))
    pairs = list(zip(plan_runs(flat), plan_runs(complete), strict=True))
    assert all(a.key != b.key for a, b in pairs)
    assert all((a.params, a.flops, a.steps) == (b.params, b.flops, b.steps) for a, b in pairs)


def test_a_parametrization_that_the_architecture_lacks_is_refused_in_the_plan(study, monkeypatch):
    class Plain(Transformer):
        name = "plain"

        def build(self, size, features, outputs, *, trunk_seed, head_seed):
            return object()

    monkeypatch.setattr(ARCHITECTURES, "known", {**ARCHITECTURES.known, "plain": Plain()})
    recipe = study.recipe.change(architecture="plain", width_exponent=0.0)
    plan_runs(replace(study, recipe=recipe))
    recipe = recipe.change(parametrization="complete")
    with pytest.raises(StudyError, match="'plain': parametrization 'complete' needs models with"):
        plan_runs(replace(study, recipe=recipe))
