import pkgutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import jetscale
from jetscale.cli import cli
from jetscale.errors import FitError, StudyError, TableError
from jetscale.scaling import StudyFit, make_grid
from jetscale.store.home import Home
from jetscale.store.records import RecordStore, RunState

COMMANDS = {
    *("plan", "run", "runs", "status", "measure", "tune", "fit", "compare", "allocate", "power"),
    *("export", "predict"),
}


def test_every_name_leads_somewhere():
    names = [name for name in dir(jetscale) if not name.startswith("_")]
    assert {*COMMANDS, "load_study", "paired", "answer", "make_report"} <= set(names)
    assert set(cli.commands) >= COMMANDS
    assert set(jetscale.__all__) <= set(names)
    assert all(getattr(jetscale, name) is not None for name in names)
    assert {name for name in COMMANDS if f"js.{name}(" not in jetscale.__doc__} == set()
    with pytest.raises(AttributeError, match="has no attribute 'fitt'"):
        jetscale.fitt  # noqa: B018


@pytest.mark.long
def test_no_room_stands_in_the_place_of_a_function():
    names = {room.name for room in pkgutil.iter_modules(jetscale.__path__)} - {"__main__"}
    rooms = [f"import jetscale.{name}" for name in sorted(names)]
    code = (
        f"{'; '.join(rooms)}\nimport inspect\n"
        "print([n for n in jetscale.__all__ if inspect.ismodule(getattr(jetscale, n))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


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
    told = jetscale.status(study)
    assert str(told).startswith("study tiny: 9 done, 0 damaged")
    assert told.to_frame()["state"].tolist().count("missing") == 1
    plan = jetscale.plan(study).to_frame()
    assert plan["runs"].sum() == len(records)
    assert (plan["fewest_steps"] <= plan["most_steps"]).all()
    assert len(jetscale.table(study)) == 7
    assert {row.state for row in jetscale.status(study, home=tmp_path / "no").runs} == {
        RunState.MISSING
    }


def test_a_study_may_be_given_as_its_sweep_file(tmp_path):
    sweep = Path(__file__).parents[1] / "sweeps" / "quickstart.py"
    assert jetscale.plan(sweep)["runs"] == len(jetscale.status(str(sweep), home=tmp_path).runs)
    with pytest.raises(StudyError, match=r"sweep file '?x"):
        jetscale.status("x")


@pytest.mark.slow
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


@pytest.fixture(scope="module")
def made():
    rows = [
        (name, n, d, seed, height * (0.5 + 5 * n**-0.4 + 9 * d**-0.4) * (1 + 0.01 * seed))
        for name, height in (("a", 1.0), ("b", 0.9))
        for n in (1e3, 1e4, 1e5)
        for d in (1e3, 1e4, 1e5)
        for seed in (0, 1)
    ]
    return pd.DataFrame(rows, columns=["mixture", "N", "D", "seed", "loss"])


NAMES = {"params": "N", "examples": "D"}
QUESTIONS = {
    "fit": lambda runs, **how: jetscale.fit(runs, replicates=50, **how),
    "paired": jetscale.paired,
    "compare": lambda runs, **how: jetscale.compare(runs, 1e9, replicates=50, **how),
    "allocate": lambda runs, **how: jetscale.allocate(runs, 1e9, replicates=50, **how),
    "power": lambda runs, **how: jetscale.power(runs, simulations=10, shift=0.3, **how),
}


@pytest.mark.long
@pytest.mark.parametrize("name", QUESTIONS)
def test_a_file_a_frame_and_laws_give_the_same_answer(name, made, tmp_path):
    made.to_csv(path := tmp_path / "runs.csv", index=False)
    ask = QUESTIONS[name]
    found = [] if name == "power" else [ask(path, columns=NAMES)]  # a simulation takes seconds
    found += [ask(made, columns=NAMES), ask(jetscale.fit(made, columns=NAMES, replicates=50))]
    assert len({str(one) for one in found}) == 1
    first = found[0].to_frame()
    assert len(first) > 0
    assert all(first.equals(one.to_frame()) for one in found)


@pytest.mark.slow
def test_a_budget_may_be_in_hours_and_sizes_those_of_the_runs(made):
    laws = jetscale.fit(made, columns=NAMES, replicates=50)
    terms = jetscale.Terms(gpu_hours=1, rate=1e9 / 3600)
    found = jetscale.allocate(laws, terms, ladder=True)
    assert found.budget.flops == pytest.approx(1e9)
    with pytest.raises(FitError, match=r"budget is '1e9', needs FLOPs, e\.g\. 1e12, or js\.Terms"):
        jetscale.allocate(laws, "1e9")
    assert set(found.to_frame()["params"]) <= {1e3, 1e4, 1e5}


@pytest.mark.long
def test_laws_are_fitted_anew_only_where_others_are_asked_for(made):
    laws = jetscale.fit(made, columns=NAMES, replicates=50)
    assert jetscale.fit(laws) is laws
    other = jetscale.fit(laws, law="no-floor", replicates=50)
    assert isinstance(other, StudyFit)
    assert other.options.law == "no-floor"
    squares = jetscale.fit(laws, objective="squares", replicates=50)
    assert jetscale.fit(squares, law="no-floor").options.objective == "squares"
    with pytest.raises(FitError, match="unknown option of fit 'laws'; did you mean 'law'"):
        jetscale.fit(made, columns=NAMES, laws="no-floor")


@pytest.mark.slow
def test_arguments_of_another_kind_are_refused_in_a_line(made):
    laws = jetscale.fit(made, columns=NAMES, replicates=50)
    with pytest.raises(FitError, match="budget is 'b', needs FLOPs"):
        jetscale.compare(laws, "b")
    with pytest.raises(FitError, match=r"options is .'law': 'auto'., needs js\.Options"):
        jetscale.fit(laws, {"law": "auto"})
    with pytest.raises(TableError, match="columns is 'params', needs a mapping"):
        jetscale.table(made, "params")


@pytest.mark.long
def test_a_grid_may_be_asked_what_it_can_tell():
    n, d = (axis.ravel() for axis in np.meshgrid([1e3, 1e4, 1e5], [1e3, 1e4, 1e5]))
    found = jetscale.power(make_grid(n, d, seeds=2), simulations=10, shift=0.3)
    assert found.conclusion.endswith("of studies") or "helps most" in found.conclusion


@pytest.mark.long
def test_what_is_to_be_known_of_runs_comes_with_them(made):
    named = jetscale.table(made, NAMES)
    assert named.attrs["notes"] == jetscale.table(named).attrs["notes"] == ()
    millions = made.assign(params_M=made["N"] / 1e6).drop(columns="N")
    told = jetscale.table(millions, {"examples": "D"})
    assert any("1e+06 times" in note for note in told.attrs["notes"])
    page = "".join(jetscale.make_report(told).texts().values())
    assert "1e+06 times" in page


@pytest.mark.long
def test_a_report_may_be_of_laws(made, tmp_path):
    laws = jetscale.fit(made, columns=NAMES, replicates=50, law="no-floor")
    report = jetscale.make_report(laws, "Mine")
    report.write(str(tmp_path / "report.html"))
    page = (tmp_path / "report.html").read_text()
    assert "<title>Mine" in page
    assert "no-floor" in page or "A / N^alpha + B / D^beta" in page


def test_what_is_no_table_of_runs_is_said():
    with pytest.raises(TableError, match="runs are given as list, needs a study, a file"):
        jetscale.fit([1, 2])


def test_an_unknown_source_is_answered_with_the_nearest(study):
    with pytest.raises(StudyError, match="unknown source 'record'; did you mean 'records'"):
        jetscale.runs(study, source="record")


def test_a_sweep_file_is_loaded_by_its_name(tmp_path):
    with pytest.raises(StudyError, match="sweep file"):
        jetscale.load_study(str(tmp_path / "none.py"))


@pytest.mark.long
@pytest.mark.integration
def test_a_search_is_made_and_written(wide, searched, search, tmp_path, monkeypatch):
    monkeypatch.setenv("JETSCALE_HOME", str(tmp_path / "runs"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    store = RecordStore(Home(tmp_path / "runs").study(wide))
    store.prepare()
    for record in searched:
        store.write(record)
    found = jetscale.tune(wide)
    assert found.search == search
    assert " ".join(str(found).split()).startswith(found.sentence)
    assert len(found.to_frame()) == len(found.regrets) > 0
    found.write(tmp_path / "wide.recipe.json")
    assert (tmp_path / "wide.recipe.json").is_file()
    assert jetscale.as_json(found)["sentence"] == found.sentence
