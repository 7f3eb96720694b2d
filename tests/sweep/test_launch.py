"""A whole sweep on real Ray and real MLflow, killed half way and taken up again."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fixtures.sweeps import sweep_text, write_roles
from fixtures.waiting import PATIENCE

from jetscale.planning import plan_runs
from jetscale.scaling import UNSEARCHED
from jetscale.store.home import Home
from jetscale.store.record import Record
from jetscale.store.records import RecordStore, RunState
from jetscale.study.load import load_study
from jetscale.sweep.launch import run_study
from jetscale.sweep.runs import load_runs
from jetscale.tracking.address import tracking_uri
from jetscale.tracking.mirror import Mirror

pytestmark = [
    pytest.mark.integration,
    # Ray and MLflow leave sockets and files to the interpreter's end
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


@pytest.fixture(scope="module")
def shards(tmp_path_factory, make_jets):
    return write_roles(tmp_path_factory.mktemp("shards"), make_jets, train=500, qcd=320)


@pytest.fixture
def sweep(tmp_path, shards):
    def write(**changes):
        settings = {"pretraining_jets": 300, "epochs": 2, "learning_rate": 0.01} | changes
        grid = {"widths": (8, 16), "data_sizes": (50, 400), "subsets": 2}
        path = tmp_path / "small.py"
        path.write_text(sweep_text(shards, **grid, **settings))
        return path

    return write


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return Home(tmp_path / "runs")


@contextmanager
def driving(sweep: Path, home: Home) -> Iterator[subprocess.Popen[bytes]]:
    """A sweep in a process of its own, killed at the end whatever happened."""
    command = [sys.executable, "-m", "jetscale", "run", str(sweep)]
    environment = os.environ | {"JETSCALE_HOME": str(home.path)}
    with (home.path.parent / "log").open("wb") as log:
        driver = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        yield driver
    finally:
        driver.kill()
        driver.wait()


def numbers(records: Iterable[Record]) -> dict[str, str]:
    """Everything that must not depend on when and where a run ran, to the last bit."""
    return {r.key: json.dumps([r.loss, r.scores, r.curve, r.flops, r.streams]) for r in records}


@pytest.mark.long
def test_killed_resumed_complete_and_never_twice(sweep, home, gate):
    path = sweep(epochs=20, objective=gate.objective)
    study = load_study(path)
    planned = plan_runs(study)
    store = RecordStore(home.study(study))
    gate.close("step", store.folder.path / "records", 3)
    with driving(path, home) as driver:
        gate.wait_until_held("step", lambda: driver.poll() is None)
        driver.send_signal(signal.SIGKILL)
    time.sleep(5)  # let Ray notice that its driver is gone
    gate.open()
    before = store.read_all(store.keys())
    assert 3 <= len(before) < len(planned)

    outcome = run_study(study, home, tracking=tracking_uri(home))
    assert (outcome.done, outcome.failed) == (len(planned), 0)
    assert outcome.trained == len(planned) - len(before)
    assert 0 < outcome.busy < 1
    after = store.read_all(store.keys())
    assert {key: after[key] for key in before} == before
    assert set(after) == {run.key for run in planned}
    assert [row.state for row in store.status(planned)] == [RunState.DONE] * len(planned)

    mirror = Mirror(tracking_uri(home), study.name, home)
    runs = mirror.client.search_runs([mirror.experiment], max_results=1000)
    keys = [run.data.tags["jetscale.key"] for run in runs if "jetscale.key" in run.data.tags]
    assert sorted(keys) == sorted(after)
    assert len(runs) == len(planned) + 1

    again = run_study(study, home, tracking=tracking_uri(home))
    assert (again.trained, again.seconds) == (0, 0.0)
    assert store.read_all(store.keys()) == after

    frame, warnings = load_runs(study, home, tracking_uri(home))
    assert warnings == [UNSEARCHED]
    assert len(frame) == 16
    assert list(dict.fromkeys(frame["mixture"])) == ["scratch", "qcd"]
    for row in frame.itertuples():
        assert (row.loss, row.examples) == (after[row.key].loss, after[row.key].examples)
    other = Home(home.path / "fresh")
    fresh = RecordStore(other.study(study))
    run_study(study, other, tracking=tracking_uri(other))
    assert numbers(fresh.read_all(fresh.keys()).values()) == numbers(after.values())

    pretrained = [r for r in after.values() if r.trunk]
    assert all(r.pretraining_flops == after[r.trunk].flops > 0 for r in pretrained)
    assert len({r.recipe_digest for r in after.values()}) == 1


@pytest.mark.long
def test_a_diverging_run_is_named_and_the_others_go_on(sweep, home):
    path = sweep(learning_rate=1e30)
    with driving(path, home) as driver:
        assert driver.wait(timeout=PATIENCE) == 1
    log = (home.path.parent / "log").read_text()
    assert "0 of 20 runs done" in log
    study = load_study(path)
    rows = RecordStore(home.study(study)).status(plan_runs(study))
    assert {row.state for row in rows} == {RunState.FAILED}
    first = next(row for row in rows if row.mixture == "scratch")
    assert "lower recipe.optimiser.learning_rate" in first.why
    waiting = next(row for row in rows if row.mixture == "qcd" and row.kind == "finetune")
    assert "has not finished" in waiting.why


@pytest.mark.long
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_sweep_told_to_stop_ends_in_a_line_and_goes_on_later(sweep, home, gate, number, code):
    path = sweep(epochs=60, objective=gate.objective)
    study = load_study(path)
    planned = plan_runs(study)
    store = RecordStore(home.study(study))
    gate.close("step", store.folder.path / "records", 1)
    with driving(path, home) as driver:
        gate.wait_until_held("step", lambda: driver.poll() is None)
        driver.send_signal(number)
        assert driver.wait(timeout=PATIENCE) == code
    log = (home.path.parent / "log").read_text()
    assert log.strip().splitlines()[-1].startswith("jetscale: stopped; finished work is kept")
    assert "Traceback" not in log
    assert "*** SIGTERM" not in log
    states = [row.state for row in store.status(planned)]
    assert 1 <= states.count(RunState.DONE) < len(planned)
    assert RunState.EVICTED in states
    assert RunState.FAILED not in states


def test_a_second_driver_is_refused(sweep, home):
    path = sweep()
    study = load_study(path)
    folder = home.study(study)
    folder.path.mkdir(parents=True)
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"import fcntl,time; f=open({str(folder.driver_lock)!r},'w'); "
            f"fcntl.flock(f, fcntl.LOCK_EX); print('held', flush=True); time.sleep({PATIENCE})",
        ],
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    try:
        with driving(path, home) as driver:
            assert driver.wait(timeout=PATIENCE) == 2
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()
    log = (home.path.parent / "log").read_text()
    assert log.strip().splitlines()[-1].startswith("jetscale: study folder")
    assert "in use by another `jetscale run`" in log
