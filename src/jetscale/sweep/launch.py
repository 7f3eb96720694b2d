"""Run a study on Ray: prepare the jets, train what is missing, mirror it to MLflow.

Tune's own state is not relied on: what is done is decided by the record store alone, so a study
that was killed anywhere goes on with the runs that are missing.
"""

import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from jetscale.compute.capacity import Capacity, check_fits
from jetscale.compute.connect import connection, named_cluster
from jetscale.compute.dispatch import Ended
from jetscale.compute.trials import Storage, train
from jetscale.errors import Failure, StorageError, SweepError
from jetscale.machines import Machines
from jetscale.mixtures.declared import Progress
from jetscale.planning import Run, plan_runs
from jetscale.planning.board import Board
from jetscale.planning.cost import check_budgets
from jetscale.planning.identity import recipe_of
from jetscale.planning.search import plan_search
from jetscale.planning.timing import Speed, Took, learn_speed
from jetscale.store.copies import storage_check
from jetscale.store.home import Home, StudyFolder
from jetscale.store.local import check_space, make_folder
from jetscale.store.models import about_unkept
from jetscale.store.record import Record
from jetscale.store.records import RecordStore, RunState, find_finished
from jetscale.store.remote import storage_at
from jetscale.store.storage import Held
from jetscale.study import Study
from jetscale.study.search import Search
from jetscale.sweep.command import check_workers
from jetscale.sweep.follow import LiveMirror, following
from jetscale.sweep.prepare import prepare_streams
from jetscale.sweep.stop import stopping
from jetscale.sweep.worker import Job, run_job


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a call of `run_study` did."""

    done: int
    planned: int
    trained: int  # runs trained by this call
    failed: int
    seconds: float
    """Wall time of the sweep: from the first trial's submission to the last one's end."""
    busy: float  # share of sweep wall time x workers that fit, in optimiser steps and evaluation
    failures: tuple[Failure, ...]  # why the sweep ended before it was done
    deaths: tuple[str, ...]  # why worker groups died; others went on with their runs
    evicted: int  # worker groups that were told to end, as those of spot machines are
    recomputed: float  # share of this call's optimiser steps that was made for the second time
    idle: str  # which CPUs were idle beside GPUs; empty where few were
    excluded: Mapping[str, str]  # address of a node that joined to why it got no run
    crowded: int  # worker groups that waited for other jobs of the cluster in vain
    behind: str  # why MLflow does not show all records yet; empty where it does
    unkept: str = ""  # whose weights are asked for and not there, and what to do; else empty


def run_study(
    study: Study,
    home: Home,
    *,
    tracking: str,
    machines: Machines | None = None,
    progress: Progress = lambda what, done, total: None,
    search: Search | None = None,
) -> Outcome:
    """Everything from jets to mirrored records; trains only what is missing.

    With a ``search`` its runs are trained instead of those of the study. ``machines`` are by
    default this one; on a cluster every node must see the folder of ``home``, or reach its address.
    ``progress`` is called as (what, done, total) from any thread.

    Raises:
        SweepError: Another process runs this study, or Ray fails.
        StorageError: A worker could not write its results.
        KeyboardInterrupt: The sweep was stopped (`jetscale.sweep.stop.Stopped` says by which
            signal); finished runs are kept and mirrored, the others go on from their checkpoints.
    """
    home, machines = replace(home, path=home.path.resolve()), machines or Machines()
    check_workers(study, machines.workers_per_run)
    folder = home.study(study)
    make_folder(folder.path)
    with _only_driver(folder):
        if search is None:
            planned = plan_runs(study)
        else:
            planned = tuple(tried.run for tried in plan_search(study, search))
        begun, live = time.time(), LiveMirror(study, home, planned, tracking, search)
        live.store.prepare()
        done = find_finished(live.store, planned)
        todo = [run for run in planned if run.key not in done]
        sweep = _Sweep()
        if todo:
            try:
                sweep = _sweep(live, todo, machines, progress)
            except KeyboardInterrupt:  # the workers are gone: nobody overwrites what is said now
                live.store.evict({run.key for run in todo} - live.store.keys())
                live.push()
                raise
        live.store.refresh()  # a trunk that was lost has a new record
        records = live.store.read_all(run.key for run in todo)
        records = {key: r for key, r in records.items() if r.finished >= begun}
        busy = _busy_share(records.values(), sweep.ended)
        steps = sum(record.steps for record in records.values()) + sweep.ended.recomputed
        progress("mirroring to MLflow", 0, 1)
        if records or done:
            live.push({"sweep_seconds": sweep.seconds, "sweep_busy": busy} if todo else None)
        progress("mirroring to MLflow", 1, 1)
    states = [row.state for row in live.store.status(planned)]
    return Outcome(
        done=states.count(RunState.DONE),
        planned=len(planned),
        trained=len(records),
        failed=states.count(RunState.FAILED),
        seconds=sweep.seconds,
        busy=busy,
        failures=tuple(sweep.ended.failures),
        deaths=tuple(sweep.ended.deaths),
        evicted=sweep.ended.evicted,
        recomputed=sweep.ended.recomputed / max(steps, 1),
        idle=sweep.idle,
        excluded=sweep.ended.excluded,
        crowded=sweep.ended.crowded,
        behind=live.behind,
        unkept="" if search else about_unkept(study, live.store, live.store.read_all(live.keys)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sweep:
    """How the training part of a call went."""

    seconds: float = 0.0
    ended: Ended = field(default_factory=Ended)
    idle: str = ""


def _sweep(live: LiveMirror, todo: list[Run], machines: Machines, progress: Progress) -> _Sweep:
    """Connect to Ray, make the jets that are missing, and train."""
    study, home = live.study, live.home
    with ExitStack() as stack:
        stop = stack.enter_context(stopping())
        shared = home.address or named_cluster(machines.address)
        check = stack.enter_context(storage_check(home)) if shared else None
        capacity = stack.enter_context(
            connection(machines.address, home.path, machines.device, study.runs_per_gpu, check)
        )
        check_fits(capacity, machines.workers_per_run, spread=machines.across_nodes)
        try:
            streams = prepare_streams(study, home, capacity, progress)
            return _train(live, streams, todo, machines, capacity, progress)
        finally:
            stop.check()


def _train(
    live: LiveMirror,
    streams: dict[str, Path],
    todo: list[Run],
    machines: Machines,
    capacity: Capacity,
    progress: Progress,
) -> _Sweep:
    study, home = live.study, live.home
    folder = home.study(study)
    check_budgets(study, streams)
    job = Job(
        study=study if live.search is None else replace(study, keep="none"),
        folder=folder,
        streams=streams,
        recipe=recipe_of(study),
        runs=tuple(live.runs),
        former=live.store.former,
        device=capacity.device,
        home=home if home.address else None,
        checkpoint_seconds=machines.checkpoint_seconds,
        imports=tuple(folder for folder in sys.path if folder),
    )
    board = Board(
        todo,
        _speed(live, capacity).seconds,
        workers=machines.workers_per_run,
        most=study.workers_per_run,
        spread=machines.across_nodes,
        per_device=capacity.per_gpu,
        device=capacity.device if study.stacking else "",
    )
    start = time.time()
    with _rays_own(folder, capacity) as storage, following(live, todo, progress):
        ended = train(study.name, board, job, run_job, storage, capacity)
    _keep_reasons(live.store, todo, ended.given_up)
    for failure in ended.failures:
        if failure.kind == StorageError.__name__:
            live.push()
            check_space(folder.path)
            raise StorageError(failure.reason)
    return _Sweep(
        seconds=time.time() - start,
        ended=ended,
        idle=capacity.idle,
    )


@contextmanager
def _rays_own(folder: StudyFolder, capacity: Capacity) -> Iterator[Storage]:
    """Where Ray keeps its own state: a place that all nodes of a cluster share.

    On one machine it is a temporary one, so that results and Ray do not compete for a disk.
    """
    if capacity.local:
        with TemporaryDirectory(prefix="jetscale-", ignore_cleanup_errors=True) as place:
            yield {"storage_path": place}
    elif folder.address:
        files, path = storage_at(folder.address).arrow(folder.name_of(folder.ray))
        yield {"storage_path": path, "storage_filesystem": files}
    else:
        yield {"storage_path": str(folder.ray)}


def _speed(live: LiveMirror, capacity: Capacity) -> Speed:
    """How fast these devices are, from the runs that finished on their like."""
    records = live.store.read_all(live.keys).values()
    return learn_speed(
        [
            Took(
                steps=record.steps,
                layers=record.layers,
                flops=record.flops,
                seconds=_busy_seconds(record) + record.timings["batches"],
            )
            for record in records
            if record.ranks == 1 and (record.device == "cpu") == (capacity.device == "cpu")
        ]
    )


def _busy_seconds(record: Record) -> float:
    """Seconds that the workers of a run spent in optimiser steps and evaluation."""
    return record.ranks * (record.timings["steps"] + record.timings["evaluation"])


def _busy_share(records: Iterable[Record], ended: Ended) -> float:
    """Share of the time of the workers that fit which went into steps and evaluation."""
    # what a resumed run did in an earlier call does not count
    work = sum(min(_busy_seconds(r), r.ranks * (r.finished - r.started)) for r in records)
    return work / ended.slot_seconds if ended.slot_seconds else 0.0


def _keep_reasons(store: RecordStore, runs: Sequence[Run], given_up: Mapping[str, Failure]) -> None:
    """Keep why runs were given up for which no worker could say it."""
    there = store.keys()
    for run in runs:
        if run.key in given_up and run.key not in there:
            why = given_up[run.key]
            store.write_failure(run, replace(why, reason=f"{run.name}: {why.reason}"))


@contextmanager
def _only_driver(folder: StudyFolder) -> Iterator[None]:
    with ExitStack() as stack:
        try:
            name = folder.name_of(folder.driver_lock)
            stack.enter_context(folder.storage.lock(name, wait=False))
        except Held as error:
            by = error.owner and f" on {error.owner}"
            raise SweepError(
                f"study folder {folder.where} is in use by another `jetscale run` or `jetscale "
                f"work`{by}; wait for it or stop it"
            ) from error
        yield
