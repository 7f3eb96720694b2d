"""What is asked of runs from Python: what `fit`, `compare`, `allocate` and others answer.

Runs are a study, a sweep file, a table in a file of any kind, a DataFrame, or laws fitted to them.
``columns`` are the names of columns there, by the name here: ``{"params": "N"}``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from numbers import Real
from pathlib import Path
from typing import Any

import pandas as pd

from jetscale import scaling, studies
from jetscale.analysis import analyse, largest_decade
from jetscale.answers import PARTS, ThreeAnswers, three_answers
from jetscale.errors import FitError, TableError, unknown
from jetscale.measures import load_measures
from jetscale.planning.identity import flatten
from jetscale.planning.overview import power_grid
from jetscale.scaling import Allocation, Budget, Options, StudyFit, Terms
from jetscale.scaling.kept import kept_fit
from jetscale.scaling.power.grid import Grid
from jetscale.shown import later
from jetscale.store.home import Home
from jetscale.study import Study
from jetscale.sweep.runs import load_curves

Source = pd.DataFrame | StudyFit | Study | str | Path
Columns = Mapping[str, str] | None


def table(
    source: Source, columns: Columns = None, *, noun: str = "", metric: str = ""
) -> pd.DataFrame:
    """A checked run table, of runs of any kind.

    ``noun`` is what an example is called, ``metric`` a score to analyse in the place of the loss;
    ``attrs["notes"]`` says what was taken for something. Raises TableError where there is no table.
    """
    if not isinstance(columns, Mapping | None):
        raise TableError(f"columns is {columns!r}, needs a mapping, e.g. {{'params': 'N'}}")
    if isinstance(source, str | Path) and Path(source).suffix != ".py":
        return scaling.read_runs(source, columns, noun, metric)
    frame: Any = source.runs if isinstance(source, StudyFit) else source
    if isinstance(source, Study | str | Path):
        frame = studies.runs(source)
    if not isinstance(frame, pd.DataFrame):
        what = "needs a study, a file, a DataFrame or fitted laws"
        raise TableError(f"runs are given as {type(source).__name__}, {what}")
    return scaling.validate(frame, columns, noun=noun, metric=metric)


def fit(
    runs: Source, options: Options | None = None, *, columns: Columns = None, **settings: Any
) -> StudyFit:
    """The laws and frontiers of runs (see `jetscale.scaling.fit`).

    ``settings`` are fields of `jetscale.scaling.Options`: ``js.fit("runs.csv", law="no-floor")``.
    What was fitted before comes from the user's cache, and laws are returned as they are.
    """
    if isinstance(runs, StudyFit) and options is None and not settings:
        return runs
    if not isinstance(options, Options | None):
        raise FitError(f"options is {options!r}, needs js.Options(...), or keywords: law='auto'")
    given = runs.options if isinstance(runs, StudyFit) else Options()
    known = [each.name for each in fields(Options)]
    for name in settings.keys() - known:
        raise FitError(unknown("option of fit", name, known))
    return kept_fit(table(runs, columns), replace(options or given, **settings))


def answer(runs: Source, *, columns: Columns = None, budget: float | None = None) -> ThreeAnswers:
    """What is bought, how it scales, where a budget goes: what ``jetscale fit`` prints.

    The ``budget`` is in FLOPs; by default the largest power of ten within the runs.
    """
    how: dict[str, Any] = {"budgets": largest_decade if budget is None else (budget,)}
    asked = runs.options if isinstance(runs, StudyFit) else None
    return three_answers(analyse(table(runs, columns), asked, parts=PARTS, fit=kept_fit, **how))


def paired(
    runs: Source, baseline: str | None = None, *, columns: Columns = None
) -> scaling.PairedStudy:
    """Losses of mixtures compared run by run, no law assumed (see `jetscale.scaling.pair_runs`)."""
    return scaling.pair_runs(table(runs, columns), baseline)


def compare(
    runs: Source, budget: float | None = None, *, unlike_search: bool = False, **fitted: Any
) -> scaling.Comparison:
    """Whether mixtures scale differently (see `scaling.compare`); ``fitted`` goes to `fit`."""
    if not isinstance(budget, Real | None):
        raise FitError(f"budget is {budget!r}, needs FLOPs, e.g. 1e12")
    return scaling.compare(fit(runs, **fitted), budget, unlike_search=unlike_search)


def allocate(
    runs: Source,
    budget: float | Budget | Terms,
    *,
    mixture: str | None = None,
    ladder: Sequence[float] | bool = (),
    route: str = "law",
    **fitted: Any,
) -> Allocation:
    """Model size, data size, mixture and loss for a budget (see `jetscale.scaling.allocate`).

    The budget is in FLOPs, or e.g. ``js.Terms(gpu_hours=100, device="H100", mfu=0.3)``.
    ``ladder=True`` chooses among the model sizes that were run. ``fitted`` goes to `fit`.
    """
    if not isinstance(budget, Real | Budget | Terms):
        raise FitError(f"budget is {budget!r}, needs FLOPs, e.g. 1e12, or js.Terms(gpu_hours=...)")
    laws = fit(runs, **fitted)
    amount = budget.budget(laws.runs) if isinstance(budget, Terms) else budget
    sizes = sorted(laws.runs["params"].unique()) if ladder is True else ladder or ()
    return scaling.allocate(laws, amount, mixture=mixture, ladder=sizes, route=route)


def power(
    source: Source | Grid, *, like: Source | None = None, columns: Columns = None, **assumed: Any
) -> scaling.Power:
    """What a planned study, a grid, or a table of runs can say (see `jetscale.scaling.power`).

    ``like`` has runs whose laws and noise are assumed; those of a table are its own by default.
    """
    pilot = None if like is None else table(like)
    if (study := studies.study_of(source)) is not None:
        source = power_grid(study)
    if isinstance(source, Grid):
        return scaling.power(source, pilot=pilot, **assumed)
    frame = table(source, columns)
    own = frame if pilot is None and assumed.get("law") is None else pilot
    return scaling.power(scaling.grid_of(frame), pilot=own, **assumed)


def make_report(source: Source, title: str = "", *, columns: Columns = None, **asked: Any) -> Any:
    """The report of runs; ``js.make_report(study).write("report.html")`` is ``jetscale report``.

    ``asked`` goes to `jetscale.report.make_report`.
    """
    if study := studies.study_of(source):
        return report_of(studies.runs(study), study, title=title or study.name, **asked)
    how = {"options": source.options} if isinstance(source, StudyFit) else {}
    whole = isinstance(source, pd.DataFrame) and columns is None  # its recipe is shown
    frame: Any = source if whole else table(source, columns)
    return report_of(frame, None, title=title or "Runs", **how | asked)


def report_of(frame: pd.DataFrame, study: Study | None, **asked: Any) -> Any:
    """The report of a run table, with what was measured, curves and recipe of its study."""
    fixed, home = flatten(frame["recipe"].iloc[0]) if "recipe" in frame else None, Home.at()
    how: dict[str, Any] = {"held_fixed": fixed, "fit": kept_fit}
    how["warnings"] = list(frame.attrs.get("notes", ()))
    if study is not None:
        how |= {"measures": load_measures(study, home), "curves": load_curves(study, home)}
    return later("report", "make_report")(frame, **how | asked)
