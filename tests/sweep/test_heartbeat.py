"""Signs of life of a run in a thread; the seconds of the run are those of the test."""

import json
import threading

import pytest
from fixtures.waiting import wait_until

from jetscale.errors import StorageError
from jetscale.store.home import StudyFolder
from jetscale.store.records import RecordStore
from jetscale.sweep import heartbeat as module
from jetscale.sweep.heartbeat import beating


@pytest.fixture
def store(tmp_path):
    store = RecordStore(StudyFolder(tmp_path))
    store.prepare()
    return store


@pytest.fixture
def clock(monkeypatch):
    now = [500.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def sign(store, run):
    return json.loads(store.storage.read(f"running/{run.key}.json"))


def test_signs_come_while_no_step_is_done(store, planned, clock, monkeypatch):
    run = planned[0]
    monkeypatch.setattr(module, "HEARTBEAT_SECONDS", 0.01)
    with beating(store, run) as on_step:
        assert (sign(store, run)["step"], sign(store, run)["still"]) == (0, 0.0)
        for step in (1, 2, 3):
            clock[0] += 2
            on_step(step, run.steps)
        clock[0] += 100
        wait_until(lambda: sign(store, run)["still"] == 100.0)
        found = sign(store, run)
        assert (found["step"], found["steps"]) == (3, run.steps)
        assert found["pace"] == 2.0  # from the first step on: what came before was loading
        clock[0] += 50
        wait_until(lambda: sign(store, run)["still"] == 150.0)
    before = sign(store, run)["time"]
    store.storage.delete(f"running/{run.key}.json")
    threading.Event().wait(0.1)  # a thread that still ran would have written ten times
    assert store.storage.read(f"running/{run.key}.json") is None
    assert before > 0


def test_the_pace_of_a_resumed_run_is_that_of_the_steps_it_made(store, planned, clock, monkeypatch):
    run = planned[0]
    monkeypatch.setattr(module, "HEARTBEAT_SECONDS", 0.01)
    with beating(store, run) as on_step:
        for step in (101, 102):
            clock[0] += 3
            on_step(step, 200)
        wait_until(lambda: sign(store, run)["step"] == 102)
        wait_until(lambda: sign(store, run)["pace"] == 3.0)
    assert (sign(store, run)["step"], sign(store, run)["pace"]) == (102, 3.0)


def test_a_storage_that_is_away_for_a_moment_stops_no_training(store, planned, monkeypatch):
    monkeypatch.setattr(module, "HEARTBEAT_SECONDS", 0.01)
    asked = []

    def away(*_args, **_kwargs):
        asked.append(1)
        if len(asked) > 1:
            raise StorageError("cannot write x: the store does not answer")

    monkeypatch.setattr(store, "beat", away)
    with beating(store, planned[0]) as on_step:
        wait_until(lambda: len(asked) > 3)
        on_step(1, 8)  # raises nothing
    assert len(asked) > 3


def test_a_storage_that_is_away_from_the_start_is_an_error(store, planned, monkeypatch):
    def away(*_args, **_kwargs):
        raise StorageError("cannot write x: the store does not answer")

    monkeypatch.setattr(store, "beat", away)
    with pytest.raises(StorageError), beating(store, planned[0]):
        pytest.fail("nothing is trained")
