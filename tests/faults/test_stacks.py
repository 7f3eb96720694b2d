"""Workers killed while they train runs in a stack: each run goes on from its own checkpoint."""

import os
import signal
from dataclasses import replace

import numpy as np
import pytest
from fixtures.sweeps import sweep_text, write_roles
from fixtures.waiting import PATIENCE

from jetscale.planning import plan_runs
from jetscale.store.home import Home
from jetscale.store.records import RecordStore
from jetscale.sweep.work import work

pytestmark = pytest.mark.integration


@pytest.fixture
def sweep(tmp_path, make_jets, gate, monkeypatch):
    """A sweep whose runs are trained in stacks: four on a task, two trunks."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    root, path = write_roles(tmp_path, make_jets, train=100, qcd=140), tmp_path / "faults.py"
    settings = {"pretraining_jets": 130, "epochs": 4, "batch_size": 16}
    grid = {"name": "faults", "data_sizes": (90,), "seeds": (1, 2, 3)}
    path.write_text(sweep_text(root, **grid, **settings, objective=gate.stacked))
    return path


@pytest.mark.long
def test_a_worker_killed_in_a_stack_loses_nothing(faulty, undisturbed, gate):
    """Twice: what died with a stack is tried alone, so that a run at fault would be known."""
    with faulty.driving("--checkpoint-seconds", "0") as driver:
        for stage, count in (("step", 0), ("checkpoints", 3)):
            gate.close(stage, faulty.records, count)
            os.kill(gate.wait_until_held(stage, lambda: driver.poll() is None), signal.SIGKILL)
            gate.open()
        assert driver.wait(timeout=PATIENCE) == 0
    log = faulty.log.read_text()
    assert "2 worker groups died" in log
    assert "Traceback" not in log
    compare(faulty, undisturbed)
    assert not list((faulty.store.folder.path / "checkpoints").glob("*.pt"))


def test_work_trains_in_stacks_and_each_run_is_that_of_one_alone(faulty, undisturbed):
    work(faulty.study, faulty.home)
    records = compare(faulty, undisturbed)
    assert max(record.stack for record in records.values()) > 1


def test_a_study_that_wants_no_stacks_has_the_last_bits_of_runs_alone(faulty, undisturbed):
    alone = replace(faulty.study, stacking=False)
    assert [run.key for run in plan_runs(alone)] == [run.key for run in faulty.planned]
    work(alone, faulty.home)
    assert faulty.numbers() == undisturbed


def compare(faulty, undisturbed):
    """The records of a sweep, which differ by rounding from those of runs trained alone."""
    faulty.store.refresh()
    found = faulty.store.read_all(faulty.store.keys())
    folder = Home(faulty.path.parent / "undisturbed").study(faulty.study)
    alone = RecordStore(folder).read_all(undisturbed)
    assert found.keys() == alone.keys()
    for key, record in found.items():
        expected = alone[key]
        assert (record.flops, record.streams, record.steps, expected.stack) == (
            expected.flops,
            expected.streams,
            expected.steps,
            1,
        )
        for name, points in expected.curve.items():
            assert np.allclose(record.curve[name], points, rtol=1e-4)
        assert record.loss is None or record.loss == pytest.approx(expected.loss, rel=1e-4)
    return found
