"""A run that a command trains: the files it reads, what it is told, and the result it leaves."""

import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

from jetscale.errors import SweepError, TrainingError
from jetscale.mixtures.files import ensure_file
from jetscale.mixtures.ragged import Ragged
from jetscale.planning import Run
from jetscale.store.home import Attempt, StudyFolder
from jetscale.store.local import atomic_path, fits, make_folder, read_json, sha256_of, write_json
from jetscale.study import Command, Study
from jetscale.training.command import Outcome, read_outcome, run_command
from jetscale.training.engine import shape_of
from jetscale.training.spec import RunResult, RunSpec
from jetscale.training.stack import count_flops


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A run as its command is told of it."""

    run: Run
    spec: RunSpec
    stream: str
    """Name of the stream that it trains on."""
    train: Ragged
    """Its D jets."""
    held_out: Mapping[str, Ragged]
    """Jets for scoring by role; none where pretraining."""
    trunk: Path | None
    """What its pretraining left."""
    device: str
    """``cpu`` or ``cuda``."""

    @property
    def command(self) -> Command:
        """What trains it."""
        trainer = self.spec.recipe.trainer
        assert trainer is not None
        return trainer

    @property
    def steps(self) -> int:
        """Optimiser steps as planned for the jets there are."""
        return self.spec.recipe.schedule.steps(len(self.train), self.spec.epochs)

    @property
    def peak_rate(self) -> float:
        """Largest learning rate as planned."""
        law = self.spec.recipe.optimiser.law(self.run.start)
        return law.at(self.spec.size.width, self.steps)

    def values(self, folder: StudyFolder) -> dict[str, str]:
        """Every field of a command (see `jetscale.study.command.FIELDS`); writes the files."""
        attempt, size, jets = folder.attempt(self.run.key), self.spec.size, len(self.train)
        files = {
            role: ensure_file(
                folder.home.files.absolute(),
                name,
                data,
                features=[feature.name for feature in self.spec.features],
                classes=self.spec.classes,
                kind=self.command.files,
            )
            for role, name, data in (
                ("train", self.stream, self.train),
                *((role, role, data) for role, data in self.held_out.items()),
            )
        }
        pretraining = self.run.kind == "pretrain"
        told: dict[str, Any] = {
            "kind": self.run.kind,
            "mixture": self.run.mixture.name,
            "width": size.width,
            "layers": size.layers,
            "heads": size.heads,
            "params": self.run.params,
            "examples": jets,
            "epochs": self.spec.epochs,
            "steps": self.steps,
            "batch_size": self.spec.recipe.schedule.batch(jets, self.spec.epochs),
            "learning_rate": self.peak_rate,
            "seed": self.spec.seed,
            "trunk": self.trunk.absolute() if self.trunk else "",
            "save_trunk": attempt.trunk.absolute() if pretraining else "",
            "checkpoint": attempt.checkpoint.absolute(),
            "device": self.device,
            "python": sys.executable,
            "out": attempt.out.absolute(),
        }
        return {n: str(v) for n, v in ({"validation": "", "test": ""} | files | told).items()}


def train_by_command(
    told: Told, folder: StudyFolder, *, alive: Callable[[], object], stop: Callable[[], bool]
) -> tuple[RunResult, dict[str, str]]:
    """What the training of a run by its command is worth, and the versions that it tells.

    Raises what `jetscale.training.command.run_command` and `read_outcome` raise, and StorageError
    where files cannot be written.
    """
    attempt, began = folder.attempt(told.run.key), perf_counter()
    make_folder(attempt.checkpoint)
    for left in (attempt.out, attempt.trunk):  # by the attempt before
        shutil.rmtree(left, ignore_errors=True)  # a folder is not what it was asked for
        left.unlink(missing_ok=True)
    words, before = told.command.words(told.values(folder)), _spent(attempt)
    start, log = Path(told.command.folder), folder.log(told.run.key)
    try:
        try:
            cpu = run_command(words, start, log, alive=alive, stop=stop)
        finally:
            seconds = before + perf_counter() - began
            write_json(attempt.spent, {"seconds": seconds})
        outcome = read_outcome(attempt.out, tested=told.run.kind == "finetune")
        sha256 = _keep_trunk(told, attempt, folder) if told.run.kind == "pretrain" else None
    except TrainingError as error:
        raise type(error)(f"{told.run.name}, run {told.run.key}: {error}") from error
    result = replace(_result(told, outcome, seconds, cpu), trunk_sha256=sha256)
    return result, outcome.versions or {}


def _spent(attempt: Attempt) -> float:
    """Seconds of earlier attempts at a run."""
    found = (read_json(attempt.spent) or {}).get("seconds")
    return float(found) if found is not None and fits(found, float) else 0.0


def _keep_trunk(told: Told, attempt: Attempt, folder: StudyFolder) -> str | None:
    """Move the trunk that a pretraining left to its place; returns the SHA-256 of it."""
    if not attempt.trunk.is_file():
        raise TrainingError(
            f"its command left no {attempt.trunk}; a pretraining writes a file {{save_trunk}}"
        )
    path = folder.trunk(told.run.key)
    with atomic_path(path) as temporary:
        attempt.trunk.replace(temporary)
    return sha256_of(path)


def _result(told: Told, outcome: Outcome, seconds: float, cpu: float) -> RunResult:
    spec, seen = told.spec, told.spec.epochs * len(told.train)
    curve, shape = outcome.curve or {}, shape_of(spec)
    counted = count_flops(shape, told.train.lengths, spec.epochs)
    training, validation = outcome.training_loss, outcome.validation_loss
    if training is None and curve.get("training_loss"):
        training = curve["training_loss"][-1][1]
    if outcome.params:  # the architecture of the recipe is not what was trained
        params, blocks = outcome.params, outcome.params
        counted["flops_6nd"] = 6.0 * params * counted["constituents"]
    else:
        params, blocks = shape.parameters.total, shape.parameters.non_embedding
    if outcome.flops:
        counted |= {"flops": outcome.flops, "flops_padded": outcome.flops}
    return RunResult(
        key=spec.key,
        params=params,
        params_non_embedding=blocks,
        examples=len(told.train),
        examples_seen=seen,
        epochs=spec.epochs,
        steps=outcome.steps or told.steps,
        peak_rate=told.peak_rate,
        tokens=None,
        jets_per_second=seen / seconds,
        mfu=None,  # the command did more than steps in these seconds
        peak_memory=None,
        ranks=1,
        stack=1,
        device=told.device,
        **counted,
        training_loss=training,
        curve={name: points for name, points in curve.items() if points},
        validation=None if validation is None else {"loss": validation},
        test=None if outcome.loss is None else {"loss": outcome.loss} | (outcome.scores or {}),
        trunk_sha256=None,
        model_sha256=None,
        # nobody tells what of it was evaluation
        timings={"batches": 0.0, "steps": seconds, "evaluation": 0.0, "total": seconds, "cpu": cpu},
    )


def check_workers(study: Study, workers: int | None) -> None:
    """Raise SweepError where each run of a study whose runs a command trains is to have several."""
    if study.recipe.trainer is not None and workers not in (None, 1):
        raise SweepError(
            f"--workers-per-run {workers}: a command trains each run of {study.name!r} in one "
            "worker; leave the option out, the command may start processes of its own"
        )
