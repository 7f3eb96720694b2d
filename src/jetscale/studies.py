"""What is done with a study or its sweep file from Python: planned, trained, tuned, watched, read.

Results are in the folder ``home``: by default $JETSCALE_HOME, or ./runs.
"""

import logging
from pathlib import Path
from typing import Any

import pandas as pd

from jetscale import measures
from jetscale.errors import StudyError, unknown
from jetscale.machines import Machines, cores
from jetscale.measures import MeasureTable
from jetscale.mixtures.declared import Progress
from jetscale.planning import plan_runs
from jetscale.planning.overview import Plan, overview
from jetscale.shown import later
from jetscale.store.home import Home
from jetscale.store.local import locked
from jetscale.store.records import RecordStore, Status
from jetscale.study import Study
from jetscale.study.load import load_study
from jetscale.study.search import Search, make_search
from jetscale.sweep.runs import RunSource, load_runs
from jetscale.sweep.tune import load_search
from jetscale.tracking.address import tracking_uri
from jetscale.tuning import Tuning, tuned

_LOG = logging.getLogger("jetscale")
Sweep = Study | str | Path
Place = str | Path | None


def study_of(runs: Any) -> Study | None:
    """The study itself, or that of a sweep file; None for runs without a plan."""
    is_sweep = isinstance(runs, str | Path) and Path(runs).suffix == ".py"
    return _known(runs) if is_sweep or isinstance(runs, Study) else None


def _known(sweep: Sweep) -> Study:
    return sweep if isinstance(sweep, Study) else load_study(sweep)


def plan(study: Sweep, slots: int | None = None) -> Plan:
    """What a study or sweep file trains and costs, on so many cores; by default all of here."""
    return overview(_known(study), slots or cores())


def run(study: Sweep, *, home: Place = None, address: str | None = None) -> Any:
    """Train what is missing, here or on the Ray cluster at ``address``."""
    return _train(_known(study), Home.at(home), address)


def _train(study: Study, home: Home, address: str | None, search: Search | None = None) -> Any:
    train, machines = later("sweep.launch", "run_study"), Machines(address=address)
    return train(study, home, tracking=tracking_uri(home), machines=machines, search=search)


def tune(study: Sweep, *, home: Place = None, address: str | None = None, **search: Any) -> Tuning:
    """Search the learning rates of a study, alike for every mixture, training what is missing.

    ``search`` are the arguments of `jetscale.study.search.make_search`; the answer writes the
    recipe file that a sweep file loads: ``js.tune(study).write("mine.recipe.json")``.
    """
    study, folder = _known(study), Home.at(home)
    asked = make_search(study, **search)
    _train(study, folder, address, asked)
    return tuned(study, asked, load_search(study, asked, folder))


def status(study: Sweep, *, home: Place = None) -> Status:
    """State of every planned run of a study or sweep file, and why it is not done."""
    planned = plan_runs(study := _known(study))
    store = RecordStore.open(study, Home.at(home), planned)
    rows, others = store.status(planned), store.count_others([run.key for run in planned])
    return Status(study=study.name, others=others, runs=tuple(rows))


def runs(study: Sweep, *, home: Place = None, source: str | None = None) -> pd.DataFrame:
    """The finished runs of a study as a table (see `jetscale.sweep.runs.load_runs`).

    ``source`` is ``mlflow`` or ``records``; if not given what answers, in this order. What is to be
    known of the runs is logged, and in ``attrs["notes"]`` of the table.
    """
    if source and source not in (known := [each.value for each in RunSource]):
        raise StudyError(unknown("source", source, known))
    folder, chosen = Home.at(home), RunSource(source) if source else None
    frame, told = load_runs(_known(study), folder, tracking_uri(folder), chosen)
    for line in told:
        _LOG.warning(line)
    frame.attrs["notes"] = told
    return frame


def measure(
    study: Sweep,
    *,
    home: Place = None,
    jets: int | None = None,
    figure: str | Path | None = None,
    progress: Progress = lambda what, done, total: None,
) -> MeasureTable:
    """How diverse each mixture is and how near to the task, on jets that are simulated if missing.

    Table and map of the mixtures are kept in the results folder, or the map in ``figure``.
    """
    study, folder, jets = _known(study), Home.at(home), jets or measures.JETS
    drawn = Path(figure) if figure else folder.study(study).map
    measures.check_figure(drawn)
    measures.check_measurable(study, jets)
    executor = later("compute.connect", "executor")(None, folder.path)
    with executor as chosen, locked(folder.preparing_lock):
        shards = later("sweep.shards", "keep_shards")(study, folder, chosen, progress)
    found = measures.measure_study(study, folder, shards, progress, jets)
    measures.draw_axes(found.axes, drawn)
    measures.save_measures(found, study, folder)
    if figure is None:
        folder.study(study).put(drawn)
    return found
