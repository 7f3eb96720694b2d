"""What a call of `run_study` will do, and how long that takes here."""

from jetscale.machines import cores
from jetscale.mixtures.inputs import jets_to_simulate
from jetscale.planning import plan_runs
from jetscale.planning.ahead import Ahead, ahead
from jetscale.planning.search import plan_search
from jetscale.store.home import Home
from jetscale.store.records import RecordStore, find_finished
from jetscale.study import Study
from jetscale.study.search import Search


def still_ahead(study: Study, home: Home, search: Search | None = None) -> Ahead | None:
    """The jets and runs of a study, or of a ``search``, that are missing; None without any."""
    if search is None:
        runs = list(plan_runs(study))
    else:
        runs = [tried.run for tried in plan_search(study, search)]
    done = find_finished(RecordStore.open(study, home, runs), runs)
    todo = [run for run in runs if run.key not in done]
    if not todo:
        return None
    return ahead(todo, jets_to_simulate(study, home.path), cores(), study.workers_per_run)
