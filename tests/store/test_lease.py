"""Leases whose holders die, are slow or meet; the time is that of the test."""

import json
from uuid import uuid4

import pytest
from fixtures.locks import ask_at_once
from fixtures.waiting import wait_until

from jetscale.store import lease as module
from jetscale.store.lease import STALE_SECONDS, lease
from jetscale.store.remote import RemoteStorage
from jetscale.store.storage import Held

NAME = "run.lock"


@pytest.fixture
def clock(monkeypatch):
    """Seconds that the leases take for the time."""
    now = [1000.0]
    monkeypatch.setattr(module.time, "time", lambda: now[0])
    return now


@pytest.fixture(params=["memory", "s3"])
def files(request):
    if request.param == "memory":
        return RemoteStorage(f"memory://{uuid4().hex}")
    return RemoteStorage(f"s3://{request.getfixturevalue('make_bucket')()}/runs")


def left_behind(files, clock, holder="gone"):
    """The lease of a process that was killed now."""
    content = {"id": holder, "owner": f"{holder} (process 7)", "time": clock[0]}
    files.write(NAME, json.dumps(content).encode())


@pytest.mark.long
def test_the_lease_of_a_dead_one_holds_until_it_is_stale(files, clock):
    left_behind(files, clock)
    clock[0] += STALE_SECONDS - 1
    with pytest.raises(Held, match=r"gone \(process 7\), heard of 59 s ago"), lease_of(files):
        pytest.fail("it is held")
    clock[0] += 2
    with lease_of(files):
        assert json.loads(files.read(NAME))["id"] != "gone"
        assert files.names("") == [f"/{NAME}"]
    assert files.read(NAME) is None


def lease_of(files):
    return lease(files, NAME, wait=False)


@pytest.mark.slow
def test_a_lease_that_is_renewed_is_never_stale(files, clock, monkeypatch):
    monkeypatch.setattr(module, "RENEW_SECONDS", 0.01)
    with lease_of(files):
        clock[0] += 10 * STALE_SECONDS
        wait_until(lambda: json.loads(files.read(NAME))["time"] == clock[0])
        with pytest.raises(Held), lease_of(files):
            pytest.fail("it is held")


@pytest.mark.slow
def test_of_many_who_find_it_stale_one_takes_it(files, clock):
    left_behind(files, clock)
    clock[0] += STALE_SECONDS + 1
    assert len(ask_at_once(lambda: lease_of(files), asked=4)) == 3
    assert files.read(NAME) is None  # who took it gave it back


@pytest.mark.slow
def test_who_died_while_taking_it_over_stops_nobody_for_ever(files, clock):
    left_behind(files, clock)
    clock[0] += STALE_SECONDS + 1
    claim = {"id": "second", "owner": "second", "time": clock[0]}
    files.write(f"{NAME}.gone", json.dumps(claim).encode())
    with pytest.raises(Held), lease_of(files):
        pytest.fail("another is just taking it")
    clock[0] += STALE_SECONDS + 1
    with pytest.raises(Held), lease_of(files):
        pytest.fail("the claim goes first")
    with lease_of(files):
        assert files.read(f"{NAME}.gone") is None


@pytest.mark.slow
def test_who_saw_it_stale_before_another_took_it_is_refused(files, clock, monkeypatch):
    """B reads the stale lease; C takes it over and is done with its claim; then B claims."""
    left_behind(files, clock)
    clock[0] += STALE_SECONDS + 1
    create, taken = files.create, []

    def slow(name, content):
        if name.startswith(f"{NAME}.") and not taken:
            taken.append(name)
            files.write(NAME, json.dumps({"id": "c", "owner": "c", "time": clock[0]}).encode())
        return create(name, content)

    monkeypatch.setattr(files, "create", slow)
    with pytest.raises(Held), lease_of(files):
        pytest.fail("c has it")
    assert json.loads(files.read(NAME))["id"] == "c"
    assert taken == [f"{NAME}.gone"]


def test_a_holder_that_lost_its_lease_leaves_the_other_one_alone(files, clock):
    with lease_of(files):
        left_behind(files, clock, "other")
        clock[0] += 1
    assert json.loads(files.read(NAME)) == {
        "id": "other",
        "owner": "other (process 7)",
        "time": clock[0] - 1,
    }


def test_a_lease_that_is_given_back_at_this_moment_is_free(files, clock, monkeypatch):
    create = files.create

    def late(name, content):
        monkeypatch.undo()
        left_behind(files, clock)
        made = create(name, content)
        files.delete(name)
        return made

    monkeypatch.setattr(files, "create", late)
    with lease_of(files):
        assert json.loads(files.read(NAME))["id"] != "gone"


def test_a_lease_that_cannot_be_read_is_stale(files):
    files.write(NAME, b"{")
    with lease_of(files):
        assert json.loads(files.read(NAME))["owner"].endswith(")")
