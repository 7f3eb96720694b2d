"""`jetscale work`: several processes on one folder, one of them killed, without Ray."""

import fcntl
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from fixtures.sweeps import sweep_text, write_roles
from fixtures.waiting import PATIENCE

from jetscale.errors import Failure, SweepError
from jetscale.planning import plan_runs
from jetscale.store.home import Home
from jetscale.store.local import locked
from jetscale.store.records import RecordStore, RunState
from jetscale.study.load import load_study
from jetscale.sweep.work import work

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def shards(tmp_path_factory, make_jets):
    return write_roles(tmp_path_factory.mktemp("shards"), make_jets)


@pytest.fixture
def sweep(tmp_path, shards):
    def write(epochs=2, rate=0.01):
        path = tmp_path / "small.py"
        path.write_text(sweep_text(shards, epochs=epochs, learning_rate=rate))
        return path

    return write


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path / "runs")


@pytest.fixture
def start(home):
    """A function that starts a process at a sweep; all are gone at the end."""
    with ExitStack() as stack:

        def call(sweep: Path) -> subprocess.Popen[str]:
            process = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-m", "jetscale", "work", str(sweep)],
                    env=os.environ | {"JETSCALE_HOME": str(home.path)},
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                )
            )
            stack.callback(process.kill)
            return process

        yield call


def losses(store, planned):
    """Training losses, equal up to rounding: which runs share a stack differs."""
    records = store.read_all(run.key for run in planned)
    return {key: record.training_loss for key, record in records.items()}


def wait_for_beat(folder, process):
    deadline = time.monotonic() + PATIENCE
    while not (beats := list((folder.path / "running").glob("*.json"))):
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < deadline, "no run was begun"
        time.sleep(0.01)
    return beats[0].stem


@pytest.mark.long
def test_one_process_does_a_study_and_a_second_call_nothing(sweep, home):
    study = load_study(sweep())
    first, again = work(study, home), work(study, home)
    assert (first.planned, first.done, first.trained, first.failed) == (10, 10, 10, 0)
    assert (again.done, again.trained) == (10, 0)


@pytest.mark.long
@pytest.mark.integration
def test_several_processes_share_a_study_and_none_trains_a_run_twice(sweep, home, start):
    path = sweep(epochs=20)
    study = load_study(path)
    planned = plan_runs(study)
    processes = [start(path) for _ in range(3)]
    said = [process.communicate(timeout=PATIENCE)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * 3, said
    assert sum(int(re.search(r"(\d+) trained here", text)[1]) for text in said) == len(planned)
    alone = Home(home.path / "alone")
    work(study, alone)
    expected = losses(RecordStore(alone.study(study)), planned)
    assert losses(RecordStore(home.study(study)), planned) == pytest.approx(expected, rel=1e-4)
    assert len(expected) == len(planned)


@pytest.mark.long
@pytest.mark.integration
def test_others_go_on_with_the_run_of_a_killed_process(sweep, home, start):
    path = sweep(epochs=200)
    study = load_study(path)
    folder, planned = home.study(study), plan_runs(study)
    victim = start(path)
    held = wait_for_beat(folder, victim)
    with pytest.raises(BlockingIOError), locked(folder.claim(held), wait=False):
        pass
    victim.send_signal(signal.SIGKILL)
    victim.communicate()
    others = [start(path) for _ in range(2)]
    said = [process.communicate(timeout=PATIENCE)[0] for process in others]
    assert [process.returncode for process in others] == [0, 0], said
    assert {row.state for row in RecordStore(folder).status(planned)} == {RunState.DONE}


@pytest.mark.integration
def test_a_process_told_to_stop_leaves_its_run_as_evicted(sweep, home, start):
    path = sweep(epochs=50_000)  # minutes
    study = load_study(path)
    process = start(path)
    held = wait_for_beat(home.study(study), process)
    process.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=PATIENCE)[0]
    assert process.returncode == 143
    assert said.splitlines()[-1].startswith("jetscale: stopped; finished work is kept")
    rows = RecordStore(home.study(study)).status(plan_runs(study))
    assert {row.key: row.state for row in rows}[held] == RunState.EVICTED
    assert RunState.FAILED not in [row.state for row in rows]


@pytest.mark.long
def test_a_process_waits_for_the_trunk_of_another_and_goes_on_from_it(sweep, home):
    study = load_study(sweep())
    folder, planned = home.study(study), plan_runs(study)
    trunk = next(run for run in planned if run.kind == "pretrain")
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder.claim(trunk.key)), str(home.path / "wanted")],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout.readline() == "held\n"
        looks = []

        def look(what, done, total):
            looks.append(done)
            # the same count twice: everything else is done, and it looked again instead of ending
            if looks[-2:] == [7, 7]:
                (home.path / "wanted").touch()

        worked = work(study, home, progress=look)
    finally:
        holder.kill()
        holder.communicate()
    assert worked.done == worked.trained == len(planned)


HOLD = """
import fcntl, os, sys, time
from pathlib import Path

claim, wanted = map(Path, sys.argv[1:])
claim.parent.mkdir(parents=True, exist_ok=True)
file = claim.open("w")
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
while not wanted.exists():
    time.sleep(0.01)
"""


@pytest.mark.long
def test_runs_that_others_are_at_are_left_to_them(sweep, home):
    study = load_study(sweep())
    folder = home.study(study)
    last = plan_runs(study)[-1]
    folder.claim(last.key).parent.mkdir(parents=True)
    with folder.claim(last.key).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        worked = work(study, home)
    assert (worked.done, worked.trained) == (9, 9)
    assert work(study, home).done == 10


@pytest.mark.long
def test_a_run_that_failed_meanwhile_in_another_process_is_left_alone(sweep, home, monkeypatch):
    study = load_study(sweep())
    failed = next(run for run in plan_runs(study) if run.kind == "finetune" and not run.trunk)
    look = RecordStore.keys

    def fails_elsewhere(store):
        store.write_failure(failed, Failure(kind="TrainingError", reason="diverged there"))
        return look(store)

    monkeypatch.setattr(RecordStore, "keys", fails_elsewhere)
    worked = work(study, home)
    assert (worked.done, worked.trained, worked.failed) == (9, 9, 0)
    monkeypatch.undo()
    # a new process tries what failed before it began
    worked = work(study, home)
    assert (worked.done, worked.trained, worked.failed) == (10, 1, 0)


@pytest.mark.long
def test_a_diverging_trunk_is_tried_once_and_what_needs_it_says_why(sweep, home):
    study = load_study(sweep(rate=1e30))
    worked = work(study, home)
    assert (worked.done, worked.failed) == (0, worked.planned)
    rows = RecordStore(home.study(study)).status(plan_runs(study))
    assert any("has not finished" in row.why for row in rows if row.kind == "finetune")


@pytest.mark.long
def test_a_lost_trunk_is_made_again_for_what_needs_it(sweep, home):
    study = load_study(sweep())
    folder, planned = home.study(study), plan_runs(study)
    work(study, home)
    before = losses(RecordStore(folder), planned)
    tuned = next(run for run in planned if run.trunk)
    (folder.path / "records" / f"{tuned.key}.json").unlink()
    folder.trunk(tuned.trunk).unlink()
    worked = work(study, home)
    assert (worked.done, worked.trained, worked.failed) == (10, 2, 0)
    assert losses(RecordStore(folder), planned) == pytest.approx(before, rel=1e-4)


@pytest.mark.long
def test_small_runs_of_one_shape_are_trained_together_unless_the_study_says_no(sweep, home):
    study = load_study(sweep())
    alone = replace(study, stacking=False)
    planned, apart = plan_runs(study), Home(home.path / "apart")
    assert [run.key for run in planned] == [run.key for run in plan_runs(alone)]
    work(study, home)
    work(alone, apart)
    stacks, single = (
        [
            record.stack
            for record in RecordStore(place.study(study))
            .read_all(run.key for run in planned)
            .values()
        ]
        for place in (home, apart)
    )
    assert len(stacks) == len(single) == len(planned)
    assert max(stacks) > 1
    assert set(single) == {1}


def test_a_driver_and_these_processes_keep_each_other_out(sweep, home):
    study = load_study(sweep())
    with locked(home.study(study).driver_lock), pytest.raises(SweepError, match="in use by"):
        work(study, home)
    with (
        locked(home.study(study).driver_lock, wait=False, shared=True),
        pytest.raises(BlockingIOError),
        locked(home.study(study).driver_lock, wait=False),
    ):
        pass


@pytest.mark.long
def test_neither_ray_nor_mlflow_is_needed(sweep, home):
    code = (
        "import sys; sys.modules['ray'] = sys.modules['mlflow'] = None\n"
        "from jetscale.cli import main; main(['work', sys.argv[1]])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(sweep())],
        env=os.environ | {"JETSCALE_HOME": str(home.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "10 of 10 runs done" in done.stdout
