"""`jetscale tune`: what it prints, the recipe file it writes, and options it refuses."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from jetscale.cli.app import main
from jetscale.display.tuning import show_written
from jetscale.planning.search import plan_search
from jetscale.store.home import Home
from jetscale.store.records import RecordStore
from jetscale.study import load_optimiser
from jetscale.study.load import load_study
from jetscale.study.search import make_search
from jetscale.sweep.tune import search_table
from jetscale.tracking.address import tracking_uri
from jetscale.tuning import tuned

pytestmark = pytest.mark.slow

SWEEP = """
from pathlib import Path

from jetscale.study import Controls, Mixture, ModelSize, Simulated, Study, load_optimiser

def study():
    controls = Controls(pretraining_jets=50, validation_jets=10, test_jets=10, constituents=16)
    return Study(
        name="tiny",
        source=Simulated(train_jets=2000),
        mixtures=(Mixture(name="scratch"), Mixture(name="qcd", parts={"qcd": 1})),
        ladder=tuple(ModelSize(width=width, layers=1, heads=1) for width in (8, 16, 32)),
        data_sizes=(100, 500, 2000),
        seeds=(1, 2),
        recipe=controls,
    )
"""


@pytest.fixture
def sweep(tmp_path, monkeypatch, searched, wide):
    """A sweep file in a folder whose results hold the whole search."""
    monkeypatch.setenv("JETSCALE_HOME", str(tmp_path / "runs"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    path = tmp_path / "tiny.py"
    path.write_text(SWEEP)
    assert load_study(path) == wide
    store = RecordStore(Home(tmp_path / "runs").study(wide))
    store.prepare()
    for record in searched:
        store.write(record)
    return path


def call(capsys, *arguments):
    code = 0
    try:
        main(["tune", *map(str, arguments)])
    except SystemExit as error:
        code = error.code
    return code, *capsys.readouterr()


@pytest.mark.long
@pytest.mark.integration
def test_the_laws_are_printed_and_written_beside_the_sweep(capsys, sweep):
    code, out, _ = call(capsys, sweep)
    assert code in (0, None)
    text = " ".join(out.split())
    assert "Peak rates: scratch 0.007" in text
    assert "Every arm was searched at the same cells" in text
    assert "load_optimiser(__file__)" in text
    optimiser = load_optimiser(sweep)
    assert optimiser.rates.arms == ("scratch", "qcd")
    assert optimiser.law("scratch").learning_rate == pytest.approx(0.0075, rel=0.05)
    table = sweep.parent / "runs" / "tiny" / "search.csv"
    assert len(table.read_text().splitlines()) == 1 + 3 * 90


@pytest.mark.long
@pytest.mark.integration
def test_the_page_lies_in_the_results_folder_and_in_mlflow(capsys, sweep):
    _, out, err = call(capsys, sweep)
    home = Home(sweep.parent / "runs")
    page = home.path / "tiny" / "tune.html"
    assert f"page: {page}" in out
    assert "not in MLflow" not in err
    assert "<h1>Learning rates of tiny</h1>" in page.read_text()
    (kept,) = home.artifacts.rglob("tune.html")
    assert kept.read_bytes() == page.read_bytes()
    from mlflow.tracking import MlflowClient

    parent = MlflowClient(tracking_uri(home)).get_run(kept.parents[1].name)
    assert parent.data.tags["mlflow.runName"] == "tune tiny"
    assert len(list((kept.parent / "figures").iterdir())) == 9 + 9 + 3


@pytest.mark.long
@pytest.mark.integration
def test_programs_get_the_same_as_json(capsys, sweep):
    code, out, _ = call(capsys, sweep, "--json")
    assert code in (0, None)
    told = json.loads(out)
    assert told["page"].endswith("tune.html")
    assert told["recipe_file"] == str(sweep.with_name("tiny.recipe.json"))
    assert told["tuning"]["sentence"].startswith("Peak rates: ")
    assert len(told["tuning"]["regrets"]) == 9 * 3


@pytest.mark.long
@pytest.mark.integration
def test_a_tuned_study_starts_the_next_search_from_its_laws(capsys, sweep):
    call(capsys, sweep)
    tuned = SWEEP.replace("recipe=controls", "recipe=controls.change(rates=RATES)")
    tuned = tuned.replace("def study", "RATES = load_optimiser(__file__).rates\n\ndef study")
    sweep.write_text(tuned)
    study = load_study(sweep)
    best = next(t.run for t in plan_search(study, make_search(study)) if t.run.start == "scratch")
    law = study.recipe.optimiser.law("scratch")
    assert best.peak_rate == law.at(best.size.width, best.steps)


@pytest.mark.long
def test_how_far_it_is_can_be_asked_without_training(capsys, sweep):
    code, out, _ = call(capsys, sweep, "--status", "--json")
    assert code in (0, None)
    assert json.loads(out)["missing"] == 0
    code, out, _ = call(capsys, sweep, "--status", "--json", "--rates", "0.25,0.5,1,2,4,8")
    assert json.loads(out)["missing"] > 0


@pytest.mark.long
@pytest.mark.parametrize(
    ("options", "what"),
    [
        (("--rates", "1,fast"), "--rates is '1,fast', needs numbers"),
        (("--rates", "1,2"), "2 rates, needs at least 3"),
        (("--widths", "8,9"), "unknown width of the study '9'"),
        (("--widths", "8.5,16"), "needs whole numbers"),
        (("--try", "weight_decay"), "needs NAME=VALUE,VALUE"),
        (("--try", "weight=0.1"), "unknown setting to search 'weight'"),
    ],
)
def test_an_option_that_makes_no_search_is_one_line(capsys, sweep, options, what):
    code, out, err = call(capsys, sweep, *options)
    assert code == 2
    assert out == ""
    assert what in err
    assert len(err.splitlines()) == 1


def test_a_schedule_that_was_taken_is_loaded_too(capsys, wide, search, searched, tried):
    table = search_table(tried, {record.key: record for record in searched})
    found = tuned(wide, search, table)
    for taken, loaded in (({"weight_decay": 0.1}, False), ({"warmup": 0.2}, True)):
        show_written(replace(found, taken=taken), "wide.py", Path("a"), "b")
        out = capsys.readouterr().out
        assert "optimiser=load_optimiser(__file__)" in out
        assert ("schedule=load_schedule(__file__)" in out) == loaded
