"""The shipped searches: their tables give the laws of the recipes, and one is drawn."""

import json
import runpy
import sys
from pathlib import Path

import pytest

from jetscale.planning.search import plan_search
from jetscale.scaling.tuning import equal_search, fit_rate_laws
from jetscale.study import load_optimiser
from jetscale.study.load import load_study
from jetscale.study.search import make_search
from jetscale.study.tuned import recipe_path

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "analysis" / "tuning.py"


@pytest.fixture(scope="module")
def script():
    return runpy.run_path(str(SCRIPT))


SEARCHED = ("composition", "factorial", "factorial8")
SWEEPS = [ROOT / "sweeps" / f"{name}.py" for name in SEARCHED]


@pytest.fixture(scope="module", params=SWEEPS, ids=lambda path: path.stem)
def sweep(request):
    return request.param


@pytest.fixture(scope="module")
def table(script, sweep):
    return script["read_table"](SCRIPT.with_name(f"{sweep.stem}-search.csv"))


def test_a_shipped_recipe_is_what_its_table_says(table, sweep):
    rates = load_optimiser(sweep).rates
    # where one width alone has an optimum, its exponent stays as it was
    laws = fit_rate_laws(table, fixed={"width": -rates.pretraining.width_exponent})
    for start in ("scratch", "pretrained", "pretraining"):
        cells = table[table["start"] == start]
        for width, steps in cells[["width", "steps"]].drop_duplicates().to_numpy():
            told = getattr(rates, start).at(width, steps)
            # the recipe keeps four digits
            assert told == pytest.approx(laws.rate(start, width, steps), rel=2e-3)


@pytest.mark.slow
def test_all_mixtures_of_a_shipped_study_were_searched_alike(table, sweep, monkeypatch):
    monkeypatch.setenv("COMPOSITION_PART", "5x7")  # the part whose sizes were searched
    assert equal_search(table).equal
    study = load_study(sweep)
    assert set(study.recipe.optimiser.rates.arms) == {m.name for m in study.mixtures}
    cells = {(run.size.width, run.examples) for run in (t.run for t in planned(study, sweep))}
    assert {(r.width, r.examples) for r in study.recipe.optimiser.rates.regrets} == cells


def planned(study, sweep):
    """The fine-tuning runs of a search of the cells that the recipe says."""
    told = json.loads(recipe_path(sweep).read_text())["search"]
    cells = {name: told[name] for name in ("widths", "data_sizes")}
    tried = plan_search(study, make_search(study, **cells))
    return [one for one in tried if one.run.kind == "finetune"]


@pytest.mark.long
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
