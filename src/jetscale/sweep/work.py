"""Train the runs of a study in this process, beside others that do the same, without Ray.

For clusters where nothing may stay up: each job of a Slurm array or of HTCondor claims runs by lock
files in the study's folder, which all jobs must see, until nothing is left for it. A lock goes with
its process, however that ends, and with it the claim. MLflow is not told: whoever reads the results
next (`jetscale report`, `jetscale run`) mirrors them.
"""

import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial

import torch

from jetscale.errors import SweepError
from jetscale.executor import process_pool
from jetscale.machines import cores
from jetscale.mixtures.assemble import assemble
from jetscale.mixtures.declared import Progress
from jetscale.mixtures.inputs import ensure_shards, stream_plans
from jetscale.planning import Run, plan_runs
from jetscale.planning.cost import check_budgets
from jetscale.planning.feed import Listed
from jetscale.planning.identity import recipe_of
from jetscale.planning.stacks import most_in_stack, shape_of
from jetscale.store.home import Home
from jetscale.store.local import locked, make_folder
from jetscale.store.records import RecordStore, find_finished
from jetscale.study import Study
from jetscale.sweep.follow import log_run
from jetscale.sweep.stop import stopping
from jetscale.sweep.worker import Job, run_job

ENOUGH = 4  # runs that are ready, as a multiple of those of a stack, from which others have some
LOOK_SECONDS = 1.0  # between two looks at runs that others train


@dataclass(frozen=True, slots=True, kw_only=True)
class Worked:
    """What a call of `work` did, and where the study stands."""

    planned: int
    done: int  # runs of the study with a record, by whomever
    trained: int  # of these by this call
    failed: int  # runs that failed in this call


def work(
    study: Study,
    home: Home,
    *,
    device: str | None = None,
    progress: Progress = lambda what, done, total: None,
) -> Worked:
    """Train runs that nobody has done or claimed, one after another, until none is left for this.

    The first process prepares the streams while the others wait. A pretraining run comes before
    what starts from it: a process with nothing else to do waits for one that another trains, and
    takes it over if that process dies. ``device`` is ``cpu`` or ``cuda``, by default a GPU where
    there is one.

    Raises:
        SweepError: `jetscale run` trains this study right now.
        StorageError: The folder cannot be written, or its file system has no locks.
        KeyboardInterrupt: The process was stopped; the run it was at is marked as evicted and goes
            on from its last checkpoint.
    """
    if home.address:
        raise SweepError(
            f"jetscale work claims runs by file locks, which {home.address} has none of: set "
            "JETSCALE_HOME to a folder that all jobs see, or use `jetscale run`"
        )
    home, planned = Home(make_folder(home.path).resolve()), plan_runs(study)
    store = RecordStore.open(study, home, planned)
    store.prepare()
    torch.set_num_threads(1)  # as in a worker of Ray: the same numbers
    with ExitStack() as stack:
        try:  # others that work as this process does are welcome
            stack.enter_context(locked(store.folder.driver_lock, wait=False, shared=True))
        except BlockingIOError as error:
            raise SweepError(
                f"{store.folder.path} is in use by `jetscale run`; wait for it or stop it"
            ) from error
        stack.enter_context(stopping())
        with process_pool(cores()) as pool, locked(home.preparing_lock):
            shards = ensure_shards(study, home.path, pool, progress)
            report = partial(progress, "preparing streams")
            streams = assemble(stream_plans(study, shards), home.streams, pool, report)
        check_budgets(study, streams)
        job = Job(
            study=study,
            folder=store.folder,
            streams=streams,
            recipe=recipe_of(study),
            runs=planned,
            former=store.former,
            device=device or ("cuda" if torch.cuda.is_available() else "cpu"),
            imports=tuple(folder for folder in sys.path if folder),
        )
        return _Worker(job=job, store=store, planned=planned).train(progress)


@dataclass(slots=True, kw_only=True)
class _Worker:
    """One process at a study, and what it did there."""

    job: Job
    store: RecordStore
    planned: Sequence[Run]
    tried: set[str] = field(default_factory=set)  # keys; some have a record now, others failed
    counts: Counter[str] = field(default_factory=Counter)
    begun: float = field(default_factory=time.time)

    def train(self, progress: Progress) -> Worked:
        """Claim and train until nothing is left that this process could still do."""
        while True:
            done = self._look()
            progress("training runs", len(done), len(self.planned))
            left = [run for run in self.planned if run.key not in done | self.tried]
            begun = {run.key for run in left}  # by others, or by nobody yet
            ready = [run for run in left if run.trunk not in begun]
            # trunks first: then runs of one shape are ready together, whatever they start from
            ready.sort(key=lambda run: run.kind != "pretrain")
            if any(self._claim(run, ready) for run in ready):
                continue
            if len(ready) == len(left):  # others are at the rest
                return Worked(
                    planned=len(self.planned),
                    done=len(done),
                    trained=self.counts["trained"],
                    failed=self.counts["failed"],
                )
            time.sleep(LOOK_SECONDS)

    def _look(self) -> set[str]:
        """Keys of the finished runs; a trunk that is gone is missing if a missing run wants it."""
        there = self.store.keys()  # one listing; a look for each file would take long on a network
        wanted = {run.trunk for run in self.planned if run.trunk and run.key not in there}
        recorded = [run for run in self.planned if run.key in there]
        return find_finished(self.store, recorded, wanted)

    def _failed(self, run: Run) -> bool:
        """Whether it failed since this process began: as many as there are would fail at it."""
        return self.store.failed_at(run.key) >= self.begun

    def _claim(self, run: Run, ready: Sequence[Run]) -> bool:
        """Train a run, and others of its shape with it; False where another process is at it."""
        with ExitStack() as claims:
            if not self._lock(run, claims):
                return False
            claimed = [run, *(mate for mate in self._mates(run, ready) if self._lock(mate, claims))]
            there = self._look()  # one may have been done, or have failed for another, since then
            todo = [one for one in claimed if one.key not in there]
            self.tried |= {one.key for one in todo}
            if todo := [one for one in todo if not self._failed(one)]:
                self._train(todo)
        return True

    def _lock(self, run: Run, claims: ExitStack) -> bool:
        """Claim a run; False where another process has it."""
        try:
            claims.enter_context(locked(self.store.folder.claim(run.key), wait=False))
        except BlockingIOError:
            return False
        return True

    def _mates(self, run: Run, ready: Sequence[Run]) -> list[Run]:
        """Runs to train in one stack with a run; half of them where others would find few left."""
        if not self.job.study.stacking:
            return []
        shape = shape_of(run)
        alike = [other for other in ready if other.key != run.key and shape_of(other) == shape]
        enough = len(ready) >= ENOUGH * len(alike)
        most = len(alike) if enough else (len(alike) + 1) // 2
        return alike[: min(most_in_stack(run, self.job.device) - 1, most)]

    def _train(self, runs: Sequence[Run]) -> None:
        done = self.counts["trained"]
        try:
            self.counts.update(run_job(self.job, Listed([tuple(runs)])))
        except KeyboardInterrupt:
            self.store.evict({run.key for run in runs} - self.store.keys())
            raise
        records = [record for run in runs if (record := self.store.read(run.key))]
        for number, record in enumerate(records, done + 1):
            log_run(record, number, len(self.planned))
