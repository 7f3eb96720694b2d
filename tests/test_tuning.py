"""From the table of a search to a recipe: known laws are found, and written for the study."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from jetscale.errors import FitError
from jetscale.study import load_optimiser
from jetscale.study.search import make_search
from jetscale.sweep.tune import search_table
from jetscale.tuning import tuned

pytestmark = pytest.mark.slow

BEST = {"scratch": 0.0075, "pretrained": 0.00375}  # `fixtures.searches`, at 1000 steps


@pytest.fixture
def table(tried, searched):
    return search_table(tried, {record.key: record for record in searched})


@pytest.fixture
def found(wide, search, table):
    return tuned(wide, search, table)


def test_the_laws_of_all_starts_are_found(found):
    law = found.recipe.optimiser.law
    for start in ("scratch", "pretrained"):
        assert law(start).learning_rate == pytest.approx(BEST[start], rel=0.05)
        assert law(start).width_exponent == pytest.approx(0.6, abs=0.05)
        assert law(start).steps_exponent == pytest.approx(0.3, abs=0.05)
    assert law("pretraining").learning_rate == pytest.approx(0.005, rel=0.05)
    assert law("pretraining").steps_exponent == 0.0  # all trunks take equally many steps
    assert not found.laws.shared  # scratch wants twice the rate of fine-tuning


def test_every_arm_was_searched_alike(found):
    assert found.arms == ("scratch", "qcd")
    assert found.recipe.optimiser.rates.arms == ("scratch", "qcd")


def test_training_by_the_law_costs_next_to_nothing(found):
    costs = [r.regret for r in found.regrets if r.within]
    assert len(costs) == len(found.regrets)
    assert max(costs) < 0.01


def test_a_search_that_misses_points_is_not_equal(wide, search, table):
    part = table[(table["mixture"] != "scratch") | (table["factor"] != 4)]
    found = tuned(wide, search, part)
    assert found.arms == ()
    assert "not searched alike" in str(found.equal)


def test_a_rate_that_diverges_is_worse_than_all_others(wide, search, table):
    table = table.copy()
    table.loc[(table["factor"] == 4) & (table["start"] == "scratch"), "loss"] = math.inf
    found = tuned(wide, search, table)
    assert found.diverged == 3 * 3 * 2
    assert found.recipe.optimiser.law("scratch").learning_rate == pytest.approx(
        BEST["scratch"], rel=0.3
    )


def test_open_ends_are_named_with_the_option_that_searches_on(wide, table):
    narrow = make_search(wide, rates=(0.25, 0.5, 1.0))
    part = table[table["factor"] <= 1]
    options = tuned(wide, narrow, part).widening
    assert options.startswith("--rates 0.25,0.5,1,2,4")


def test_a_setting_is_taken_only_where_it_is_clearly_better(wide, search, table):
    base = table[(table["factor"] == 1) & (table["start"] != "pretraining")]
    random = np.random.default_rng(2)
    parts = [table]
    tried = {"weight_decay": (0.1, 0.3), "warmup": (0.2,)}
    search = make_search(wide, tried=tried)
    for setting, gain in (("weight_decay=0.1", 0.98), ("weight_decay=0.3", 1.0), ("warmup=0.2", 1)):
        noise = random.normal(0, 0.005, len(base))
        parts.append(base.assign(setting=setting, loss=base["loss"] * gain * np.exp(noise)))
    found = tuned(wide, search, pd.concat(parts, ignore_index=True))
    assert found.taken == {"weight_decay": 0.1}
    assert [one.setting for one in found.settings] == [
        "weight_decay=0.1",
        "weight_decay=0.3",
        "warmup=0.2",
    ]
    assert found.recipe.optimiser.weight_decay == 0.1
    assert found.recipe.schedule.warmup == wide.recipe.schedule.warmup


def test_the_recipe_file_gives_the_study_what_was_found(found, wide, tmp_path):
    found.write(tmp_path / "wide.recipe.json")
    optimiser = load_optimiser(tmp_path / "wide.py")
    assert optimiser == found.recipe.optimiser
    regret = optimiser.rates.regret_at("qcd", 16, 500)
    assert (regret.width, regret.examples) == (16, 500)
    again = replace(wide, recipe=replace(wide.recipe, optimiser=optimiser))
    assert again.recipe.optimiser.rates.search == found.search.digest


def test_runs_that_determine_no_law_are_refused(wide, search, table):
    flat = table.assign(loss=1.0 + 0.01 * table["seed"])
    with pytest.raises(FitError, match="with an optimum"):
        tuned(wide, search, flat)


@pytest.mark.long
def test_a_law_that_the_runs_leave_open_is_named(found, wide, search, table):
    assert found.loose == {}
    assert found.loose_sentence == ""
    random = np.random.default_rng(3)
    noisy = table.assign(loss=table["loss"] * np.exp(random.normal(0, 0.08, len(table))))
    loose = tuned(wide, search, noisy)
    assert loose.loose
    assert all(factor > 2 for factor in loose.loose.values())
    assert "do not rely on it: the law of" in loose.loose_sentence
