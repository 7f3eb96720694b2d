"""From a search to every training it takes, each once."""

from dataclasses import dataclass

from jetscale.planning.run import Run, plan_runs
from jetscale.study.search import Point, Search
from jetscale.study.study import Study


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """A run of a search, and the first of the points that it belongs to.

    Runs whose numbers two points do not change are the same run: scratch has no pretraining rate.
    """

    run: Run
    point: Point


def plan_search(study: Study, search: Search) -> tuple[Tried, ...]:
    """Every run of a search, trunks before what starts from them; runs of the study keep its keys.

    Raises what `jetscale.planning.plan_runs` raises.
    """
    found: dict[str, Tried] = {}
    for point in search.points:
        for run in plan_runs(search.on(study, point)):
            found.setdefault(run.key, Tried(run=run, point=point))
    return tuple(found.values())
