"""The runs of a search as a table: what `jetscale.tuning` finds the rates from."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from jetscale.compute.searchers import Space, propose
from jetscale.errors import Diverged, StudyError
from jetscale.planning import Run
from jetscale.planning.search import Tried, plan_search
from jetscale.scaling.tuning import setting_effects
from jetscale.store.home import Home
from jetscale.store.record import Record
from jetscale.store.records import RecordStore, RunStatus
from jetscale.study import Study
from jetscale.study.search import Search

COLUMNS = (
    *("start", "mixture", "width", "params", "examples", "steps", "rate", "seed", "loss"),
    *("factor", "setting", "test_loss", "key"),
)


def load_search(study: Study, search: Search, home: Home) -> pd.DataFrame:
    """The table of a finished search; raises StudyError while runs are missing."""
    tried = plan_search(study, search)
    store = RecordStore.open(study, home, [one.run for one in tried])
    states = {row.key: row for row in store.status([one.run for one in tried])}
    open_runs = [row for row in states.values() if row.loss is None and not _diverged(row)]
    missing = sum(row.kind == "finetune" for row in open_runs)
    if missing:
        raise StudyError(
            f"study {study.name!r}: {missing} of {len(states)} runs of its search are not done: "
            + "; ".join(["go on with `jetscale tune`", *store.damaged.values()][:2])
        )
    return search_table(tried, store.read_all(states))


def search_table(tried: Sequence[Tried], records: Mapping[str, Record]) -> pd.DataFrame:
    """One row per run of a search and rate that it tries; ``loss`` is the validation loss.

    A run without a record diverged and has an infinite loss. The runs that rates of pretraining are
    judged by are there twice: as ``pretrained`` where their own rate is tried, and as
    ``pretraining``, with the rate and steps of their trunk. ``factor`` is the rate over that of the
    study, ``setting``
    what else was changed, ``test_loss`` is for looking back alone: nothing is chosen by it.
    """
    trunks = {one.run.key: one.run for one in tried if one.run.kind == "pretrain"}
    silent = [r for r in records.values() if r.kind == "finetune" and r.validation_loss is None]
    if silent:
        raise StudyError(
            f"the command left no validation_loss of run {silent[0].key}: rates are chosen by it, "
            "never by the test loss; let it write one and raise the version of the command"
        )
    rows = []
    for one in (one for one in tried if one.run.kind == "finetune"):
        run, point, record = one.run, one.point, records.get(one.run.key)
        told = {
            "mixture": run.mixture.name,
            "width": run.size.width,
            "params": run.params,
            "examples": run.examples,
            "seed": run.seed,
            "loss": math.inf if record is None else record.validation_loss,
            "setting": point.told,
            "test_loss": math.nan if record is None else record.loss,
            "key": run.key,
        }
        if point.told or point.pretraining_rate == 1:
            rows.append(told | _rate(run, point.rate))
        if run.trunk is not None and point.rate == 1 and not point.told:
            rows.append(told | _rate(trunks[run.trunk], point.pretraining_rate))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def extend_search(
    study: Study,
    search: Search,
    space: Space,
    how: str,
    count: int,
    home: Home,
    train: Callable[[Search], None],
) -> Search:
    """The search with ``count`` points of a space, proposed by how good those before them were.

    Every point is trained by ``train`` for every mixture, so all are searched alike. Raises what
    `jetscale.compute.searchers.propose` raises, SweepError where runs could not be trained.
    """

    def judge(points: list[dict[str, Any]]) -> list[float]:
        longer = search.extend(points)
        train(longer)
        table = load_search(study, longer, home)
        effects = {one.setting: one.effect for one in setting_effects(table)}
        return [effects[point.told] for point in longer.points[len(search.points) :]]

    return search.extend(propose(how, space, count, judge))


def _rate(run: Run, factor: float) -> dict[str, object]:
    """What a row says of the training whose rate is tried."""
    return {"start": run.start, "steps": run.steps, "rate": run.peak_rate, "factor": factor}


def _diverged(row: RunStatus) -> bool:
    return row.failure is not None and row.failure.kind == Diverged.__name__
