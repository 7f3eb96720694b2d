"""cluster/array.sh and cluster/condor.sub with real processes in place of their schedulers."""

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from fixtures.sweeps import sweep_text, write_roles
from fixtures.waiting import PATIENCE

from jetscale.planning import plan_runs
from jetscale.store.home import Home
from jetscale.store.records import RecordStore, RunState
from jetscale.study.load import load_study

ROOT = Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path, make_jets) -> Path:
    """A checkout with an environment, from which jobs are submitted."""
    write_roles(tmp_path / "jets", make_jets)
    (tmp_path / "sweeps").mkdir()
    (tmp_path / ".venv").symlink_to(sys.prefix)
    (tmp_path / "cluster").symlink_to(ROOT / "cluster")
    return tmp_path


def write(project: Path, epochs: int) -> RecordStore:
    path = project / "sweeps" / "queued.py"
    grid = {"name": "queued", "parts": (), "seeds": (1, 2, 3)}
    path.write_text(sweep_text(project / "jets", **grid, epochs=epochs, learning_rate=0.01))
    study = load_study(path)
    return RecordStore(Home(project / "runs").study(study), runs=plan_runs(study))


def array_task(project: Path, number: int) -> subprocess.Popen[str]:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(project),
        "PYTHONPATH": str(ROOT / "src"),
        "SLURM_JOB_ID": f"{100 + number}",
        "SLURM_ARRAY_TASK_ID": str(number),
        "SLURM_SUBMIT_DIR": str(project),
    }
    return subprocess.Popen(
        ["bash", str(ROOT / "cluster" / "array.sh"), "sweeps/queued.py"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_for_beat(store: RecordStore, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not list(store.storage.names("running")):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline, "no run was begun"
        time.sleep(0.01)


@pytest.mark.long
@pytest.mark.integration
def test_tasks_of_an_array_finish_what_a_killed_one_began(project):
    store = write(project, epochs=200)
    with ExitStack() as stack:
        victim = array_task(project, 1)
        stack.callback(victim.kill)
        wait_for_beat(store, victim)
        victim.send_signal(signal.SIGKILL)
        victim.communicate()
        others = [array_task(project, number) for number in (2, 3)]
        for process in others:
            stack.callback(process.kill)
        said = [process.communicate(timeout=PATIENCE)[0] for process in others]
    assert [process.returncode for process in others] == [0, 0], said
    planned = list(store.planned.values())
    assert {row.state for row in store.status(planned)} == {RunState.DONE}


@pytest.mark.integration
def test_the_signal_of_slurm_reaches_the_training(project):
    store = write(project, epochs=50_000)  # minutes
    task = array_task(project, 1)
    try:
        wait_for_beat(store, task)
        task.send_signal(signal.SIGTERM)
        said = task.communicate(timeout=PATIENCE)[0]
    finally:
        task.kill()
    assert task.returncode == 143, said
    states = [row.state for row in store.status(list(store.planned.values()))]
    assert set(states) == {RunState.EVICTED, RunState.MISSING}  # one, or the runs of a stack


@pytest.mark.parametrize(
    ("drop", "arguments", "message"),
    [
        ("", [], "no sweep given"),
        ("SLURM_JOB_ID", ["sweeps/queued.py"], "submit with sbatch"),
        ("", ["sweeps/absent.py"], "no sweep file sweeps/absent.py"),
    ],
)
def test_mistakes_take_one_line(project, drop, arguments, message):
    environment = {"PATH": os.environ["PATH"], "SLURM_JOB_ID": "1", "HOME": str(project)}
    environment["SLURM_SUBMIT_DIR"] = str(project)
    environment.pop(drop, None)
    done = subprocess.run(
        ["bash", str(ROOT / "cluster" / "array.sh"), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def submit_file() -> dict[str, str]:
    """The settings of condor.sub with its own macros put in."""
    lines = (ROOT / "cluster" / "condor.sub").read_text().splitlines()
    settings = dict(
        re.split(r"\s*=\s*", line, maxsplit=1)
        for line in lines
        if "=" in line and not line.startswith("#")
    )
    return {
        name: re.sub(r"\$\((jobs|sweep)\)", lambda found: settings[found[1]], value)
        for name, value in settings.items()
    }


@pytest.mark.integration
def test_a_condor_job_does_the_work(project):
    """What HTCondor would start, with the folder that it takes from the environment."""
    settings = submit_file()
    write(project, epochs=2)
    assert settings["initialdir"] == "$ENV(PWD)"
    assert settings["transfer_executable"] == "False"
    assert settings["arguments"] == "work sweeps/quickstart.py"
    environment = dict(
        item.replace("$ENV(PWD)", str(project)).split("=")
        for item in settings["environment"].strip('"').split()
    )
    sweep = "sweeps/queued.py"
    program = settings["executable"].replace("$ENV(PWD)", str(project))
    done = subprocess.run(
        [program, "work", sweep],
        cwd=project,
        env=environment | {"PYTHONPATH": str(ROOT / "src"), "HOME": str(project)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "6 of 6 runs done, 6 trained here" in done.stdout
    again = subprocess.run(
        ["bash", "-c", f". .venv/bin/activate && jetscale work {sweep}"],
        cwd=project,
        env=environment | {"PYTHONPATH": str(ROOT / "src"), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "6 of 6 runs done, 0 trained here" in again.stdout


@pytest.mark.parametrize(
    ("by_signal", "code", "leaves"),
    [(False, 0, True), (False, 1, True), (False, 2, True), (False, 143, False), (True, 0, False)],
)
def test_a_condor_job_that_was_told_to_stop_stays_in_the_queue(by_signal, code, leaves):
    rule = submit_file()["on_exit_remove"].replace("&&", "and")
    assert re.fullmatch(r"[()\w\s=!]+", rule)
    assert eval(rule, {"ExitBySignal": by_signal, "ExitCode": code}) is leaves
