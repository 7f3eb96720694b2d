from pathlib import Path
from types import SimpleNamespace

import pytest

from jetscale.planning import plan_runs
from jetscale.study.load import load_study
from jetscale.tracking.names import name_parent, name_run

SWEEPS = sorted((Path(__file__).parents[2] / "sweeps").glob("*.py"))


@pytest.mark.slow
@pytest.mark.parametrize("sweep", SWEEPS, ids=lambda path: path.stem)
def test_names_of_a_sweep_differ_where_the_ui_cuts_them(sweep):
    runs = plan_runs(load_study(sweep))
    names = {
        name_run(
            SimpleNamespace(
                kind=run.kind,
                mixture=run.mixture.name,
                params=run.params,
                examples=run.examples,
                seed=run.seed,
            )
        )[:20]
        for run in runs
    }
    assert len(names) == len(runs)


def test_a_later_parent_is_named_by_what_changed():
    before = {
        "recipe.a.rate": "0.1",
        "recipe.b.rate": "1",
        "mixtures": "['x']",
        "recipe.c.old": "1",
    }
    now = {"recipe.a.rate": "0.2", "recipe.b.rate": "1", "mixtures": "['y']"}
    assert name_parent("study x", now, [before, now]) == "study 3 rate=0.2, old=unset"
    assert name_parent("tune x", now, [now]).startswith("tune 2 20")  # nothing: the date
