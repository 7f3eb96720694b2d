"""The runs of a search: each once, trunks shared, and those of the study kept."""

from dataclasses import replace

import pytest

from jetscale.planning import plan_runs
from jetscale.planning.former import former_keys
from jetscale.planning.search import plan_search
from jetscale.study.search import make_search


@pytest.fixture
def planned(study):
    wide = replace(study, data_sizes=(10, 20, 40))
    return wide, plan_search(wide, make_search(wide))


def test_every_arm_gets_the_same_points(planned):
    study, tried = planned
    seen = {
        mixture.name: sorted(
            (t.point.rate, t.run.size.width, t.run.examples, t.run.seed)
            for t in tried
            if t.run.mixture == mixture
            and t.run.kind == "finetune"
            and t.point.pretraining_rate == 1
        )
        for mixture in study.mixtures
    }
    assert seen["scratch"] == seen["qcd"]
    assert len(seen["scratch"]) == 5 * 2 * 3 * 2


def test_trunks_are_shared_between_rates_of_fine_tuning(planned):
    _, tried = planned
    trunks = [t.run for t in tried if t.run.kind == "pretrain"]
    assert len(trunks) == 5 * 2 * 2  # pretraining rates x sizes x seeds
    assert len({run.key for run in trunks}) == len(trunks)
    keys = [t.run.key for t in tried]
    assert all(t.run.trunk is None or keys.index(t.run.trunk) < i for i, t in enumerate(tried))


def test_scratch_has_no_rate_of_pretraining(planned):
    _, tried = planned
    scratch = [t for t in tried if t.run.start == "scratch"]
    assert {t.point.pretraining_rate for t in scratch} == {1.0}


def test_runs_of_the_search_that_are_runs_of_the_study_have_its_keys(planned):
    study, tried = planned
    own = {run.key for run in plan_runs(study)}
    shared = [t for t in tried if t.run.key in own]
    assert {t.run.key for t in shared} == own
    assert all((t.point.rate, t.point.pretraining_rate) == (1, 1) for t in shared)


def test_results_of_version_0_1_are_not_taken_for_runs_at_other_rates(planned):
    study, tried = planned
    keys = former_keys(study, [t.run for t in tried])
    assert keys.keys() == {run.key for run in plan_runs(study)}
