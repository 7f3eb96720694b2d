"""What a worker does with a trial: its runs one after another, a record for each.

A run with a record is skipped, a run with a checkpoint goes on from it, and a run that diverges
leaves a failure with its reason while the others go on. So a trial can be started any number of
times, by this driver or the next, and trains only what is missing.
"""

import platform
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from jetscale.digests import digest
from jetscale.errors import JetscaleError, StorageError, TrainingError
from jetscale.mixtures.inputs import pretraining_stream
from jetscale.mixtures.ragged import Ragged
from jetscale.mixtures.stream import Stream, open_stream
from jetscale.plan import Run, pretraining_examples
from jetscale.store.records import HEARTBEAT_SECONDS, Record, RecordStore, finished, trunk_path
from jetscale.study import Study
from jetscale.training.loop import train_run
from jetscale.training.spec import RunResult, RunSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A trial as it travels to a worker: no open file, no tensor, nothing of Ray."""

    study: Study
    folder: Path
    """Results folder of the study, visible on every node."""
    streams: Mapping[str, Path]
    held_fixed: Mapping[str, Any]
    runs: tuple[Run, ...]
    device: str = "cpu"


@dataclass(slots=True)
class _Inputs:
    """Streams of a job, each read once."""

    paths: Mapping[str, Path]
    _jets: dict[tuple[str, int], Ragged] = field(default_factory=dict)
    _streams: dict[str, Stream] = field(default_factory=dict)

    def open(self, name: str) -> Stream:
        """A stream, with its features and classes."""
        if name not in self._streams:
            self._streams[name] = open_stream(self.paths[name])
        return self._streams[name]

    def read(self, name: str, jets: int) -> Ragged:
        """The first ``jets`` jets of a stream."""
        if (name, jets) not in self._jets:
            self._jets[name, jets] = self.open(name).read(jets)
        return self._jets[name, jets]


def run_job(job: Job) -> dict[str, int]:
    """Train the runs of a job that have no record; returns how many were trained and failed.

    Raises
    ------
    StorageError
        A record or checkpoint cannot be written: no run could be kept.
    """
    counts = {"trained": 0, "failed": 0}
    store = RecordStore(job.folder)
    inputs = _Inputs(job.streams)
    done = finished(store, job.folder, job.runs)
    for run in job.runs:
        if run.key in done:
            continue
        try:
            record = _train(job, run, store, inputs)
        except StorageError:
            raise
        except (JetscaleError, torch.OutOfMemoryError) as error:
            store.write_failure(run, " ".join(str(error).split())[:500])
            counts["failed"] += 1
            continue
        store.write(record)
        _checkpoint(job, run).unlink(missing_ok=True)
        counts["trained"] += 1
    return counts


def _train(job: Job, run: Run, store: RecordStore, inputs: _Inputs) -> Record:
    pretraining = run.kind == "pretrain"
    stream = pretraining_stream(run.mixture) if pretraining else f"train-{run.subset}"
    trunk, pretraining_flops = _trunk(job, run, store)
    train = (
        _pretraining_jets(job, run, inputs) if pretraining else inputs.read(stream, run.examples)
    )
    held_out = {name: inputs.read(name, jets) for name, jets in _held_out(job, run).items()}
    started = time.time()
    store.beat(run.key, 0, run.steps)
    result = train_run(
        RunSpec(
            key=run.key,
            size=run.size,
            classes=inputs.open(stream).labels,
            features=inputs.open(stream).features,
            recipe=job.study.recipe,
            epochs=run.epochs,
            seed=run.seed,
        ),
        train,
        held_out.get("validation"),
        held_out.get("test"),
        device=job.device,
        trunk=trunk,
        checkpoint=_checkpoint(job, run),
        save_trunk=trunk_path(job.folder, run.key) if pretraining else None,
        on_step=_heartbeat(store, run),
    )
    return Record(
        key=run.key,
        study=job.study.name,
        kind=run.kind,
        mixture=run.mixture.name,
        parts=dict(run.mixture.parts),
        width=run.size.width,
        layers=run.size.layers,
        heads=run.size.heads,
        seed=run.seed,
        subset=run.subset,
        pretraining_flops=pretraining_flops,
        controls=dict(job.held_fixed),
        controls_digest=digest(dict(job.held_fixed)),
        streams={name: inputs.open(name).digest for name in (stream, *held_out)},
        trunk=run.trunk,
        host=socket.gethostname(),
        versions=_versions(),
        started=started,
        finished=time.time(),
        **_measured(result),
    )


def _measured(result: RunResult) -> dict[str, Any]:
    """The fields of a record that training measured."""
    test, validation = result.test, result.validation
    return {
        "params": result.params,
        "params_non_embedding": result.params_non_embedding,
        "examples": result.examples,
        "examples_seen": result.examples_seen,
        "steps": result.steps,
        "flops": result.flops,
        "flops_padded": result.flops_padded,
        "flops_6nd": result.flops_6nd,
        "loss": test.loss if test else result.training_curve[-1][1],
        "validation_loss": validation.loss if validation else None,
        "scores": asdict(test) if test else {},
        "curve": {
            "training_loss": [list(point) for point in result.training_curve],
            "validation_loss": [list(point) for point in result.validation_curve],
        },
        "timings": result.timings,
        "device": result.device,
    }


def _versions() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
    }


def _checkpoint(job: Job, run: Run) -> Path:
    return job.folder / "checkpoints" / f"{run.key}.pt"


def _trunk(job: Job, run: Run, store: RecordStore) -> tuple[Path | None, float]:
    """The trunk a run starts from, and the FLOPs spent on it."""
    if run.trunk is None:
        return None, 0.0
    path, record = trunk_path(job.folder, run.trunk), store.read(run.trunk)
    if record is None or not path.is_file():
        raise TrainingError(f"{run.name}: its pretraining run {run.trunk} has not finished")
    return path, record.flops


def _pretraining_jets(job: Job, run: Run, inputs: _Inputs) -> Ragged:
    """The jets of a mixture that its budget pays for."""
    name = pretraining_stream(run.mixture)
    pool = inputs.read(name, job.study.recipe.data.pretraining_pool)
    classes = len(inputs.open(name).labels)
    return pool.head(pretraining_examples(job.study, run.mixture, run.size, pool.lengths, classes))


def _held_out(job: Job, run: Run) -> dict[str, int]:
    """Streams a run is scored on; a pretraining run only reports its training loss."""
    if run.kind == "pretrain":
        return {}
    recipe = job.study.recipe
    return {"validation": recipe.evaluation.validation_jets, "test": recipe.evaluation.test_jets}


def _heartbeat(store: RecordStore, run: Run) -> Callable[[int, int], None]:
    last = time.monotonic()

    def beat(step: int, steps: int) -> None:
        nonlocal last
        if time.monotonic() - last > HEARTBEAT_SECONDS:
            last = time.monotonic()
            store.beat(run.key, step, steps)

    return beat
