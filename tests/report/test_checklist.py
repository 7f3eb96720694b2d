"""The checklist of scaling-law reporting."""

import pytest

from jetscale.analysis import analyse
from jetscale.planning.identity import flatten
from jetscale.report.decisions import checklist
from jetscale.scaling import Options
from jetscale.study.rates import STARTS, RateLaw, Rates
from jetscale.study.recipe import Data, Evaluation, Model, Optimiser, Recipe, Schedule

pytestmark = pytest.mark.slow


def answers(page):
    return {row[0].strip(): row[1].strip() for row in page.rows["checklist"] if len(row) == 2}


def test_items_are_filled_from_runs_fits_and_controls(full):
    _, page = full
    found = answers(page)
    assert found["model sizes"] == "4, from 10k to 1M"
    assert found["seeds"] == "2 per cell"
    assert found["runs left out of the fits"] == "none"
    assert found["optimiser"] == "clip: 1.0"
    assert found["schedule"] == "epochs: 4"
    assert "Huber" in found["objective"]
    assert "of the starts followed reach the optimum" in found["starts"]
    assert found["held-out check"] == "in the section on trust"
    assert found["three routes to the frontier"] == "in the section on the frontier"


@pytest.mark.long
def test_the_rule_for_the_width_stands_beside_the_learning_rate(study):
    recipe = Recipe(
        data=Data(pretraining_jets=50), evaluation=Evaluation(validation_jets=10, test_jets=20)
    )
    held_fixed = flatten(recipe.to_dict()) | {"training.version": 1}
    results = analyse(study[study["mixture"] == "qcd"], Options(replicates=50))
    found = {item.name: item for item in checklist(results, held_fixed)}
    optimiser = recipe.optimiser
    assert found["learning rate"].text == (
        f"learning_rate: {optimiser.learning_rate}; width_exponent: {optimiser.width_exponent}"
    )
    assert f"epochs: {recipe.schedule.epochs}; batch_size: " in found["schedule"].text
    assert found["schedule"].text.startswith("linear warm-up, then a cosine to zero")
    assert f"weight_decay: {optimiser.weight_decay}" in found["optimiser"].text
    assert found["optimiser"].text.startswith("AdamW")
    assert found["evaluation set"].text.endswith("test_jets: 20")
    assert "architecture: transformer" in found["architecture"].text
    asked = ("schedule", "learning rate", "optimiser", "architecture", "evaluation set")
    assert not any(found[item].warns for item in asked)
    assert found["units"].text.startswith("N parameters")
    unknown = {item.name: item for item in checklist(results, None)}
    assert unknown["units"].text.startswith("those of the run table")
    assert unknown["learning rate"].warns


@pytest.mark.long
def test_settings_that_came_later_are_told_where_they_are_set(study):
    laws = {start: RateLaw(learning_rate=0.02, width_exponent=0.0) for start in STARTS}
    recipe = Recipe(
        data=Data(pretraining_jets=50),
        evaluation=Evaluation(validation_jets=10, test_jets=20),
        model=Model(parametrization="complete"),
        optimiser=Optimiser(average=0.1, rates=Rates(**laws)),
        schedule=Schedule(batch_exponent=0.5),
    )
    results = analyse(study[study["mixture"] == "qcd"], Options(replicates=50))
    found = {item.name: item.text for item in checklist(results, flatten(recipe.to_dict()))}
    assert "average: 0.1" in found["optimiser"]
    assert "batch_exponent: 0.5" in found["schedule"]
    assert "parametrization: complete" in found["architecture"]
    # laws of their own are in place of the one of the recipe
    assert found["learning rate"].startswith("rates.scratch.learning_rate: 0.02; rates.scratch.")
    assert "0.01" not in found["learning rate"]


@pytest.mark.long
def test_what_nobody_recorded_is_marked(study, report):
    text, page = report(study)
    found = answers(page)
    for item in ("schedule", "learning rate", "evaluation set", "checkpoints", "shared trunks"):
        assert found[item] == "not recorded with these runs"
    assert '<span class="open">not recorded with these runs</span>' in text


@pytest.mark.long
def test_shared_trunks_are_counted(study, report):
    shared = study.assign(trunk=study["params"].astype(str) + study["seed"].astype(str))
    alone = shared["trunk"] == shared["trunk"].iloc[0]
    shared.loc[alone, "trunk"] = [f"own {i}" for i in range(alone.sum())]
    _, page = report(shared)
    shown = len(shared) - alone.sum()
    assert answers(page)["shared trunks"].startswith(f"{shown} of {len(shared)} runs start from")


@pytest.mark.parametrize("gone", ["held-out check", "starts"])
def test_without_a_law_no_item_pretends_one(study, report, gone):
    two = study[study["params"].isin(sorted(study["params"].unique())[:2])]
    _, page = report(two)
    found = answers(page)
    assert found["form"] == "no law fitted"
    assert gone not in found
