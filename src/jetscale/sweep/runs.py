"""The finished runs of a study as the table that the analysis works on.

It comes from MLflow, or from the record files where MLflow does not answer or does not show them
all; both give the same one: the runs that the results folder has records of. Reading writes
nothing. A folder without any record is answered by MLflow alone where that is asked for. Only runs
of the study as it is now are in it: runs with other settings are not mixed in.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum

import pandas as pd

from jetscale.digests import digest
from jetscale.errors import StorageError, StudyError, SweepError
from jetscale.planning import plan_runs
from jetscale.planning.identity import check_same_recipe, follow, recipe_of, report_variation
from jetscale.scaling.searched import UNSEARCHED
from jetscale.scaling.tuning import TrainingCurve
from jetscale.store.home import Home
from jetscale.store.record import Record, make_table
from jetscale.store.records import RecordStore
from jetscale.study import Study
from jetscale.study.rates import STARTS
from jetscale.study.search import Search
from jetscale.sweep.follow import LiveMirror
from jetscale.tracking.address import database_of, hide_password

_FEWEST = 8  # points of a training curve that has a shape


class RunSource(StrEnum):
    """Where a run table is read from."""

    MLFLOW = "mlflow"
    RECORDS = "records"


def load_runs(
    study: Study, home: Home, tracking: str, source: RunSource | None = None
) -> tuple[pd.DataFrame, list[str]]:
    """Run table of a study (see `jetscale.store.record.make_table`) and warnings about it.

    Without ``source`` the runs are those of MLflow, or of the record files: where nothing of the
    study was mirrored, and with a warning where MLflow does not answer or is behind. Raises
    StudyError where no run has finished or recipes differ, SweepError where MLflow was asked for
    and does not answer, or does not show all records.
    """
    planned = plan_runs(study)
    keys = {run.key for run in planned if run.kind == "finetune"}
    live = LiveMirror(study, home, planned, tracking)
    records, warnings = _read(live, source)
    damaged = {key: line for key, line in live.store.damaged.items() if key in keys}
    frame = make_table(record for record in records if record.key in keys)
    order = frame["mixture"].map([mixture.name for mixture in study.mixtures].index)
    frame = frame.iloc[order.argsort(kind="stable")].reset_index(drop=True)
    if frame.empty:
        others = live.store.count_others(live.keys)
        hint = f" ({others} with other settings are kept)" if others else ""
        lines = [f"{hint}: start it with `jetscale run`", *damaged.values()]
        raise StudyError(f"study {study.name!r} has no finished runs{'; '.join(lines)}")
    whole, starts = recipe_of(study), {run.key: run.start for run in planned}
    told = {start: follow(whole, study.recipe.at(start)) for start in STARTS}
    # a run is told the law of its own start; held fixed are the laws of all starts
    rows = zip(frame["recipe"], frame["key"], strict=True)
    held = [whole if recipe == told[starts[key]] else recipe for recipe, key in rows]
    frame["recipe"] = pd.Series(held, dtype=object)
    frame["recipe_digest"] = [digest(recipe) for recipe in frame["recipe"]]
    check_same_recipe(frame)
    frame["noun"] = study.noun
    rates = study.recipe.optimiser.rates
    if rates is not None:
        frame["search"] = [rates.search * (name in rates.arms) for name in frame["mixture"]]
        places = zip(frame["mixture"], frame["width"], frame["examples"], strict=True)
        near = [rates.regret_at(*place) for place in places]
        frame["regret"] = [one.regret if one else math.nan for one in near]
        frame["regret_error"] = [one.error if one else math.nan for one in near]
    warnings += [*report_variation(frame), *damaged.values()]
    if missing := keys - {*frame["key"], *damaged}:
        warnings.append(f"{len(missing)} of {len(keys)} runs are not done yet")
    if rates is None:
        warnings.append(UNSEARCHED)
    elif other := study.recipe.searched_otherwise:
        warnings.append(other)
    return frame, warnings


def _read(live: LiveMirror, source: RunSource | None) -> tuple[list[Record], list[str]]:
    own = live.store.read_all(live.keys)
    records, asked = list(own.values()), source is RunSource.MLFLOW
    if source is RunSource.RECORDS or not (own or asked):
        return records, []
    try:
        pulled = live.pull(own)
        for record in pulled:
            live.store.check(record, record.key, f"MLflow run {record.key}")
        shown = {record.key: record for record in pulled}  # without curves
        lost = sum(shown.get(key) != replace(record, curve={}) for key, record in own.items())
        if not (pulled or asked) and database_of(live.uri) == live.home.database.resolve():
            return records, []  # nobody named another place, and this one was never told
        if lost:
            where = hide_password(live.uri)
            what = f"MLflow at {where} does not show {lost} of {len(own)} records"
            raise SweepError(f"{what}: add them with `jetscale sync`")
        return pulled, []
    except (SweepError, StorageError) as error:
        if asked:
            raise
        return records, [f"{error}; using the record files instead"]


def load_curves(study: Study, home: Home) -> list[TrainingCurve] | None:
    """The training curves of a study's runs on its task; None where no record file is at hand.

    MLflow would be asked for every curve by itself, so they come from the files alone. Curves that
    cannot be compared, of few points or with losses of zero and below, are left out.
    """
    planned = plan_runs(study)
    keys = [run.key for run in planned if run.kind == "finetune"]
    records = RecordStore.open(study, home, planned).read_all(keys).values()
    curves = [(record, record.curve.get("training_loss", [])) for record in records]
    found = [
        TrainingCurve(
            mixture=record.mixture,
            params=record.params,
            examples=record.examples,
            seed=record.seed,
            points=[(step, loss) for step, loss in points],
            final=points[-1][1],
        )
        for record, points in curves
        if len(points) >= _FEWEST and all(0 < loss < math.inf for _, loss in points)
    ]
    return found if records else None


def attach(
    study: Study,
    home: Home,
    tracking: str,
    texts: Mapping[str, str],
    described: str = "",
    search: Search | None = None,
) -> str:
    """Keep texts, by file name, with the parent run of a study or of its ``search``.

    The run is ``described`` by a text, where there is one.

    Returns why MLflow refused them, or an empty text.
    """
    return LiveMirror(study, home, plan_runs(study), tracking, search).attach(texts, described)
