"""The table of a search from its records, and a whole search on Ray, killed and taken up again."""

import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from fixtures.sweeps import sweep_text

from jetscale.errors import Failure, StudyError
from jetscale.planning import plan_runs
from jetscale.planning.search import plan_search
from jetscale.store.home import Home
from jetscale.store.records import RecordStore
from jetscale.study import ModelSize
from jetscale.study.search import make_search
from jetscale.sweep.launch import run_study
from jetscale.sweep.tune import extend_search, load_search, search_table
from jetscale.tracking.address import tracking_uri
from jetscale.tracking.mirror import Mirror

pytestmark = pytest.mark.slow


@pytest.fixture
def store(tmp_path, wide):
    store = RecordStore(Home(tmp_path / "runs").study(wide))
    store.prepare()
    return store


def test_a_row_per_run_and_rate_that_it_tries(tried, searched):
    table = search_table(tried, {record.key: record for record in searched})
    counts = table.groupby("start").size().to_dict()
    assert counts == {"scratch": 5 * 18, "pretrained": 5 * 18, "pretraining": 5 * 18}
    rates = {one.run.key: one.run.peak_rate for one in tried}
    downstream = table[table["start"] != "pretraining"]
    assert downstream["rate"].tolist() == [rates[key] for key in downstream["key"]]
    trunks = table[table["start"] == "pretraining"]
    assert trunks.groupby("width")["steps"].nunique().eq(1).all()
    bases = (trunks["rate"] / trunks["factor"]).round(12)
    assert bases.groupby(trunks["width"]).nunique().eq(1).all()


def test_the_test_jets_choose_nothing(tried, searched):
    worse = [replace(r, loss=None if r.loss is None else 99.0) for r in searched]
    a, b = (search_table(tried, {r.key: r for r in rs}) for rs in (searched, worse))
    assert a["loss"].equals(b["loss"])
    assert not a["test_loss"].equals(b["test_loss"])


def test_a_command_that_tells_no_validation_loss_cannot_be_tuned(tried, searched):
    first, *others = [record for record in searched if record.kind == "finetune"]
    records = {r.key: r for r in (replace(first, validation_loss=None), *others)}
    with pytest.raises(StudyError, match=f"no validation_loss of run {first.key}: rates are"):
        search_table(tried, records)


@pytest.mark.long
def test_missing_runs_are_counted_and_diverged_ones_are_worst(
    wide, search, tried, searched, store, tmp_path
):
    lost = [one.run for one in tried if one.run.start == "scratch"][:2]
    for record in searched:
        if record.key not in {run.key for run in lost}:
            store.write(record)
    home = Home(tmp_path / "runs")
    with pytest.raises(StudyError, match=r"2 of \d+ runs of its search are not done"):
        load_search(wide, search, home)
    for run in lost:
        store.write_failure(run, Failure(kind="Diverged", reason="loss is nan"))
    table = load_search(wide, search, home).set_index("key")
    assert table.loc[[run.key for run in lost], "loss"].tolist() == [math.inf, math.inf]


@pytest.fixture
def small(given, gate):
    sizes = (ModelSize(width=4, layers=1, heads=1), ModelSize(width=8, layers=1, heads=1))
    recipe = given.recipe.change(objective=gate.objective)
    return replace(given, ladder=sizes, data_sizes=(10, 20, 40), seeds=(1, 2), recipe=recipe)


@pytest.mark.long
@pytest.mark.integration
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_killed_search_goes_on_and_its_study_trains_nothing_twice(
    small, gate, tmp_path, monkeypatch
):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    home, search = Home(tmp_path / "runs"), make_search(small, rates=(0.5, 1, 2))
    tried = plan_search(small, search)
    store = RecordStore(home.study(small))
    sweep = tmp_path / "tiny.py"
    grid = {"name": "tiny", "widths": (4, 8), "data_sizes": (10, 20, 40)}
    jets = {"pretraining_jets": 50, "validation_jets": 10, "test_jets": 10}
    sweep.write_text(sweep_text(tmp_path, **grid, **jets, objective=gate.objective))
    gate.close("step", store.folder.path / "records", 4)
    command = [sys.executable, "-m", "jetscale", "tune", str(sweep), "--rates", "0.5,1,2"]
    environment = os.environ | {"JETSCALE_HOME": str(home.path)}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as driver:
        gate.wait_until_held("step", lambda: driver.poll() is None)
        driver.send_signal(signal.SIGKILL)
    time.sleep(5)  # let Ray notice that its driver is gone
    gate.open()
    before = store.read_all(store.keys())
    assert 4 <= len(before) < len(tried)

    outcome = run_study(small, home, tracking=tracking_uri(home), search=search)
    assert (outcome.done, outcome.failed) == (len(tried), 0)
    assert outcome.trained == len(tried) - len(before)
    after = store.read_all(store.keys())
    assert {key: after[key] for key in before} == before
    table = load_search(small, search, home)
    assert len(table) == 3 * 12 + 3 * 12 + 3 * 12
    assert table["loss"].gt(0).all()

    mirror = Mirror(tracking_uri(home), small.name, home)
    names = [r.data.tags["mlflow.runName"] for r in mirror.client.search_runs([mirror.experiment])]
    assert names.count("tune tiny") == 1

    study = run_study(small, home, tracking=tracking_uri(home))
    own = plan_runs(small)
    assert (study.done, study.trained) == (len(own), 0)  # the search had trained them all


@pytest.mark.long
def test_proposed_points_are_the_same_for_every_mixture(wide, search, monkeypatch, tmp_path):
    """The runs of a proposed point: all arms, cells and seeds; judged by the loss they have."""
    from fixtures.searches import make_searched

    home, random = Home(tmp_path / "runs"), np.random.default_rng(1)
    store = RecordStore(home.study(wide))
    store.prepare()
    trained = []

    def train(longer):
        for record in make_searched(wide, plan_search(wide, longer), random):
            if store.read(record.key) is None:
                store.write(record)
        trained.append(len(longer.points))

    train(search)
    space = {"rate": (0.5, 2.0), "weight_decay": (0.0, 0.1)}
    longer = extend_search(wide, search, space, "random", 6, home, train)
    assert trained == [len(search.points) + n for n in (0, 4, 6)]
    assert longer.rates == search.rates  # they are no rates of the law
    table = load_search(wide, longer, home)
    joint = table[table["setting"].str.contains("rate=")]
    counts = joint.groupby(["setting", "mixture"]).size().unstack()
    assert (counts["scratch"] == counts["qcd"]).all()
    assert len(counts) == 6
