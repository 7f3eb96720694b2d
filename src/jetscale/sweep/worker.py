"""What a worker does with a trial: its cells one after another, a record for each.

A cell with a record is skipped, a cell with a checkpoint goes on from it, and a cell that diverges
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
from jetscale.mixtures.stream import open_stream
from jetscale.plan import Cell, pretraining_examples
from jetscale.store.records import HEARTBEAT_SECONDS, Record, RecordStore, finished, trunk_path
from jetscale.study import Study
from jetscale.training.loop import run_cell
from jetscale.training.spec import Cell as Run
from jetscale.training.spec import CellResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A trial as it travels to a worker: no open file, no tensor, nothing of Ray."""

    study: Study
    folder: Path
    """Results folder of the study, visible on every node."""
    streams: Mapping[str, Path]
    held_fixed: Mapping[str, Any]
    cells: tuple[Cell, ...]
    device: str = "cpu"


@dataclass(slots=True)
class _Inputs:
    """Streams of a job, each read once."""

    paths: Mapping[str, Path]
    _jets: dict[tuple[str, int], Ragged] = field(default_factory=dict)
    _digests: dict[str, str] = field(default_factory=dict)

    def read(self, name: str, jets: int) -> Ragged:
        """The first ``jets`` jets of a stream."""
        if (name, jets) not in self._jets:
            stream = open_stream(self.paths[name])
            self._digests[name] = stream.digest
            self._jets[name, jets] = stream.read(jets)
        return self._jets[name, jets]

    def digest(self, name: str) -> str:
        """Content digest of a stream."""
        if name not in self._digests:
            self._digests[name] = open_stream(self.paths[name]).digest
        return self._digests[name]


def run_job(job: Job) -> dict[str, int]:
    """Train the cells of a job that have no record; returns how many were trained and failed.

    Raises
    ------
    StorageError
        A record or checkpoint cannot be written: no cell could be kept.
    """
    counts = {"trained": 0, "failed": 0}
    store = RecordStore(job.folder)
    inputs = _Inputs(job.streams)
    done = finished(store, job.folder, job.cells)
    for cell in job.cells:
        if cell.key in done:
            continue
        try:
            record = _train(job, cell, store, inputs)
        except StorageError:
            raise
        except (JetscaleError, torch.OutOfMemoryError) as error:
            store.write_failure(cell, " ".join(str(error).split())[:500])
            counts["failed"] += 1
            continue
        store.write(record)
        _checkpoint(job, cell).unlink(missing_ok=True)
        counts["trained"] += 1
    return counts


def _train(job: Job, cell: Cell, store: RecordStore, inputs: _Inputs) -> Record:
    pretraining = cell.kind == "pretrain"
    stream = pretraining_stream(cell.mixture) if pretraining else f"train-{cell.subset}"
    trunk, pretraining_flops = _trunk(job, cell, store)
    train = (
        _pretraining_jets(job, cell, inputs) if pretraining else inputs.read(stream, cell.examples)
    )
    held_out = {name: inputs.read(name, jets) for name, jets in _held_out(job, cell).items()}
    started = time.time()
    store.beat(cell.key, 0, cell.steps)
    result = run_cell(
        Run(
            identity=cell.key,
            size=cell.size,
            classes=cell.mixture.labels if pretraining else job.study.classes,
            controls=job.study.controls,
            epochs=cell.epochs,
            seed=cell.seed,
        ),
        train,
        held_out.get("validation"),
        held_out.get("test"),
        device=job.device,
        trunk=trunk,
        checkpoint=_checkpoint(job, cell),
        save_trunk=trunk_path(job.folder, cell.key) if pretraining else None,
        on_step=_heartbeat(store, cell),
    )
    return Record(
        key=cell.key,
        study=job.study.name,
        kind=cell.kind,
        mixture=cell.mixture.name,
        parts=dict(cell.mixture.parts),
        width=cell.size.width,
        layers=cell.size.layers,
        heads=cell.size.heads,
        seed=cell.seed,
        subset=cell.subset,
        pretraining_flops=pretraining_flops,
        controls=dict(job.held_fixed),
        controls_digest=digest(dict(job.held_fixed)),
        streams={name: inputs.digest(name) for name in (stream, *held_out)},
        trunk=cell.trunk,
        host=socket.gethostname(),
        versions=_versions(),
        started=started,
        finished=time.time(),
        **_measured(result),
    )


def _measured(result: CellResult) -> dict[str, Any]:
    """The fields of a record that training measured."""
    test, validation = result.test, result.validation
    return {
        "params": result.parameters,
        "params_non_embedding": result.non_embedding_parameters,
        "examples": result.unique_jets,
        "examples_seen": result.examples,
        "steps": result.steps,
        "flops": result.training_flops,
        "flops_padded": result.training_flops_padded,
        "flops_6nd": result.six_nd,
        "loss": test.loss if test else result.training_curve[-1][1],
        "validation_loss": validation.loss if validation else None,
        "scores": asdict(test) if test else {},
        "curve": {
            "training_loss": [list(point) for point in result.training_curve],
            "validation_loss": [list(point) for point in result.validation_curve],
        },
        "timings": result.seconds,
        "device": result.device,
    }


def _versions() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
    }


def _checkpoint(job: Job, cell: Cell) -> Path:
    return job.folder / "checkpoints" / f"{cell.key}.pt"


def _trunk(job: Job, cell: Cell, store: RecordStore) -> tuple[Path | None, float]:
    """The trunk a cell starts from, and the FLOPs spent on it."""
    if cell.trunk is None:
        return None, 0.0
    path, record = trunk_path(job.folder, cell.trunk), store.read(cell.trunk)
    if record is None or not path.is_file():
        raise TrainingError(f"{cell.name}: its pretraining cell {cell.trunk} has not finished")
    return path, record.flops


def _pretraining_jets(job: Job, cell: Cell, inputs: _Inputs) -> Ragged:
    """The jets of a mixture that its budget pays for."""
    pool = inputs.read(pretraining_stream(cell.mixture), job.study.controls.pretraining_pool)
    return pool.head(pretraining_examples(job.study, cell.mixture, cell.size, pool.lengths))


def _held_out(job: Job, cell: Cell) -> dict[str, int]:
    """Streams a cell is scored on; a pretraining cell only reports its training loss."""
    if cell.kind == "pretrain":
        return {}
    controls = job.study.controls
    return {"validation": controls.validation_jets, "test": controls.test_jets}


def _heartbeat(store: RecordStore, cell: Cell) -> Callable[[int, int], None]:
    last = time.monotonic()

    def beat(step: int, steps: int) -> None:
        nonlocal last
        if time.monotonic() - last > HEARTBEAT_SECONDS:
            last = time.monotonic()
            store.beat(cell.key, step, steps)

    return beat
