"""Workers killed at every stage of a run: others take over, and nothing is lost."""

import json
import os
import re
import signal

import numpy as np
import pytest
from fixtures.waiting import PATIENCE

pytestmark = [pytest.mark.integration, pytest.mark.long]


def kill(gate, driver, stage, records, count, number=signal.SIGKILL):
    """Send a signal to the worker that comes to a stage."""
    gate.close(stage, records, count)
    os.kill(gate.wait_until_held(stage, lambda: driver.poll() is None), number)
    gate.open()


@pytest.mark.long
def test_a_worker_killed_at_any_stage_loses_nothing(faulty, undisturbed, gate):
    """In one call; every step leaves a checkpoint, so no more than one is made again each time."""
    with faulty.driving("--checkpoint-seconds", "0") as driver:
        kill(gate, driver, "step", faulty.records, 0)
        kill(gate, driver, "checkpoints", faulty.records, 0)
        kill(gate, driver, "trunks", faulty.records, 0)
        kill(gate, driver, "records", faulty.records, 1)
        kill(gate, driver, "evaluation", faulty.records, 2)
        kill(gate, driver, "step", faulty.records, 3, signal.SIGTERM)
        assert driver.wait(timeout=PATIENCE) == 0
    assert faulty.numbers() == undisturbed
    assert set(faulty.states()) == {"done"}
    log = faulty.log.read_text()
    told = re.search(r"(\d+) worker groups died and (\d+) were evicted.*, ([\d.]+)% of", log)
    assert (told[1], told[2]) == ("5", "1")
    assert float(told[3]) < 5
    assert "Traceback" not in log
    assert not list((faulty.store.folder.path / "checkpoints").glob("*.pt"))


@pytest.mark.long
def test_two_workers_per_run_one_of_which_dies_and_the_curve_is_that_of_one(
    faulty, undisturbed, gate
):
    with faulty.driving("--workers-per-run", "2", "--checkpoint-seconds", "0") as driver:
        kill(gate, driver, "step", faulty.records, 1)
        assert driver.wait(timeout=PATIENCE) == 0
    assert "1 worker group died" in faulty.log.read_text()
    found = faulty.numbers()
    assert found.keys() == undisturbed.keys()
    records = faulty.store.read_all(found)
    assert {record.ranks for record in records.values()} == {2}
    for key, numbers in undisturbed.items():
        loss, scores, curve, flops, _, streams, steps = json.loads(numbers)
        record = records[key]
        assert (record.flops, record.streams, record.steps) == (flops, streams, steps)
        for name, points in curve.items():
            assert np.allclose(record.curve[name], points, rtol=1e-4)
        if loss is not None:
            assert record.loss == pytest.approx(loss, rel=1e-4)
            assert record.scores["auc"] == pytest.approx(scores["auc"], abs=1e-3)


@pytest.mark.long
def test_a_run_begun_by_two_workers_is_ended_by_one(faulty, undisturbed, gate):
    gate.close("records", faulty.records, 2)
    with faulty.driving("--workers-per-run", "2", "--checkpoint-seconds", "0") as driver:
        gate.wait_until_held("records", lambda: driver.poll() is None)
        driver.send_signal(signal.SIGTERM)
        assert driver.wait(timeout=PATIENCE) == 143
    gate.open()
    left = (faulty.store.folder.path / "checkpoints").glob("*.pt")
    begun = {path.name.split(".")[0] for path in left}
    assert len(begun) == 1
    with faulty.driving() as driver:
        assert driver.wait(timeout=PATIENCE) == 0
    found = faulty.store.read_all(undisturbed)
    assert {record.ranks for record in found.values()} == {1, 2}
    resumed = found[begun.pop()]
    assert resumed.ranks == 1
    for key, numbers in undisturbed.items():
        loss, _, curve, *_ = json.loads(numbers)
        assert np.allclose(found[key].curve["training_loss"], curve["training_loss"], rtol=1e-4)
        assert loss is None or found[key].loss == pytest.approx(loss, rel=1e-4)
