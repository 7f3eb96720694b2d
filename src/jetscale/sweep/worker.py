"""What a worker does: train runs one after another and leave a record for each.

A run with a record is skipped and one with a checkpoint goes on from it, so a worker can be killed
and replaced any number of times. A run that diverges leaves a failure while the others go on.
"""

import platform
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from jetscale.digests import digest
from jetscale.errors import DataError, Diverged, Failure, StorageError, StudyError, TrainingError
from jetscale.mixtures.inputs import pretraining_stream
from jetscale.mixtures.ragged import Ragged
from jetscale.mixtures.stream import INDEX, Stream, content_sha256, open_stream
from jetscale.models.inputs import feature_inputs
from jetscale.models.protocol import ARCHITECTURES
from jetscale.objectives.protocol import OBJECTIVES
from jetscale.planning import Run, pretraining_examples
from jetscale.planning.feed import Feed, Listed
from jetscale.planning.identity import follow
from jetscale.store.checkpoints import Checkpoint
from jetscale.store.copies import fetch_folder
from jetscale.store.former import Former
from jetscale.store.home import Home, StudyFolder
from jetscale.store.record import Record
from jetscale.store.records import RecordStore
from jetscale.study import Study
from jetscale.sweep.heartbeat import beating
from jetscale.training.loop import Evicted, train_run
from jetscale.training.ranks import Ranks
from jetscale.training.spec import RunResult, RunSpec

_OF_THE_MACHINE = (
    *(StorageError, DataError, OSError, MemoryError),
    *(torch.AcceleratorError, torch.OutOfMemoryError),
)
"""What says nothing of a run: another machine may do it, and this one would fail all others."""
_HELD = 6  # streams whose jets a worker keeps in memory


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


@dataclass(slots=True)
class _Inputs:
    """Streams of a job: each is read once, up to the most jets that a run wanted of it."""

    paths: Mapping[str, Path]
    home: Home | None = None
    _jets: dict[str, Ragged] = field(default_factory=dict)
    _streams: dict[str, Stream] = field(default_factory=dict)

    def open(self, name: str) -> Stream:
        if name not in self._streams:
            path = self.paths[name]
            if self.home:  # the working copy of this machine
                path = self.home.streams / path.name
                fetch_folder(self.home, path, INDEX)
            self._streams[name] = open_stream(path)
        return self._streams[name]

    def read(self, name: str, jets: int) -> Ragged:
        held = self._jets.pop(name, None)
        if held is None or len(held) < jets:
            try:
                held = self.open(name).read(jets)
            except DataError:
                if self.home is None:
                    raise
                held = self._read_again(self.home, name, jets)
        self._jets[name] = held  # the last one used is the last one to go
        for oldest in list(self._jets)[:-_HELD]:
            del self._jets[oldest]
        return held.head(jets)

    def _read_again(self, home: Home, name: str, jets: int) -> Ragged:
        """Jets of a stream that is fetched anew: the copy of this machine is damaged."""
        folder = self._streams.pop(name).folder if name in self._streams else None
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
        try:
            return self.open(name).read(jets)
        except DataError:
            # so is the one at the address: whoever prepares streams next puts it there again
            if folder is not None:
                home.storage.delete(f"{home.name_of(folder)}/{INDEX}")
            raise


def run_job(job: Job, feed: Feed | None = None) -> dict[str, int]:
    """Train the runs of a feed that have no record; returns how many were trained and failed.

    Without a feed the runs are all those of the job. Of several data-parallel ranks the first one
    alone writes records, failures and signs of life. Raises StorageError where a record or
    checkpoint cannot be written: no run could be kept. Raises Evicted where the feed says stop.
    """
    sys.path += [folder for folder in job.imports if folder not in sys.path]
    _check_code(job)
    feed = Listed(job.runs) if feed is None else feed
    counts = {"trained": 0, "failed": 0}
    store = RecordStore(job.folder, job.former, runs=job.runs)
    inputs, ranks = _Inputs(job.streams, job.home), Ranks.current()
    for run in feed:
        store.planned[run.key] = run
        life = _Life(store, run, leads=ranks.rank == 0)
        failure = None
        if not ranks.agree(_finished(store, run) if life.leads else False):
            failure = _try(job, run, store, inputs, feed, life)
            counts["failed" if failure else "trained"] += 1
        if life.leads:
            feed.tell(run, failure, life.recomputed)
    return counts


def _finished(store: RecordStore, run: Run) -> bool:
    """Whether a run is done: it has a record, and a trunk if it makes one."""
    trunk = run.kind == "finetune" or store.has_trunk(run.key)
    return trunk and store.read(run.key) is not None


def _try(
    job: Job, run: Run, store: RecordStore, inputs: _Inputs, feed: Feed, life: "_Life"
) -> Failure | None:
    """Train a run and keep its record, or the failure that it returns."""
    remote = job.folder.storage if job.folder.address else None
    checkpoint = Checkpoint(job.folder.checkpoint(run.key), remote)
    try:
        record = _train(job, run, store, inputs, feed, life, checkpoint)
    except _OF_THE_MACHINE:
        raise
    except Evicted:
        if life.leads:
            store.evict({run.key})
        raise
    except Exception as error:  # a model or objective of a user's can raise anything
        if Ranks.current().world > 1 and not isinstance(error, Diverged):
            raise  # a rank may be alone with it: the others would wait for it for ever
        failure = Failure.of(error)
        if life.leads:
            store.write_failure(run, failure)
        return failure
    if life.leads:
        store.write(record)
        checkpoint.remove()
    return None


def _check_code(job: Job) -> None:
    """Raise StudyError where a model or objective is not the one the sweep was started with."""
    model, told = job.study.recipe.model, job.recipe["model"]
    found = ARCHITECTURES.version(model.architecture), OBJECTIVES.version(model.objective)
    if found != (told["architecture_version"], told["objective_version"]):
        raise StudyError(
            f"{model.architecture} or {model.objective} was edited since the sweep started; start "
            "it again"
        )


def _train(
    job: Job,
    run: Run,
    store: RecordStore,
    inputs: _Inputs,
    feed: Feed,
    life: "_Life",
    checkpoint: Checkpoint,
) -> Record:
    stream, train, held_out = _jets(job, run, inputs)
    trunk = _trunk(run, store)
    started = time.time()
    recipe = follow(job.recipe, run.recipe)
    with life.beats() as on_step:
        result = train_run(
            RunSpec(
                key=run.key,
                size=run.size,
                features=feature_inputs(inputs.open(stream).features),
                classes=inputs.open(stream).labels,
                recipe=run.recipe,
                epochs=run.epochs,
                seed=run.seed,
            ),
            train,
            held_out.get("validation"),
            held_out.get("test"),
            device=job.device,
            trunk=store.trunk(trunk.key) if trunk else None,
            checkpoint=checkpoint,
            checkpoint_seconds=job.checkpoint_seconds,
            save_trunk=job.folder.trunk(run.key) if run.kind == "pretrain" else None,
            on_step=on_step,
            on_save=partial(feed.saved, run) if life.leads else lambda: None,
            stop=feed.stop,
        )
    if result.trunk_sha256:
        job.folder.put(job.folder.trunk(run.key))
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
        streams={name: inputs.open(name).digest for name in (stream, *held_out)}
        # what was used of it: more data sizes make the stream another one with the same beginning
        | {f"{stream}:{len(train)}": content_sha256(train)[:16]}
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


def _jets(job: Job, run: Run, inputs: _Inputs) -> tuple[str, Ragged, dict[str, Ragged]]:
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


@dataclass(slots=True)
class _Life:
    """The signs of life of a run, and how many of its steps were made before and lost."""

    store: RecordStore
    run: Run
    leads: bool
    recomputed: int = 0

    @contextmanager
    def beats(self) -> Iterator[Callable[[int, int], None] | None]:
        """Give signs of life until the block ends; call the function after every step.

        Of several ranks the first one alone does.
        """
        if not self.leads:
            yield None
            return
        before, first = self.store.step_of(self.run.key), True
        with beating(self.store, self.run, done=before) as beat:

            def on_step(step: int, steps: int) -> None:
                nonlocal first
                if first:
                    self.recomputed, first = max(0, before - (step - 1)), False
                beat(step, steps)

            yield on_step
