from dataclasses import replace
from pathlib import Path

import pytest

from jetscale.errors import DataError
from jetscale.jets.generator.conditions import Conditions
from jetscale.planning import plan_runs
from jetscale.planning.identity import flatten, recipe_of
from jetscale.planning.overview import overview
from jetscale.study import Folders, Mixture, ModelSize
from jetscale.study.load import load_study
from jetscale.words import counted

RATES = "learning rates were not searched"
BEYOND = {  # what the sweeps of the repository know that they leave
    "quickstart": [
        "the rates were searched with epochs=2, the study has epochs=8",
        "width 4 lies outside of the search of rates (6 to 40)",
    ],
    "composition": ["width 64, 96 lies outside of the search of rates (6 to 40)"],
    "composition8": ["width 4, 40 lies outside of the search of rates (6 to 24)"],
    "variations-epochs": ["the rates were searched with epochs=2, the study has epochs=8"],
    "supply": ["1 model size"],
    "families-transformer": [
        "the rates were searched with epochs=2, the study has epochs=8",
        "width 4 lies outside of the search of rates (6 to 40)",
    ],
}
QUICKSTART = Path(__file__).parents[2] / "sweeps" / "quickstart.py"


@pytest.mark.slow
def test_rows_add_up_to_the_plan(real_sweep):
    study = load_study(real_sweep)
    plan = overview(study)
    planned = plan_runs(study)
    assert plan["runs"] == len(planned) == sum(row["runs"] for row in plan["rows"])
    flops = sum(row["finetuning_flops"] + row["pretraining_flops"] for row in plan["rows"])
    assert abs(flops / plan["flops"] - 1) < 1e-12
    hours = sum(row["core_hours"] for row in plan["rows"])
    assert abs(hours / plan["core_hours"] - 1) < 1e-12
    scratch = [row for row in plan["rows"] if row["mixture"] == "scratch"]
    assert all(row["pretraining_flops"] == 0 for row in scratch)


@pytest.mark.slow
def test_the_schedule_of_small_runs_gives_each_a_worker_and_splits_the_time(real_sweep):
    study = load_study(real_sweep)
    plan = overview(study, 2)
    assert plan["schedule"]["workers"] == {1: plan["runs"]}
    assert plan["schedule"]["slots"] == 2
    assert plan["schedule"]["hours"] == pytest.approx(plan["core_hours"] / 2, rel=0.01)


def test_a_long_run_gets_workers_where_there_are_slots(study):
    recipe = study.recipe.change(epochs=100_000, batch_size=20)
    long = replace(study, recipe=recipe)
    schedule = overview(long, 64)["schedule"]
    assert max(schedule["workers"]) > 1
    assert sum(schedule["workers"].values()) == len(plan_runs(long))
    alone = overview(replace(long, workers_per_run=1), 64)["schedule"]
    assert schedule["hours"] < alone["hours"]


@pytest.mark.slow
def test_steps_span_the_data_sizes(real_sweep):
    study = load_study(real_sweep)
    recipe = study.recipe
    expected = [
        epochs * -(-size // recipe.schedule.batch(size, epochs))
        for size in (min(study.data_sizes), max(study.data_sizes))
        for epochs in (recipe.schedule.passes(size),)
    ]
    assert all(row["steps"] == expected for row in overview(study)["rows"])


@pytest.mark.slow
def test_the_mixtures_are_spelled_out_and_small_grids_are_warned_of(real_sweep):
    study = load_study(real_sweep)
    plan = overview(study)
    assert plan["mixtures"] == {m.name: dict(m.parts) for m in study.mixtures}
    grid = [line for line in plan["warnings"] if "optimiser steps" not in line]
    searched = study.recipe.optimiser.rates is not None
    known = BEYOND.get(study.name, [])
    assert [line.split(":")[0] for line in grid] == (known if searched else [RATES])
    small = replace(study, ladder=study.ladder[:2], seeds=study.seeds[:1])
    lines = [line.split(":")[0] for line in overview(small)["warnings"]]
    assert counted(len(small.ladder), "model size") in lines
    assert "1 seed" in lines


@pytest.mark.slow
def test_the_recipe_is_spelled_out(real_sweep):
    study = load_study(real_sweep)
    plan = overview(study)
    assert plan["recipe"] == flatten(recipe_of(study))
    assert plan["recipe"]["optimiser.clip"] == study.recipe.optimiser.clip
    assert plan["labels"] == {m.name: list(study.labels(m)) for m in study.mixtures}


def test_what_run_would_refuse_is_refused_in_the_plan(tmp_path):
    study = load_study(QUICKSTART)
    folders = Folders(
        train=str(tmp_path / "a"),
        validation="b",
        test="c",
        pretrain={"qcd": "d", "res2p": "e", "res34p": "f"},
    )
    with pytest.raises(DataError, match=r"shard folder .*a does not exist"):
        overview(replace(study, source=folders))


def test_the_conditions_of_pretraining_jets_are_shown():
    study = load_study(QUICKSTART)
    source = replace(study.source, pretraining=Conditions(window="jetclass2", pileup=5))
    plan = overview(replace(study, source=source))
    assert plan["pretraining"] == {"window": "jetclass2", "pileup": 5}
    assert plan["subsets"] == study.subsets


def test_runs_of_too_few_steps_are_named(study):
    recipe = study.recipe.change(batch_size=4)
    lines = overview(replace(study, recipe=recipe))["warnings"]
    assert [line.partition(";")[0] for line in lines if "steps" in line] == [
        "D=20, 2 epochs, batch 4: 10 optimiser steps, fewer than 50",
        "D=40, 2 epochs, batch 4: 20 optimiser steps, fewer than 50",
        "pretraining, D=50, 2 epochs, batch 4: 26 optimiser steps, fewer than 50",
    ]
    enough = replace(study, recipe=recipe.change(batch_size=1, epochs=3))
    assert not [line for line in overview(enough)["warnings"] if "steps" in line]


def test_a_plan_says_where_it_leaves_the_search_of_its_rates():
    study = load_study(QUICKSTART)
    study = replace(study, recipe=study.recipe.change(epochs=2))
    assert overview(replace(study, ladder=study.ladder[1:]))["warnings"] == []
    wider = replace(
        study,
        mixtures=(*study.mixtures, Mixture(name="tau", parts={"X_YY_*tau*": 1.0})),
        ladder=(*study.ladder[1:], ModelSize(width=64, layers=2, heads=4)),
        data_sizes=(250, *study.data_sizes),
    )
    assert overview(wider)["warnings"] == [
        "mixture tau was not searched for its learning rate; tune again",
        "width 64 lies outside of the search of rates (6 to 40)",
        "data size 250 lies outside of the search of rates (500 to 32000)",
    ]
