"""The factorial sweep: its design, before any jet is made."""

from dataclasses import replace
from pathlib import Path

import pytest

from jetscale.planning import plan_runs
from jetscale.planning.timing import CORE
from jetscale.study.load import load_study

SWEEP = Path(__file__).parents[2] / "sweeps" / "factorial.py"


@pytest.fixture(scope="module")
def study():
    return load_study(SWEEP)


@pytest.fixture(scope="module")
def labels(study):
    return {mixture.name: set(study.labels(mixture)) for mixture in study.pretrained}


def test_few_labels_and_many_labels(labels):
    assert {name: len(found) for name, found in labels.items()} == {
        "few-far": 3,
        "many-far": 47,
        "few-near": 4,
        "many-near": 16,
    }


@pytest.mark.parametrize("kind", ["far", "near"])
def test_few_labels_are_some_of_the_many_of_the_same_kind(labels, kind):
    assert labels[f"few-{kind}"] < labels[f"many-{kind}"]


def test_no_label_is_of_both_kinds_but_some_lepton_pairs(labels):
    shared = labels["many-far"] & labels["many-near"]
    assert shared == {"X_YY_qqee", "X_YY_qqmm"}
    assert not labels["few-far"] & labels["few-near"]


def test_near_jets_are_hadronic_resonances_but_for_those(labels):
    for label in labels["many-near"] - labels["many-far"]:
        assert set(label.removeprefix("X_").removeprefix("YY_")) <= set("bcsqg")


def test_far_jets_are_qcd_or_hold_a_lepton_pair(labels):
    assert all(label.startswith("QCD") for label in labels["few-far"])
    for label in labels["many-far"]:
        assert label.startswith("QCD") or label.endswith(("ee", "mm"))


@pytest.mark.slow
def test_all_mixtures_cost_the_same_but_for_the_head(study):
    pretraining = [run for run in plan_runs(study) if run.kind == "pretrain"]
    for size in study.ladder:
        same = [run for run in pretraining if run.size == size]
        assert len({(run.examples, run.steps, run.seed) for run in same}) == len(study.seeds)
        flops = [run.flops for run in same]
        assert max(flops) < 1.03 * min(flops)


@pytest.mark.slow
def test_it_fits_a_laptop(study):
    assert sum(map(CORE.seconds, plan_runs(study))) < 45 * 60


def test_every_seed_has_an_order_of_jets_of_its_own(study):
    grid = {subset for _, subset in study.replicates()}
    assert len(grid) == len(study.seeds)


def test_its_losses_can_be_set_beside_those_of_the_composition_study(study):
    composition = load_study(SWEEP.with_name("composition.py"))
    assert study.source == composition.source
    assert set(study.ladder) < set(composition.ladder)
    same, other = study.recipe, composition.recipe
    assert same.schedule == other.schedule
    assert same.evaluation == other.evaluation
    assert same.change(pretraining_jets=other.data.pretraining_jets).data == other.data


def test_eight_epochs_change_nothing_but_the_epochs_and_the_rates_searched_for_them(study):
    eight = load_study(SWEEP.with_name("factorial8.py"))
    assert eight.recipe.schedule.epochs == 8
    assert replace(eight.recipe.change(epochs=2), optimiser=study.recipe.optimiser) == study.recipe
    assert replace(eight, name=study.name, recipe=study.recipe) == study
