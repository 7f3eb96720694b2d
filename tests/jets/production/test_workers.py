import multiprocessing
import os
import time
from concurrent.futures import Future

import pytest

from jetscale.jets.generator.conditions import Conditions
from jetscale.jets.production import chunks, workers
from jetscale.jets.production.workers import Workers, simulation_workers


class Recorder:
    """An executor that does what it is given at once and notes the order."""

    def __init__(self):
        self.orders = []

    def submit(self, work, *args):
        self.orders.append(args)
        future = Future()
        try:
            future.set_result(work(*args))
        except RuntimeError as error:
            future.set_exception(error)
        return future


@pytest.fixture
def shared(monkeypatch):
    monkeypatch.setattr(
        chunks, "make_overlay", lambda seed, role, window: (f"pool {seed} {role}", 2.5)
    )
    return Workers(Recorder())


def test_the_overlay_of_a_seed_and_role_is_made_once(shared):
    assert shared.overlay(1, "train") == shared.overlay(1, "train") == ("pool 1 train", 2.5)
    assert shared.overlay(2, "train")[0] == "pool 2 train"
    assert shared.overlay(1, "test")[0] == "pool 1 test"
    wide = Conditions("jetclass2")
    shared.overlay(1, "test", wide)
    shared.overlay(1, "test", Conditions("jetclass2", pileup=20.0))
    orders = [(seed, role, window.name) for seed, role, window in shared.executor.orders]
    default = [(1, "train", "jetclass"), (2, "train", "jetclass"), (1, "test", "jetclass")]
    assert orders == [*default, (1, "test", "jetclass2")]


def test_an_overlay_may_be_started_ahead(shared):
    shared.start_overlay(1, "train")
    shared.start_overlay(1, "train")
    assert shared.overlay(1, "train") == ("pool 1 train", 2.5)
    assert len(shared.executor.orders) == 1


def test_a_failed_overlay_fails_where_it_is_asked_for(shared, monkeypatch):
    def fail(seed, role, window):
        raise RuntimeError("no soft events")

    monkeypatch.setattr(chunks, "make_overlay", fail)
    shared.start_overlay(1, "train")
    with pytest.raises(RuntimeError, match="no soft events"):
        shared.overlay(1, "train")


class FakePool:
    """Notes how `simulation_workers` opens and closes its executor."""

    def __init__(self, number, *, mp_context, initializer, initargs):
        assert mp_context.get_start_method() == "spawn"
        assert initializer is chunks.start_worker
        self.number, (self.stop,) = number, initargs
        self.closed = None

    def shutdown(self, **how):
        assert self.stop.is_set()  # chunks at work must end before they are waited for
        self.closed = how


@pytest.mark.parametrize("failure", [None, ValueError, KeyboardInterrupt])
def test_workers_end_with_the_block_however_it_ends(monkeypatch, failure):
    monkeypatch.setattr(workers, "ProcessPoolExecutor", FakePool)
    pools = []

    def use():
        with simulation_workers(3) as shared:
            pools.append(shared.executor)
            assert not shared.executor.stop.is_set()
            if failure:
                raise failure

    if failure:
        with pytest.raises(failure):
            use()
    else:
        use()
    assert pools[0].number == 3
    assert pools[0].closed == {"wait": True, "cancel_futures": True}


@pytest.mark.integration
def test_real_workers_are_other_processes_and_leave_none_behind():
    with simulation_workers(1) as shared:
        assert shared.executor.submit(os.getpid).result() != os.getpid()
        waiting = [shared.executor.submit(time.sleep, 0.05) for _ in range(50)]
    assert waiting[-1].cancelled()
    assert multiprocessing.active_children() == []
