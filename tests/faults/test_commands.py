"""A real sweep whose runs a command trains: stopped, its worker killed, and ended."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from fixtures.sweeps import sweep_text, write_roles
from fixtures.waiting import PATIENCE, wait_until

from jetscale.planning import plan_runs
from jetscale.store.home import Home
from jetscale.store.records import RecordStore
from jetscale.study.load import load_study

pytestmark = [
    pytest.mark.integration,
    pytest.mark.long,
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]
SUMMED = Path(__file__).parents[2] / "sweeps" / "trainers" / "summed.py"
# says who it is, waits as long as it is held, then trains
TRAINER = """
import os, pathlib, runpy, sys, time
here = pathlib.Path(__file__).parent
while (here / "hold").exists():
    (here / "pids.new").write_text(f"{{os.getppid()}} {{os.getpid()}}")
    (here / "pids.new").replace(here / "pids")
    time.sleep(0.05)
runpy.run_path({summed!r}, run_name="__main__")
"""
OPTIONS = (
    "--width={width} --epochs={epochs} --batch={batch_size} --rate={learning_rate} --seed={seed} "
    "--train={train} --validation={validation} --test={test} --trunk={trunk} "
    "--save-trunk={save_trunk} --checkpoint={checkpoint} --out={out}"
)


@pytest.fixture
def sweep(tmp_path, make_jets):
    root, path = write_roles(tmp_path, make_jets), tmp_path / "commanded.py"
    (tmp_path / "trainer.py").write_text(TRAINER.format(summed=str(SUMMED)))
    text = sweep_text(root, data_sizes=(50,), seeds=(1,))
    command = f"Command(run={f'{{python}} trainer.py {OPTIONS}'!r})"
    text = text.replace("return Study(", "made = Study(")
    text = text.replace("import Controls", "import Command, Controls")
    text += f"    return replace(made, recipe=replace(made.recipe, trainer={command}))\n"
    path.write_text("from dataclasses import replace\n" + text)
    return path


def parent_of(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])


def is_gone(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


@pytest.mark.long
def test_stopped_and_killed_no_command_is_left_and_every_run_is_made(sweep, tmp_path):
    home, study = Home(tmp_path / "runs"), load_study(sweep)
    hold, pids, log = tmp_path / "hold", tmp_path / "pids", tmp_path / "log"
    environment = os.environ | {"JETSCALE_HOME": str(home.path), "COLUMNS": "200"}
    environment.pop("MLFLOW_TRACKING_URI", None)

    def start():
        with log.open("wb") as file:
            command = [sys.executable, "-m", "jetscale", "run", str(sweep)]
            return subprocess.Popen(command, env=environment, stdout=file, stderr=file)

    def wait_for_command(driver):
        def begun():
            assert driver.poll() is None, log.read_text()
            return pids.exists()

        wait_until(begun, "no command")
        guard, command = map(int, pids.read_text().split())
        return parent_of(guard), command

    hold.touch()
    driver = start()
    try:
        _, command = wait_for_command(driver)
        driver.send_signal(signal.SIGTERM)
        assert driver.wait(timeout=PATIENCE) == 143
        wait_until(lambda: is_gone(command), "the command lives")

        pids.unlink()
        driver = start()
        worker, command = wait_for_command(driver)
        os.kill(worker, signal.SIGKILL)
        wait_until(lambda: is_gone(command), "the command lives")
        hold.unlink()
        assert driver.wait(timeout=PATIENCE) == 0, log.read_text()
    finally:
        driver.kill()
        driver.wait()
    assert "3 of 3 runs done" in log.read_text()
    assert "1 worker group died" in log.read_text()
    runs = plan_runs(study)
    records = RecordStore.open(study, home, runs).read_all(run.key for run in runs)
    assert len(records) == 3
    assert all(set(record.versions) == {"numpy"} for record in records.values())
    assert not list((home.study(study).path / "attempts").iterdir())
