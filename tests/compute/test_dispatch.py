"""Starting groups and counting how they end, without Ray: calls of the actor are made here."""

from types import SimpleNamespace

import pytest

from jetscale.compute import dispatch as dispatching
from jetscale.compute.capacity import HEAD, count
from jetscale.compute.desk import Desk
from jetscale.compute.dispatch import ALONE, ASK_AGAIN, LOOK, Dispatch, Ended
from jetscale.errors import Failure
from jetscale.planning import plan_runs
from jetscale.planning.board import START_TRIES, Board


def node(name, cpus, *, head=False):
    offer = {"CPU": float(cpus)} | ({HEAD: 1.0} if head else {})
    return {"NodeID": name, "Alive": True, "Resources": offer}


@pytest.fixture
def cluster(monkeypatch):
    """What `ray.nodes` says, a clock that the test sets, and actor calls made in place."""
    found = SimpleNamespace(nodes=[node("h", 1, head=True), node("w", 2)], now=0.0)
    monkeypatch.setattr(dispatching.ray, "get", lambda value: value)
    monkeypatch.setattr(dispatching.ray, "nodes", lambda: found.nodes)
    monkeypatch.setattr(dispatching.time, "monotonic", lambda: found.now)
    return found


@pytest.fixture
def dispatch(study, cluster):
    desk = Desk(Board(plan_runs(study), lambda run: 100.0))
    called = {
        name: SimpleNamespace(remote=getattr(desk, name))
        for name in ("next", "over", "end", "close", "take")
    }
    capacity = count(cluster.nodes, local=False)
    return Dispatch(SimpleNamespace(**called), capacity, Ended())


def test_groups_start_where_there_is_room_and_a_node_that_joins_is_seen(dispatch, cluster):
    assert dispatch.suggest("a") == {"group": "a", "nodes": ["w"]}
    assert dispatch.suggest("b") == {"group": "b", "nodes": ["w"]}
    assert dispatch.suggest("c") is None
    cluster.nodes = [*cluster.nodes, node("late", 1)]
    assert dispatch.suggest("c") is None  # nobody looked yet
    cluster.now += 2 * LOOK
    assert dispatch.suggest("c")["nodes"] == ["late"]
    assert dispatch.ended.slot_seconds == 4 * LOOK


def test_groups_that_do_not_start_end_the_sweep_with_the_cause(dispatch, monkeypatch):
    monkeypatch.setattr(dispatching.ray, "available_resources", lambda: {"CPU": 3.0})
    death = "WorkerGroupStartupTimeoutError: no room in 120 s"
    for i in range(START_TRIES):
        assert dispatch.suggest(str(i))["nodes"] == ["w"]
        dispatch.on_trial_complete(str(i), {"death": death})
    assert dispatch.suggest("more") == Dispatch.FINISHED
    (failure,) = dispatch.ended.failures
    assert (failure.kind, failure.reason) == (
        "SweepError",
        f"{START_TRIES} worker groups in a row did not start on any node: {death}",
    )


def test_groups_that_died_at_work_are_replaced_without_end(dispatch):
    for i in range(6):
        assert dispatch.suggest(str(i)) is not None
        dispatch.desk.take.remote(str(i))
        dispatch.on_trial_complete(str(i), {"death": "killed"} if i % 2 else {"evicted": True})
    assert dispatch.ended.failures == []
    assert (len(dispatch.ended.deaths), dispatch.ended.evicted) == (3, 3)


def test_a_driver_that_dies_is_a_death_and_a_mistake_ends_the_sweep(dispatch):
    dispatch.suggest("a")
    dispatch.desk.take.remote("a")
    dispatch.on_trial_complete("a", None, error=True)
    assert dispatch.ended.deaths == ["its driver died"]
    dispatch.suggest("b")
    dispatch.on_trial_complete("b", {"kind": "StorageError", "reason": "disk full"})
    assert dispatch.ended.failures == [Failure(kind="StorageError", reason="disk full")]
    assert dispatch.suggest("c") == Dispatch.FINISHED
    assert dispatch.desk.take.remote("b").retire


def test_a_sweep_waits_for_nodes_to_come_back_but_not_for_ever(dispatch, cluster):
    cluster.nodes = [node("h", 1, head=True)]
    cluster.now = ALONE - LOOK
    assert dispatch.suggest("a") is None
    assert dispatch.ended.failures == []
    cluster.nodes = [*cluster.nodes, node("w", 2)]
    cluster.now += 2 * LOOK
    assert dispatch.suggest("a")["nodes"] == ["w"]
    dispatch.desk.take.remote("a")
    cluster.nodes = cluster.nodes[:1]
    dispatch.on_trial_complete("a", {"death": "node lost"})
    cluster.now += ALONE
    dispatch.suggest("b")
    cluster.now += 2 * LOOK
    assert dispatch.suggest("b") == Dispatch.FINISHED
    assert "no node has had room" in dispatch.ended.failures[-1].reason


def test_a_node_that_does_not_see_the_results_gets_no_group(dispatch, cluster):
    dispatch.problem = lambda node: "does not see /data" if node["NodeID"] == "blind" else ""
    cluster.nodes = [cluster.nodes[0], node("blind", 4), node("late", 1)]
    cluster.now += 2 * LOOK
    assert dispatch.suggest("a")["nodes"] == ["late"]
    assert dispatch.suggest("b") is None
    assert dispatch.ended.excluded == {"blind": "does not see /data"}


def test_a_node_that_was_mended_is_asked_again_and_used(dispatch, cluster):
    asked, told = [], {"blind": "does not see /data"}

    def problem(node):
        asked.append(node["NodeID"])
        return told.get(node["NodeID"], "")

    dispatch.problem = problem
    cluster.nodes = [cluster.nodes[0], node("blind", 1)]
    for _ in range(3):
        cluster.now += 2 * LOOK
        assert dispatch.suggest("a") is None
    assert asked == ["blind"]  # an answer may take long: not at every look
    told.clear()
    cluster.now += ASK_AGAIN
    assert dispatch.suggest("a")["nodes"] == ["blind"]
    assert dispatch.ended.excluded == {}


def test_a_group_that_others_left_no_room_for_is_no_fault_of_its_node(dispatch, monkeypatch):
    death = "WorkerGroupStartupTimeoutError: no room in 120 s"
    monkeypatch.setattr(dispatching.ray, "available_resources", lambda: {"CPU": 0.9})
    for i in range(2 * START_TRIES):
        assert dispatch.suggest(str(i))["nodes"] == ["w"]
        dispatch.on_trial_complete(str(i), {"death": death})
    assert (dispatch.ended.failures, dispatch.ended.deaths) == ([], [])
    assert dispatch.ended.crowded == 2 * START_TRIES
    # with room it is one
    monkeypatch.setattr(dispatching.ray, "available_resources", lambda: {"CPU": 2.0})
    dispatch.suggest("last")
    dispatch.on_trial_complete("last", {"death": death})
    assert dispatch.ended.deaths == [death]
