"""The shipped search of the quickstart: its table gives the laws of the recipe, and is drawn."""

import runpy
import sys
from pathlib import Path

import pytest

from jetscale.plan.search import plan_search
from jetscale.scaling.tuning import equal_search, fit_rate_laws
from jetscale.study import load_optimiser
from jetscale.study.load import load_study
from jetscale.study.search import make_search

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "analysis" / "tuning.py"
SWEEP = ROOT / "sweeps" / "quickstart.py"


@pytest.fixture(scope="module")
def script():
    return runpy.run_path(str(SCRIPT))


@pytest.fixture(scope="module")
def table(script):
    return script["read_table"](script["TABLE"])


def test_the_recipe_of_the_quickstart_is_what_its_table_says(table):
    rates, laws = load_optimiser(SWEEP).rates, fit_rate_laws(table)
    for start in ("scratch", "pretrained", "pretraining"):
        for width, steps in ((8, 1500), (32, 1500)):
            told = getattr(rates, start).at(width, steps)
            # the recipe keeps four digits
            assert told == pytest.approx(laws.rate(start, width, steps), rel=2e-3)


def test_all_mixtures_of_the_quickstart_were_searched_alike(table):
    assert equal_search(table).equal
    study = load_study(SWEEP)
    assert study.recipe.optimiser.rates.arms == tuple(m.name for m in study.mixtures)
    cells = {(run.size.width, run.examples) for run in (t.run for t in planned(study))}
    assert {(r.width, r.examples) for r in study.recipe.optimiser.rates.regrets} == cells


def planned(study):
    tried = plan_search(study, make_search(study))
    return [one for one in tried if one.run.kind == "finetune"]


def test_figures_and_tables_are_made(script, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(sys, "argv", ["tuning.py", "--out", str(tmp_path)])
    script["main"]()
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"search-rates.png", "search-pretraining.png", "search-laws.png"}
    out = capsys.readouterr().out
    assert out.startswith("| start | rate at width 16")
    told = (ROOT / "analysis" / "tuning.md").read_text()
    laws, regrets = out.strip().split("\n\n")
    assert laws in told
    assert regrets in told
