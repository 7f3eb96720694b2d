"""Run a study on Ray: prepare the jets, train what is missing, mirror it to MLflow.

Ray Tune schedules trials; each trial starts one Ray Train worker group that runs its cells in turn.
Tune's own state is not relied on: what is done is decided by the record store alone, so a study
that was killed anywhere goes on with the cells that are missing.
"""

import fcntl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from jetscale.errors import SweepError
from jetscale.files import make_folder, storage_error
from jetscale.mixtures.prepare import prepare
from jetscale.plan import Cell, cells, pack, study_identity, study_summary
from jetscale.study import Study
from jetscale.sweep import cluster
from jetscale.sweep.inputs import Progress, ensure_shards, stream_plans
from jetscale.sweep.records import Record, RecordStore, study_folder
from jetscale.sweep.tracking import Mirror
from jetscale.sweep.worker import Job


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a call of `run_study` did."""

    done: int
    planned: int
    trained: int
    """Cells trained by this call."""
    failed: int
    seconds: float
    """Wall time of the sweep: from the first trial's submission to the last one's end."""
    busy: float
    """Share of sweep wall time x cores spent in optimiser steps and evaluation."""
    problems: tuple[str, ...]
    """One line for each trial that did not finish."""


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
        Another process runs this study, or Ray or MLflow cannot do their part.
    """
    folder = make_folder(study_folder(study, home))
    store = RecordStore(folder)
    store.prepare()
    with _only_driver(folder):
        planned = cells(study)
        mirror = Mirror(tracking, study.name, folder / "artifacts")
        done = {record.key for record in store.all()}
        todo = [cell for cell in planned if cell.key not in done]
        sweep = _Sweep()
        if todo:
            shards = ensure_shards(study, home, cluster.cores(), progress)
            with cluster.connected(address, home) as capacity:
                sweep = _train(study, home, folder, shards, todo, capacity, progress)
        records = _mirror(study, planned, store, mirror, sweep, done, progress)
    trained = [record for record in records if record.key not in done]
    return Outcome(
        done=len(records),
        planned=len(planned),
        trained=len(trained),
        failed=sum(row["state"] == "failed" for row in store.status(planned)),
        seconds=sweep.seconds,
        busy=_busy(trained, sweep),
        problems=sweep.problems,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sweep:
    """How the training part of a call went."""

    seconds: float = 0.0
    cpus: int = 1
    problems: tuple[str, ...] = ()


def _train(
    study: Study,
    home: Path,
    folder: Path,
    shards: dict[str, Path],
    todo: list[Cell],
    capacity: cluster.Capacity,
    progress: Progress,
) -> _Sweep:
    streams = prepare(
        stream_plans(study, shards),
        home / "streams",
        lambda done, total: progress("preparing streams", done, total),
    )
    job = Job(
        study=study, folder=folder.resolve(), streams=streams, cells=(), device=capacity.device
    )
    trials = pack(todo, capacity.slots)
    start = time.time()
    with _following(folder, todo, progress):
        problems = cluster.train(trials, job, folder / "ray", capacity)
    return _Sweep(seconds=time.time() - start, cpus=capacity.cpus, problems=tuple(problems))


def _mirror(
    study: Study,
    planned: tuple[Cell, ...],
    store: RecordStore,
    mirror: Mirror,
    sweep: _Sweep,
    done: set[str],
    progress: Progress,
) -> list[Record]:
    progress("mirroring to MLflow", 0, 1)
    keys = {cell.key for cell in planned}
    records = [record for record in store.all() if record.key in keys]
    parent = mirror.parent(study_identity(study), study_summary(study))
    mirror.sync(records, parent)
    if sweep.seconds:
        trained = [record for record in records if record.key not in done]
        mirror.log_study(parent, {"sweep_seconds": sweep.seconds, "busy": _busy(trained, sweep)})
    progress("mirroring to MLflow", 1, 1)
    return records


def _busy(trained: list[Record], sweep: _Sweep) -> float:
    work = sum(r.timings["steps"] + r.timings["evaluation"] for r in trained)
    return work / (sweep.seconds * sweep.cpus) if sweep.seconds else 0.0


@contextmanager
def _only_driver(folder: Path) -> Iterator[None]:
    """Hold the lock of a study; it goes with the process, however that ends."""
    path = folder / "run.lock"
    try:
        file = path.open("w")
    except OSError as error:
        raise storage_error(path, error) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise SweepError(
                f"study folder {folder} is in use by another `jetscale run`; wait for it or stop it"
            ) from error
        yield


@contextmanager
def _following(folder: Path, todo: list[Cell], progress: Progress) -> Iterator[None]:
    """Report finished cells from a thread while Tune holds the main one."""
    store, keys, stop = RecordStore(folder), {cell.key for cell in todo}, threading.Event()

    def follow() -> None:
        while not stop.wait(1.0):
            progress("training cells", len(store.keys() & keys), len(keys))

    progress("training cells", 0, len(keys))
    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        progress("training cells", len(store.keys() & keys), len(keys))
