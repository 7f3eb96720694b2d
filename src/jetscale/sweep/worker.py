"""What a worker does: train runs, one stack after another, and leave a record for each.

A run with a record is skipped and one with a checkpoint goes on from it, so a worker can be killed
and replaced any number of times. A run that diverges leaves a failure while the others go on.
"""

import platform
import shutil
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from jetscale.digests import digest
from jetscale.errors import (
    DataError,
    Diverged,
    Failure,
    MissingExtra,
    StorageError,
    StudyError,
    SweepError,
    TrainingError,
)
from jetscale.mixtures.inputs import pretraining_stream
from jetscale.mixtures.ragged import Ragged
from jetscale.mixtures.stream import content_sha256
from jetscale.models.inputs import feature_inputs
from jetscale.planning import Run, pretraining_examples
from jetscale.planning.feed import Feed, Listed
from jetscale.planning.identity import follow, versions_of
from jetscale.store.checkpoints import Checkpoint
from jetscale.store.former import Former
from jetscale.store.home import Home, StudyFolder
from jetscale.store.models import clear_worse, model_path
from jetscale.store.record import Record
from jetscale.store.records import RecordStore
from jetscale.study import Study
from jetscale.sweep.command import Told, train_by_command
from jetscale.sweep.heartbeat import Life, beating
from jetscale.sweep.inputs import Inputs
from jetscale.sweep.keeping import model_file
from jetscale.training.engine import Source
from jetscale.training.loop import Evicted, Task, train_stack
from jetscale.training.ranks import Ranks
from jetscale.training.spec import RunResult, RunSpec

_OF_THE_MACHINE = (
    *(StorageError, DataError, OSError, MemoryError, SweepError, MissingExtra),
    *(torch.AcceleratorError, torch.OutOfMemoryError),
)
"""What says nothing of a run: another machine may do it, and this one would fail all others."""
_TOO_LARGE = (MemoryError, torch.OutOfMemoryError)  # a stack may be where one run is not


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What all workers of a sweep are told: no open file, no tensor, nothing of Ray."""

    study: Study
    folder: StudyFolder  # results folder of the study, visible on every node
    streams: Mapping[str, Path]
    recipe: Mapping[str, Any]
    runs: tuple[Run, ...]  # all planned ones: records are compared with them
    former: Former = field(default_factory=Former)
    device: str = "cpu"
    home: Home | None = None
    """Where a node fetches streams that it does not have; None where all nodes see them."""
    checkpoint_seconds: float = 60.0
    imports: tuple[str, ...] = ()
    """Folders to import modules from: a model or objective may lie beside the sweep file."""


def run_job(job: Job, feed: Feed | None = None) -> dict[str, int]:
    """Train the runs of a feed that have no record; returns how many were trained and failed.

    Without a feed the runs are all those of the job. Of several data-parallel ranks the first one
    alone writes records, failures and signs of life. Raises StorageError where a record or
    checkpoint cannot be written: no run could be kept. Raises Evicted where the feed says stop.
    """
    sys.path += [folder for folder in job.imports if folder not in sys.path]
    _check_code(job)
    feed = Listed.alone(job.runs) if feed is None else feed
    counts = {"trained": 0, "failed": 0}
    store = RecordStore(job.folder, job.former, runs=job.runs)
    worker = _Worker(job, store, feed, Inputs(job.streams, job.home), Ranks.current())
    for stack in feed:
        store.planned |= {run.key: run for run in stack}
        lives = [Life(store, run, leads=worker.leads) for run in stack]
        done = [worker.ranks.agree(worker.leads and _finished(store, run)) for run in stack]
        todo = [life for life, finished in zip(lives, done, strict=True) if not finished]
        failures = worker.train(todo) if todo else {}
        for life in lives:
            failure = failures.get(life.run.key)
            if life in todo:
                counts["failed" if failure else "trained"] += 1
            if worker.leads:
                feed.tell(life.run, failure, life.recomputed)
    return counts


def _finished(store: RecordStore, run: Run) -> bool:
    """Whether a run is done: it has a record, and a trunk if it makes one."""
    trunk = run.kind == "finetune" or store.has_trunk(run.key)
    return trunk and store.read(run.key) is not None


@dataclass(frozen=True, slots=True)
class _Worker:
    """What trains the stacks of a job and keeps what comes out."""

    job: Job
    store: RecordStore
    feed: Feed
    inputs: Inputs
    ranks: Ranks

    @property
    def leads(self) -> bool:
        """Whether this process writes the files."""
        return self.ranks.rank == 0

    def train(self, lives: Sequence[Life]) -> dict[str, Failure]:
        """Train the runs of a stack and keep their records; the failures of others, by key."""
        ended: dict[str, Failure | None] = {}  # runs that have their record, or failed
        try:
            _train(self, lives, ended)
        except Evicted:
            if self.leads:
                self.store.evict({life.run.key for life in lives} - ended.keys())
            raise
        except Exception as error:  # a model or objective of a user's can raise anything
            if self.ranks.world > 1:
                raise  # a rank may be alone with it: the others would wait for it for ever
            together = len(lives) > 1
            if isinstance(error, _OF_THE_MACHINE) and not (
                together and isinstance(error, _TOO_LARGE)
            ):
                raise
            if together:  # it may be of one run, or of all at once: each is trained alone
                left = [life for life in lives if life.run.key not in ended]
                alone = [self.train([life]) for life in left]
                return _failed(ended) | {k: f for found in alone for k, f in found.items()}
            ended[lives[0].run.key] = self.keep(lives[0].run, error)
        return _failed(ended)

    def checkpoint(self, run: Run) -> Checkpoint:
        """Where the state of a run is while it is trained."""
        folder = self.job.folder
        remote = folder.storage if folder.address else None
        return Checkpoint(folder.checkpoint(run.key), remote)

    def keep(self, run: Run, outcome: Record | Exception) -> Failure | None:
        """Keep the record of a run, or the failure that it returns."""
        if isinstance(outcome, Record):
            if self.leads:
                self.store.write(outcome)
                clear_worse(self.job.study, self.store, outcome)
                self.checkpoint(run).remove()
                if run.by_command:
                    shutil.rmtree(self.job.folder.attempt(run.key).path, ignore_errors=True)
            return None
        failure = Failure.of(outcome)
        if self.leads:
            self.store.write_failure(run, failure)
        return failure


def _failed(ended: Mapping[str, Failure | None]) -> dict[str, Failure]:
    return {key: failure for key, failure in ended.items() if failure is not None}


def _check_code(job: Job) -> None:
    """Raise StudyError where a model or objective is not the one the sweep was started with."""
    model, told = job.study.recipe.model, job.recipe["model"]
    found = versions_of(model)
    if found != {name: told[name] for name in found}:
        names = (model.architecture, model.objective, model.pretraining_objective)
        listed = " or ".join(name for name in names if name)
        raise StudyError(f"{listed} was edited since the sweep started; start it again")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prepared:
    """A run with all that it reads."""

    run: Run
    stream: str
    train: Ragged
    held_out: Mapping[str, Ragged]  # jets for scoring by role
    trunk: Record | None


def _train(worker: _Worker, lives: Sequence[Life], ended: dict[str, Failure | None]) -> None:
    """Train runs together, and keep what becomes of each as soon as it is known, in ``ended``."""
    job, store, inputs = worker.job, worker.store, worker.inputs
    prepared = [_prepare(job, life.run, store, inputs) for life in lives]
    if job.study.recipe.trainer is not None:
        for p in prepared:
            ended[p.run.key] = worker.keep(p.run, _command(worker, p))
        return
    shared = {(p.stream, len(p.train)): p.train for p in prepared}  # one object for equal jets
    started, held_out = time.time(), prepared[0].held_out
    with ExitStack() as signs:
        tasks = []
        for life, p in zip(lives, prepared, strict=True):
            beats = signs.enter_context(ExitStack())  # a run may end before the others do

            def keep(
                outcome: RunResult | Diverged, p: _Prepared = p, beats: ExitStack = beats
            ) -> None:
                beats.close()  # no sign of life after the record
                if isinstance(outcome, RunResult):
                    ended[p.run.key] = worker.keep(p.run, _record(job, p, outcome, inputs, started))
                else:
                    ended[p.run.key] = worker.keep(p.run, outcome)

            task = Task(
                source=Source(
                    spec=_spec(p, inputs),
                    train=shared[p.stream, len(p.train)],
                    trunk=store.trunk(p.trunk.key) if p.trunk else None,
                ),
                checkpoint=worker.checkpoint(p.run),
                save_trunk=job.folder.trunk(p.run.key) if p.run.kind == "pretrain" else None,
                save_model=model_file(job.study, store, p.run, job.recipe, inputs.open(p.stream)),
                on_step=beats.enter_context(life.beats()),
                on_save=partial(worker.feed.saved, p.run) if life.leads else lambda: None,
                on_end=keep,
            )
            tasks.append(task)
        train_stack(
            tasks,
            held_out.get("validation"),
            held_out.get("test"),
            device=job.device,
            checkpoint_seconds=job.checkpoint_seconds,
            stop=worker.feed.stop,
        )


def _command(worker: _Worker, prepared: _Prepared) -> Record:
    """The record of a run that a command trains."""
    job, inputs, run, started = worker.job, worker.inputs, prepared.run, time.time()
    told = Told(
        run=run,
        spec=_spec(prepared, inputs),
        stream=prepared.stream,
        train=prepared.train,
        held_out=prepared.held_out,
        trunk=worker.store.trunk(prepared.trunk.key) if prepared.trunk else None,
        device=job.device,
    )
    with beating(worker.store, run) as beat:  # its step is not known: it is alive
        alive, stop = partial(beat, 0, run.steps), worker.feed.stop
        result, versions = train_by_command(told, job.folder, alive=alive, stop=stop)
    device = torch.cuda.get_device_name() if job.device == "cuda" else job.device
    record = _record(job, prepared, result, inputs, started)
    return replace(record, device=device, versions=versions)


def _prepare(job: Job, run: Run, store: RecordStore, inputs: Inputs) -> _Prepared:
    stream, train, held_out = _jets(job, run, inputs)
    trunk = _trunk(run, store)
    return _Prepared(run=run, stream=stream, train=train, held_out=held_out, trunk=trunk)


def _spec(prepared: _Prepared, inputs: Inputs) -> RunSpec:
    run, stream = prepared.run, inputs.open(prepared.stream)
    return RunSpec(
        key=run.key,
        size=run.size,
        features=feature_inputs(stream.features),
        classes=stream.labels,
        recipe=run.recipe,
        epochs=run.epochs,
        seed=run.seed,
    )


def _record(
    job: Job, prepared: _Prepared, result: RunResult, inputs: Inputs, started: float
) -> Record:
    run, stream, trunk = prepared.run, prepared.stream, prepared.trunk
    recipe = follow(job.recipe, run.recipe)
    if result.trunk_sha256:
        job.folder.put(job.folder.trunk(run.key))
    if result.model_sha256:
        job.folder.put(model_path(job.study, job.folder, run))
    # what training measured has the same name in a record
    measured = {f.name for f in fields(RunResult)} & {f.name for f in fields(Record)}
    return Record(
        **{name: getattr(result, name) for name in measured},
        loss=result.loss,
        validation_loss=result.validation_loss,
        scores=dict(result.test or {}),
        validation_scores=dict(result.validation or {}),
        study=job.study.name,
        kind=run.kind,
        mixture=run.mixture.name,
        parts=dict(run.mixture.parts),
        **asdict(run.size),
        seed=run.seed,
        subset=run.subset,
        trunk=run.trunk,
        pretraining_examples=trunk.examples if trunk else 0,
        pretraining_flops=trunk.flops if trunk else 0.0,
        recipe=recipe,
        recipe_digest=digest(recipe),
        streams={name: inputs.open(name).digest for name in (stream, *prepared.held_out)}
        # what was used of it: more data sizes make the stream another one with the same beginning
        | {f"{stream}:{len(prepared.train)}": content_sha256(prepared.train)[:16]}
        | (trunk.streams if trunk else {}),
        host=socket.gethostname(),
        versions={
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
        },
        started=started,
        finished=time.time(),
    )


def _jets(job: Job, run: Run, inputs: Inputs) -> tuple[str, Ragged, dict[str, Ragged]]:
    """The stream that a run trains on, what it takes of it, and its jets for scoring by role."""
    pretraining = run.kind == "pretrain"
    stream = pretraining_stream(run.mixture) if pretraining else f"train-{run.subset}"
    if pretraining:
        # the jets of a mixture that its budget pays for
        classes = len(inputs.open(stream).labels)
        pool = inputs.read(stream, job.study.recipe.data.pretraining_pool)
        paid = pretraining_examples(job.study, run.mixture, run.size, pool.lengths, classes)
        train = pool.head(paid)
    else:
        train = inputs.read(stream, run.examples)
    # a pretraining run is not scored: it only reports its training loss
    sizes = job.study.recipe.evaluation
    wanted = {} if pretraining else {"validation": sizes.validation_jets, "test": sizes.test_jets}
    return stream, train, {role: inputs.read(role, jets) for role, jets in wanted.items()}


def _trunk(run: Run, store: RecordStore) -> Record | None:
    if run.trunk is None:
        return None
    record = store.read(run.trunk)
    if record is None or not store.has_trunk(run.trunk):
        raise TrainingError(
            f"{run.name}: its pretraining run {run.trunk} has not finished, or its weights "
            f"{store.folder.shown(store.trunk(run.trunk))} are not those it left; run again"
        )
    return record
