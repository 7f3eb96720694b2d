"""Telling a person and MLflow how a sweep goes, while Ray holds the main thread.

Where MLflow is down, what it could not take is offered again later, and training does not wait.
"""

import logging
import math
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from pathlib import Path

from jetscale.digests import digest
from jetscale.errors import JetscaleError, StorageError, StudyError, SweepError
from jetscale.mixtures.declared import Progress
from jetscale.planning import Run, plan_runs
from jetscale.planning.identity import flatten, recipe_of, study_identity
from jetscale.store.home import Home
from jetscale.store.record import Record
from jetscale.store.records import RecordStore
from jetscale.study import Study
from jetscale.study.search import Search
from jetscale.tracking.mirror import Mirror
from jetscale.tracking.names import name_run
from jetscale.tracking.registry import register_model

_LOG = logging.getLogger("jetscale")
LOOK_SECONDS = 1.0
MIRROR_SECONDS = 20.0


class LiveMirror:
    """MLflow's picture of the runs of a study or of its search, brought up to date by `push`."""

    def __init__(
        self, study: Study, home: Home, runs: Sequence[Run], uri: str, search: Search | None = None
    ) -> None:
        self.study, self.home, self.uri = study, home, uri
        self.search = search
        self.runs = runs
        self.keys = {run.key for run in runs}
        self.store = RecordStore.open(study, home, runs)
        self.behind = ""  # why MLflow does not show all records yet; empty where it does

    @cached_property
    def mirror(self) -> Mirror:
        """The connection; raises SweepError where there is none to be had."""
        return Mirror(self.uri, self.study.name, self.home)

    def push(self, metrics: Mapping[str, float] | None = None) -> int:
        """Mirror what is missing; returns how many runs were added, `behind` says what was not.

        The ``metrics`` of a whole sweep go to the parent run.
        """
        added = 0
        try:
            with self._locked():
                parent, records = self._parent(), self.store.read_all(self.keys).values()
                added = self.mirror.sync(records, parent)
                if metrics or added:
                    losses = [record.loss for record in records if record.loss is not None]
                    lowest = {"lowest_loss": min(losses)} if losses else {}
                    told = {"runs_done": float(len(records)), **lowest, **(metrics or {})}
                    self.mirror.set_metrics(parent, told)
            self.behind = ""
        except JetscaleError as error:
            # connect anew next time: the server may come back with another database
            self.__dict__.pop("mirror", None)
            later = "`jetscale run` or `jetscale sync`"
            self.behind = f"{error}; records are kept and mirrored by the next {later}"
        return added

    def pull(self, own: Mapping[str, Record]) -> list[Record]:
        """What MLflow shows of these records, without curves; of all runs where there are none.

        Nothing is written. Raises SweepError where MLflow does not answer, StorageError for a run
        that was edited by hand.
        """
        reader = Mirror(self.uri, self.study.name, self.home, make=False)
        return reader.pull(own or self.keys, own)

    def attach(self, texts: Mapping[str, str], described: str = "") -> str:
        """Keep texts, by file name, with the parent run; why MLflow did not take them, or empty.

        Records that MLflow does not show yet are mirrored first.
        """
        self.push()
        try:
            with self._locked():
                self.mirror.attach(self._parent(), texts, described)
        except JetscaleError as error:
            return f"{error}; the page is not in MLflow"
        return ""

    def register(self, key: str, file: Path, name: str) -> str:
        """Register the model file of a finished run under a name; its address in MLflow.

        Records that MLflow does not show yet are mirrored first. Raises SweepError where it
        refuses.
        """
        self.push()
        if self.behind:
            raise SweepError(self.behind)
        with self._locked():
            return register_model(self.mirror, key, file, name)

    def _locked(self) -> AbstractContextManager[None]:
        folder = self.store.folder
        return folder.storage.lock(folder.name_of(folder.mirror_lock))

    def _parent(self) -> str:
        summary = {
            "mixtures": [mixture.name for mixture in self.study.mixtures],
            "model_sizes": [size.name for size in self.study.ladder],
            "data_sizes": list(self.study.data_sizes),
            "seeds": list(self.study.seeds),
            **{f"recipe.{name}": v for name, v in flatten(recipe_of(self.study)).items()},
        }
        if self.search is None:
            return self.mirror.parent(study_identity(self.study), summary)
        told = {"search.digest": self.search.digest, "search.rates": list(self.search.rates)}
        told["search.data_sizes"] = list(self.search.data_sizes)
        identity = digest([study_identity(self.study), self.search.digest])
        return self.mirror.parent(identity, summary | told, f"tune {self.study.name}")


def sync_study(study: Study, home: Home, uri: str) -> tuple[int, int, list[str]]:
    """Mirror the finished runs of a study; returns how many were added, of how many, and damage.

    Damage is a line for each record that is refused. Raises StudyError where no run has finished,
    SweepError where MLflow does not take them all.
    """
    live = LiveMirror(study, home, plan_runs(study), uri)
    kept, damaged = live.store.read_all(live.keys), live.store.damaged
    if not kept:
        lines = ["start it with `jetscale run`", *damaged.values()]
        raise StudyError(f"study {study.name!r} has no finished runs: {'; '.join(lines)}")
    added = live.push()
    if live.behind:
        raise SweepError(live.behind)
    return added, len(kept), list(damaged.values())


@contextmanager
def following(live: LiveMirror, todo: Sequence[Run], progress: Progress) -> Iterator[None]:
    """Report finished runs, log a line for each, and mirror them from a thread.

    Nothing in the block waits for MLflow; its end waits for a push that has begun.
    """
    keys, stop, logged = {run.key for run in todo}, threading.Event(), set[str]()

    def report() -> set[str]:
        try:
            there = live.store.keys()
            for key in sorted((there & keys) - logged):
                log_run(live.store.read(key), len(logged) + 1, len(keys))
                logged.add(key)
        except StorageError:  # it may answer the next time
            return set()
        progress("training runs", len(there & keys), len(keys))
        return there

    def follow() -> None:
        # what an earlier call left is mirrored at once
        pushed = -math.inf if report() & live.keys else time.monotonic()
        while not stop.wait(LOOK_SECONDS):
            report()
            if time.monotonic() - pushed > MIRROR_SECONDS:
                try:
                    live.push()
                except Exception:  # a bug: told, and no reason to stop telling how the sweep goes
                    _LOG.exception("mirroring to MLflow failed; it is tried again")
                pushed = time.monotonic()

    report()
    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        report()


def log_run(record: Record | None, number: int, planned: int) -> None:
    """Log the end of a run, at level INFO of the logger ``jetscale``."""
    if record is not None:
        loss = "no loss" if record.loss is None else f"loss {record.loss:.4g}"
        where = f"{number} of {planned}"
        _LOG.info("%s: %s, %.3g s (%s)", name_run(record), loss, record.timings["total"], where)
