"""Freeing what a sweep that was killed left reserved on a standing cluster."""

_MOST = 10_000  # that Ray lists


def free_leftovers() -> int:
    """Remove the placement groups of jobs that have ended; returns how many there were.

    Ray frees what a job reserved when the job ends, but forgets a group that was being made at that
    very moment: its CPUs are then taken for as long as the cluster stands. Groups that are meant to
    stay (detached) and those of running jobs are left alone. Where the dashboard does not answer
    Ray lists no groups, and nothing is done. Needs a connection to Ray.
    """
    import ray
    from ray.util import remove_placement_group
    from ray.util.placement_group import PlacementGroup
    from ray.util.state import list_jobs, list_placement_groups
    from ray.util.state.exception import RayStateApiException

    # this machine may have several clusters
    what = {"address": ray.get_runtime_context().gcs_address, "limit": _MOST}
    try:
        groups = list_placement_groups(
            **what, filters=[("state", "!=", "REMOVED")], detail=True, raise_on_missing_output=False
        )
        jobs = list_jobs(**what, raise_on_missing_output=False)
    except (RayStateApiException, OSError):
        return 0
    ended = {job.job_id for job in jobs if job.status in ("SUCCEEDED", "FAILED", "STOPPED")}
    left = [group for group in groups if not group.is_detached and group.creator_job_id in ended]
    for group in left:
        identity = ray.PlacementGroupID(bytes.fromhex(group.placement_group_id))
        remove_placement_group(PlacementGroup(identity))
    return len(left)
