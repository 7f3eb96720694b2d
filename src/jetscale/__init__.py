"""jetscale: what to pretrain on, how it scales, and how to spend the compute.

In a notebook or a script::

    import jetscale as js

    study = js.load_study("sweeps/quickstart.py")
    js.overview(study)                what it trains and costs
    js.tune(study)                    learning rates, searched alike for every mixture
    js.run(study)                     train what is missing
    runs = js.runs(study)             the finished runs, a DataFrame
    print(js.answer(runs))            what is bought, how it scales, where to spend
    laws = js.fit(runs)               L(N, D) and the frontier of each mixture
    print(js.allocate(laws, 1e12))    this many parameters, so many jets, that mixture

Everything is imported when it is first used.
"""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from jetscale.answers import ThreeAnswers
    from jetscale.scaling import Options, StudyFit
    from jetscale.store.records import RunStatus
    from jetscale.study import Study
    from jetscale.sweep.launch import Outcome
    from jetscale.tuning import Tuning

__version__ = "0.2.0"

_ELSEWHERE = {
    "analyse": "jetscale.analysis",
    "as_json": "jetscale.jsonable",
    "load_study": "jetscale.study.load",
    "measure_study": "jetscale.measures",
    "make_report": "jetscale.report",
    "write_shards": "jetscale.jets.shards",
    "write_jets": "jetscale.jets.ingest.write",
    **dict.fromkeys(
        ("allocate", "compare", "diagnose", "pair_runs", "power", "read_runs"),
        "jetscale.scaling",
    ),
}


def __getattr__(name: str) -> Any:
    """Functions of the rooms, imported at first use."""
    if name not in _ELSEWHERE:
        raise AttributeError(f"module 'jetscale' has no attribute {name!r}")
    return getattr(import_module(_ELSEWHERE[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_ELSEWHERE])


def _study_of(study: "Study | str | Path") -> "Study":
    """The study itself, or that of a sweep file."""
    from jetscale.study.load import load_study

    return load_study(study) if isinstance(study, str | Path) else study


def overview(study: "Study | str | Path") -> dict[str, Any]:
    """What a study or sweep file trains and costs (see `jetscale.planning.overview.overview`)."""
    from jetscale.planning.overview import overview

    return overview(_study_of(study))


def run(
    study: "Study | str | Path", *, home: str | Path | None = None, address: str | None = None
) -> "Outcome":
    """Train what is missing of a study or sweep file (see `jetscale.sweep.launch.run_study`).

    ``home`` is the results folder, ``address`` a Ray cluster to join.
    """
    from jetscale.machines import Machines
    from jetscale.store.home import Home
    from jetscale.sweep.launch import run_study
    from jetscale.tracking.address import tracking_uri

    folder = Home.at(home)
    machines = Machines(address=address)
    return run_study(_study_of(study), folder, tracking=tracking_uri(folder), machines=machines)


def table(
    source: "pd.DataFrame | Study | str | Path", columns: "Mapping[str, str] | None" = None
) -> "pd.DataFrame":
    """A checked run table, of a table, a file of any kind, a study or a sweep file.

    ``columns`` are names of columns there, by the name here: ``{"params": "N"}``. Raises TableError
    where it is no run table.
    """
    import pandas as pd

    from jetscale.scaling import read_runs, validate

    if isinstance(source, pd.DataFrame):
        return validate(source, columns)
    if isinstance(source, str | Path) and Path(source).suffix != ".py":
        return read_runs(source, columns)
    return validate(runs(source), columns)


def fit(
    runs: "pd.DataFrame | Study | str | Path",
    options: "Options | None" = None,
    *,
    columns: "Mapping[str, str] | None" = None,
    **settings: Any,
) -> "StudyFit":
    """The laws and frontiers of runs as `table` takes them (see `jetscale.scaling.fit`).

    ``settings`` are fields of `jetscale.scaling.Options`: ``js.fit("runs.csv", law="no-floor")``.
    """
    from jetscale import scaling

    return scaling.fit(table(runs, columns), options, **settings)


def answer(
    runs: "pd.DataFrame | Study | str | Path",
    *,
    columns: "Mapping[str, str] | None" = None,
    budget: float | None = None,
) -> "ThreeAnswers":
    """What is bought, how it scales, where a budget goes: what ``jetscale fit`` prints.

    The ``budget`` is in FLOPs; by default the largest power of ten within the runs.
    """
    from jetscale.analysis import analyse, largest_decade
    from jetscale.answers import PARTS, three_answers

    budgets = largest_decade if budget is None else (budget,)
    return three_answers(analyse(table(runs, columns), parts=PARTS, budgets=budgets))


def tune(
    study: "Study | str | Path",
    *,
    home: str | Path | None = None,
    address: str | None = None,
    **search: Any,
) -> "Tuning":
    """Search the learning rates of a study, alike for every mixture, training what is missing.

    ``search`` are the arguments of `jetscale.study.search.make_search`; the answer writes the
    recipe file that a sweep file loads: ``js.tune(study).write("mine.recipe.json")``.
    """
    from jetscale.machines import Machines
    from jetscale.store.home import Home
    from jetscale.study.search import make_search
    from jetscale.sweep.launch import run_study
    from jetscale.sweep.tune import load_search
    from jetscale.tracking.address import tracking_uri
    from jetscale.tuning import tuned

    folder, study = Home.at(home), _study_of(study)
    asked = make_search(study, **search)
    machines = Machines(address=address)
    run_study(study, folder, tracking=tracking_uri(folder), machines=machines, search=asked)
    return tuned(study, asked, load_search(study, asked, folder))


def status(study: "Study | str | Path", *, home: str | Path | None = None) -> "list[RunStatus]":
    """State of every planned run of a study or sweep file, and why it is not done."""
    from jetscale.planning import plan_runs
    from jetscale.store.home import Home
    from jetscale.store.records import RecordStore

    planned = plan_runs(study := _study_of(study))
    return RecordStore.open(study, Home.at(home), planned).status(planned)


def runs(
    study: "Study | str | Path", *, home: str | Path | None = None, source: str | None = None
) -> "pd.DataFrame":
    """The finished runs of a study as a table (see `jetscale.sweep.runs.load_runs`).

    ``source`` is ``mlflow`` or ``records``; if not given MLflow, and the records where it does not
    answer.
    """
    from jetscale.errors import StudyError, unknown
    from jetscale.store.home import Home
    from jetscale.sweep.runs import RunSource, load_runs
    from jetscale.tracking.address import tracking_uri

    if source and source not in (known := [each.value for each in RunSource]):
        raise StudyError(unknown("source", source, known))
    folder, chosen = Home.at(home), RunSource(source) if source else None
    return load_runs(_study_of(study), folder, tracking_uri(folder), chosen)[0]
