"""Freeing what dead jobs reserved; with a real dead job in tests/cluster/test_two_hosts.py."""

from types import SimpleNamespace

import pytest

from jetscale.compute.leftovers import free_leftovers

RUNNING, ENDED = "01000000", "02000000"


def group(number: int, job: str, *, detached: bool = False) -> SimpleNamespace:
    identity = f"{number:028x}{job}"
    return SimpleNamespace(placement_group_id=identity, creator_job_id=job, is_detached=detached)


def test_only_groups_of_ended_jobs_go(monkeypatch):
    groups = [
        group(1, RUNNING),
        group(2, ENDED),
        group(3, ENDED, detached=True),
        group(4, "03000000"),  # of a job that is not listed
    ]
    jobs = [
        SimpleNamespace(job_id=RUNNING, status="RUNNING"),
        SimpleNamespace(job_id=ENDED, status="SUCCEEDED"),
    ]
    asked, removed = [], []
    context = SimpleNamespace(gcs_address="10.0.0.1:6379")
    monkeypatch.setattr("ray.get_runtime_context", lambda: context)
    monkeypatch.setattr(
        "ray.util.state.list_placement_groups", lambda **what: asked.append(what) or groups
    )
    monkeypatch.setattr("ray.util.state.list_jobs", lambda **_: jobs)
    monkeypatch.setattr("ray.util.remove_placement_group", removed.append)
    assert free_leftovers() == 1
    assert [each.id.hex() for each in removed] == [groups[1].placement_group_id]
    assert asked[0]["filters"] == [("state", "!=", "REMOVED")]
    assert asked[0]["address"] == "10.0.0.1:6379"


@pytest.mark.integration
@pytest.mark.filterwarnings("default")
def test_without_a_dashboard_nothing_is_done(small_ray):
    assert free_leftovers() == 0
