"""Run a study on Ray: prepare the jets, train what is missing, mirror it to MLflow.

Tune's own state is not relied on: what is done is decided by the record store alone, so a study
that was killed anywhere goes on with the runs that are missing.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from jetscale.compute.connect import Capacity, connection
from jetscale.compute.trials import train
from jetscale.errors import Failure, StorageError, SweepError
from jetscale.plan import Run, pack, plan_runs
from jetscale.plan.cost import check_budgets
from jetscale.plan.identity import recipe_of
from jetscale.plan.search import plan_search
from jetscale.store.copies import storage_check
from jetscale.store.home import Home, StudyFolder
from jetscale.store.local import check_space, make_folder
from jetscale.store.records import RunState, find_finished
from jetscale.store.storage import Held
from jetscale.study import Study
from jetscale.study.search import Search
from jetscale.sweep.follow import LiveMirror, Progress, following
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
    busy: float  # share of sweep wall time x cores spent in optimiser steps and evaluation
    failures: tuple[Failure, ...]  # one for each trial that did not finish
    idle: str  # which CPUs were idle beside GPUs; empty where few were
    behind: str  # why MLflow does not show all records yet; empty where it does


def run_study(
    study: Study,
    home: Home,
    *,
    tracking: str,
    address: str | None = None,
    progress: Progress = lambda what, done, total: None,
    search: Search | None = None,
    device: str | None = None,
) -> Outcome:
    """Everything from jets to mirrored records; trains only what is missing.

    With a ``search`` its runs are trained instead of those of the study. On a cluster every node
    must see the folder of ``home``, or reach its address; ``address`` None starts Ray on this
    machine. ``device`` is ``cpu`` or ``cuda``, by default GPUs where there are some. ``progress``
    is called as (what, done, total) from any thread.

    Raises:
        SweepError: Another process runs this study, or Ray fails.
        StorageError: A worker could not write its results.
        KeyboardInterrupt: The sweep was stopped (`jetscale.sweep.stop.Stopped` says by which
            signal); finished runs are kept and mirrored, the others go on from their checkpoints.
    """
    home = replace(home, path=home.path.resolve())
    folder = home.study(study)
    make_folder(folder.path)
    with _only_driver(folder), ExitStack() as stack:
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
            check = stack.enter_context(storage_check(home)) if home.address else None
            try:
                with connection(address, home.path, device, check) as capacity, stopping() as stop:
                    try:
                        streams = prepare_streams(study, home, capacity, progress)
                        sweep = _train(live, streams, todo, capacity, progress)
                    finally:
                        stop.check()  # Ray may have swallowed the exception, or lost its number
            except KeyboardInterrupt:  # the workers are gone: nobody overwrites what is said now
                live.store.evict({run.key for run in todo} - live.store.keys())
                live.push()
                raise
        live.store.refresh()  # a trunk that was lost has a new record
        records = live.store.read_all(run.key for run in todo)
        records = {key: r for key, r in records.items() if r.finished >= begun}
        work = sum(r.timings["steps"] + r.timings["evaluation"] for r in records.values())
        busy = work / (sweep.seconds * sweep.cpus) if sweep.seconds else 0.0
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
        failures=sweep.failures,
        idle=sweep.idle,
        behind=live.behind,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sweep:
    """How the training part of a call went."""

    seconds: float = 0.0
    cpus: int = 1
    idle: str = ""
    failures: tuple[Failure, ...] = ()


def _train(
    live: LiveMirror,
    streams: dict[str, Path],
    todo: list[Run],
    capacity: Capacity,
    progress: Progress,
) -> _Sweep:
    study, home = live.study, live.home
    folder = home.study(study)
    check_budgets(study, streams)
    job = Job(
        study=study,
        folder=folder,
        streams=streams,
        recipe=recipe_of(study),
        runs=(),
        former=live.store.former,
        device=capacity.device,
        home=home if home.address else None,
        imports=tuple(folder for folder in sys.path if folder),
    )
    trials = pack(todo, capacity.slots)
    jobs = {trial.name: replace(job, runs=trial.runs) for trial in trials}
    if live.store.keys() & live.keys:
        live.push()
    # Where Ray keeps its own state. A cluster needs a place that all nodes share, one machine has
    # a temporary one, so that results and Ray do not compete for a disk.
    storage: AbstractContextManager[str] = nullcontext(folder.shown(folder.ray))
    if capacity.local:
        storage = TemporaryDirectory(prefix="jetscale-", ignore_cleanup_errors=True)
    start = time.time()
    with storage as place, following(live, todo, progress):
        failures = train(study.name, jobs, run_job, place, capacity)
    for failure in failures:
        if failure.kind == StorageError.__name__:
            live.push()
            check_space(folder.path)
            raise StorageError(failure.reason)
    return _Sweep(
        seconds=time.time() - start,
        cpus=capacity.cpus,
        idle=capacity.idle,
        failures=tuple(failures),
    )


@contextmanager
def _only_driver(folder: StudyFolder) -> Iterator[None]:
    with ExitStack() as stack:
        try:
            name = folder.name_of(folder.driver_lock)
            stack.enter_context(folder.storage.lock(name, wait=False))
        except Held as error:
            by = error.owner and f" on {error.owner}"
            raise SweepError(
                f"study folder {folder.where} is in use by another `jetscale run`{by}; wait for it "
                "or stop it"
            ) from error
        yield
