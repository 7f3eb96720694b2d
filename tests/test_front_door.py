import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import jetscale
from jetscale.errors import StudyError, TableError
from jetscale.store.home import Home
from jetscale.store.records import RecordStore, RunState


def test_every_name_leads_somewhere():
    names = [name for name in dir(jetscale) if not name.startswith("_")]
    assert {"fit", "allocate", "analyse", "load_study", "run", "runs"} <= set(names)
    assert all(getattr(jetscale, name) is not None for name in names)
    with pytest.raises(AttributeError, match="has no attribute 'fitt'"):
        jetscale.fitt  # noqa: B018


def test_nothing_heavy_is_imported_before_it_is_used():
    code = (
        "import sys, jetscale; print(sorted({'torch', 'ray', 'mlflow', 'pandas'} & {*sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_study_is_planned_watched_and_read(study, records, tmp_path, monkeypatch):
    monkeypatch.setenv("JETSCALE_HOME", str(tmp_path))
    store = RecordStore(Home(tmp_path).study(study))
    for record in records[:-1]:
        store.write(record)
    assert jetscale.plan(study)["runs"] == len(records)
    states = [row.state for row in jetscale.status(study).runs]
    assert states.count(RunState.DONE) == len(records) - 1
    frame = jetscale.runs(study, source="records")
    assert len(frame) == 7
    assert len(jetscale.table(study)) == 7
    assert {row.state for row in jetscale.status(study, home=tmp_path / "no").runs} == {
        RunState.MISSING
    }


def test_a_study_may_be_given_as_its_sweep_file(tmp_path):
    sweep = Path(__file__).parents[1] / "sweeps" / "quickstart.py"
    assert jetscale.plan(sweep)["runs"] == len(jetscale.status(str(sweep), home=tmp_path).runs)
    with pytest.raises(StudyError, match=r"sweep file '?x"):
        jetscale.status("x")


def test_a_table_may_come_from_anywhere(tmp_path):
    rows = [
        ("a<b", n, d, seed, 0.5 + 5 * n**-0.4 + 9 * d**-0.4 + 0.001 * seed)
        for n in (1e3, 1e4, 1e5)
        for d in (1e3, 1e4, 1e5)
        for seed in (0, 1)
    ]
    names = ["mixture", "size", "examples", "seed", "loss"]
    frame, columns = pd.DataFrame(rows, columns=names), {"params": "size"}
    frame.to_csv(path := tmp_path / "runs.csv", index=False)
    laws = jetscale.fit(frame, columns=columns, replicates=50)
    assert laws["a<b"]["alpha"].value == pytest.approx(0.4, abs=0.02)
    again = jetscale.fit(path, columns=columns, replicates=50)
    assert again["a<b"]["alpha"].value == laws["a<b"]["alpha"].value
    answer = jetscale.answer(str(path), columns=columns, budget=1e9)
    assert "Where does a budget of 1e+09 FLOPs go?" in str(answer)
    assert "a&lt;b" in answer._repr_html_()
    with pytest.raises(TableError, match="unknown column 'no'"):
        jetscale.table(frame, {"params": "no"})


def test_an_unknown_source_is_answered_with_the_nearest(study):
    with pytest.raises(StudyError, match="unknown source 'record'; did you mean 'records'"):
        jetscale.runs(study, source="record")


def test_a_sweep_file_is_loaded_by_its_name(tmp_path):
    with pytest.raises(StudyError, match="sweep file"):
        jetscale.load_study(str(tmp_path / "none.py"))


def test_a_search_is_made_and_written(wide, searched, search, tmp_path, monkeypatch):
    monkeypatch.setenv("JETSCALE_HOME", str(tmp_path / "runs"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    store = RecordStore(Home(tmp_path / "runs").study(wide))
    store.prepare()
    for record in searched:
        store.write(record)
    found = jetscale.tune(wide)
    assert found.search == search
    assert str(found).startswith("Peak rates: scratch ")
    found.write(tmp_path / "wide.recipe.json")
    assert (tmp_path / "wide.recipe.json").is_file()
    assert jetscale.as_json(found)["sentence"] == found.sentence
