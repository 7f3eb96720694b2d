"""Run a study on Ray: prepare the jets, train what is missing, mirror it to MLflow.

Ray Tune schedules trials; each trial starts one Ray Train worker group that runs its runs in turn.
Tune's own state is not relied on: what is done is decided by the record store alone, so a study
that was killed anywhere goes on with the runs that are missing.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from jetscale.compute import trials as cluster
from jetscale.compute.streams import prepare
from jetscale.errors import StorageError, SweepError
from jetscale.mixtures.inputs import Progress, check_budgets, ensure_shards, stream_plans
from jetscale.mixtures.stream import open_stream
from jetscale.plan import Run, pack, plan_runs
from jetscale.plan.identity import held_fixed
from jetscale.store.local import check_space, locked, make_folder
from jetscale.store.records import Record, RecordStore, finished, study_folder
from jetscale.study import Study
from jetscale.sweep.follow import LiveMirror, following
from jetscale.sweep.worker import Job


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a call of `run_study` did."""

    done: int
    planned: int
    trained: int
    """Runs trained by this call."""
    failed: int
    seconds: float
    """Wall time of the sweep: from the first trial's submission to the last one's end."""
    busy: float
    """Share of sweep wall time x cores spent in optimiser steps and evaluation."""
    problems: tuple[str, ...]
    """One line for each trial that did not finish."""
    behind: str
    """Why MLflow does not show all records yet; empty where it does."""


def run_study(
    study: Study,
    home: Path,
    *,
    tracking: str,
    address: str | None = None,
    progress: Progress = lambda what, done, total: None,
) -> Outcome:
    """Everything from jets to mirrored records; trains only what is missing.

    Parameters
    ----------
    home
        Results folder; on a cluster a path that every node sees.
    tracking
        MLflow tracking URI.
    address
        Ray cluster to join; None starts Ray on this machine.
    progress
        Called as (what, done, total) from any thread.

    Raises
    ------
    SweepError
        Another process runs this study, or Ray cannot do its part.
    StorageError
        A worker could not write its results.
    KeyboardInterrupt
        The sweep was stopped; finished runs are kept and mirrored.
    """
    folder = make_folder(study_folder(study, home))
    store = RecordStore(folder)
    store.prepare()
    with _only_driver(folder):
        planned = plan_runs(study)
        live = LiveMirror(study, folder, planned, tracking)
        done = finished(store, folder, planned)
        todo = [run for run in planned if run.key not in done]
        sweep = _Sweep()
        if todo:
            cluster.check(address, home)
            shards = ensure_shards(study, home, cluster.cores(), progress)
            with cluster.connected(address, home) as capacity:
                sweep = _train(live, home, shards, todo, capacity, progress)
        trained = [record for record in live.records() if record.key not in done]
        busy = _busy(trained, sweep)
        progress("mirroring to MLflow", 0, 1)
        live.push({"sweep_seconds": sweep.seconds, "sweep_busy": busy} if todo else None)
        progress("mirroring to MLflow", 1, 1)
    states = [row["state"] for row in store.status(planned)]
    if not sweep.problems and not {"missing", "running"}.isdisjoint(states):
        check_space(folder)
        raise KeyboardInterrupt  # Ray Tune swallows it and returns early
    return Outcome(
        done=states.count("done"),
        planned=len(planned),
        trained=len(trained),
        failed=states.count("failed"),
        seconds=sweep.seconds,
        busy=busy,
        problems=sweep.problems,
        behind=live.problem,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sweep:
    """How the training part of a call went."""

    seconds: float = 0.0
    cpus: int = 1
    problems: tuple[str, ...] = ()


def _train(
    live: LiveMirror,
    home: Path,
    shards: dict[str, Path],
    todo: list[Run],
    capacity: cluster.Capacity,
    progress: Progress,
) -> _Sweep:
    study, folder = live.study, live.folder.resolve()
    streams = prepare(
        stream_plans(study, shards),
        home.resolve() / "streams",
        lambda done, total: progress("preparing streams", done, total),
    )
    check_budgets(study, streams)
    digests = {name: open_stream(path).digest for name, path in streams.items()}
    job = Job(
        study=study,
        folder=folder,
        streams=streams,
        held_fixed=held_fixed(study, digests),
        runs=(),
        device=capacity.device,
    )
    trials = pack(todo, capacity.slots)
    live.push()
    start = time.time()
    with _ray_storage(folder, capacity) as storage, following(live, todo, progress):
        problems = cluster.train(trials, job, storage, capacity)
    for problem in problems:
        if problem.startswith("StorageError: "):
            live.push()
            raise StorageError(problem.removeprefix("StorageError: "))
    return _Sweep(seconds=time.time() - start, cpus=capacity.cpus, problems=tuple(problems))


@contextmanager
def _ray_storage(folder: Path, capacity: cluster.Capacity) -> Iterator[Path]:
    """Where Ray keeps its own state of the trials, which nothing here reads again.

    A cluster needs a folder that all nodes share; on one machine it is a temporary one, so that
    results and Ray do not compete for a disk.
    """
    if capacity.local:
        with TemporaryDirectory(prefix="jetscale-", ignore_cleanup_errors=True) as temporary:
            yield Path(temporary)
    else:
        yield folder / "ray"


def _busy(trained: list[Record], sweep: _Sweep) -> float:
    work = sum(r.timings["steps"] + r.timings["evaluation"] for r in trained)
    return work / (sweep.seconds * sweep.cpus) if sweep.seconds else 0.0


@contextmanager
def _only_driver(folder: Path) -> Iterator[None]:
    """Hold the lock of a study; it goes with the process, however that ends."""
    try:
        with locked(folder / "run.lock", wait=False):
            yield
    except BlockingIOError as error:
        raise SweepError(
            f"study folder {folder} is in use by another `jetscale run`; wait for it or stop it"
        ) from error
