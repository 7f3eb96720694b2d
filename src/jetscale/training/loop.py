"""One training in one process: optimiser steps, evaluation, checkpoints, result.

The data set is in memory and every step gathers its jets from it, so there is no loader. A run
depends on its spec, data, device and thread count only. It can stop anywhere and continue from its
checkpoint with the same numbers, bit for bit on a CPU. The checkpoint stays when the run is done:
whoever stores the result deletes it. Several processes can train one model together (see
`jetscale.training.ranks`).
"""

from collections.abc import Callable
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np
import torch

from jetscale.errors import Diverged, TrainingError
from jetscale.mixtures.ragged import Ragged
from jetscale.models.protocol import architecture_named, flops_6nd
from jetscale.objectives.protocol import Scores, plain_scores
from jetscale.store.checkpoints import Checkpoint
from jetscale.store.checkpoints import save_trunk as write_trunk
from jetscale.training.curve import LossCurve
from jetscale.training.engine import Engine, describe_trunk
from jetscale.training.spec import Curve, RunResult, RunSpec

VOTE_STEPS = 16  # steps between two questions to all ranks whether to stop
VALIDATION_POINTS = 4
VALIDATION_SHARE = 0.1  # largest cost of validation before the end, as a share of the training cost


class Evicted(Exception):
    """A training was told to stop; it goes on from its checkpoint."""


def train_run(
    spec: RunSpec,
    train: Ragged,
    validation: Ragged | None = None,
    test: Ragged | None = None,
    *,
    device: str = "cpu",
    trunk: Path | None = None,
    checkpoint: Checkpoint | None = None,
    checkpoint_seconds: float = 60.0,
    save_trunk: Path | None = None,
    on_step: Callable[[int, int], None] | None = None,
    on_save: Callable[[], object] = lambda: None,
    stop: Callable[[], bool] | None = None,
) -> RunResult:
    """Train and score one run.

    Args:
        train, validation, test: Standardised jets with at most ``recipe.data.constituents``
            constituents; all of ``train`` is the data set of size D.
        trunk: Weights of a pretrained trunk to start from; None starts from random weights.
        checkpoint: State to continue from, and to replace every ``checkpoint_seconds``.
        on_step: Called after every step with the steps done and the steps in all.
        on_save: Called after every checkpoint.
        stop: Whether to save a checkpoint and leave; asked by all ranks after the same steps.

    Raises:
        TrainingError: The data or the trunk do not fit the spec.
        Diverged: The loss or the output is not finite.
        StudyError: The architecture or the objective of the recipe is not known or is not usable.
        StorageError: A file cannot be written.
        Evicted: ``stop`` said so.
    """
    started = perf_counter(), process_time()
    for role, data in (("train", train), ("validation", validation), ("test", test)):
        if data is not None:
            _check(spec, role, data)
    run = _Training(spec, train, device, trunk)
    if checkpoint is not None:
        run.resume(checkpoint)
    before = run.seconds["total"], run.seconds["cpu"]

    def tick() -> None:
        run.seconds["total"] = before[0] + perf_counter() - started[0]
        run.seconds["cpu"] = before[1] + process_time() - started[1]

    steps, ranks, saved = run.engine.order.steps, run.engine.ranks, perf_counter()
    due = set() if validation is None else _validation_steps(run.engine, len(validation))
    while run.step < steps:
        run.advance()
        if run.step in due and validation is not None:
            run.validation_curve.append([run.step, float(run.score(validation)["loss"])])
        vote = ranks.world == 1 or run.step % VOTE_STEPS == 0
        late = perf_counter() - saved >= checkpoint_seconds
        # all ranks together: reading the losses may raise, and must do so in all or in none
        if checkpoint is not None and vote and ranks.any(late):
            tick()
            run.save(checkpoint)
            saved = perf_counter()
            on_save()
        if on_step is not None:
            on_step(run.step, steps)
        if stop is not None and vote and stop():
            if checkpoint is not None:
                tick()
                run.save(checkpoint)
            raise Evicted(f"step {run.step} of {steps}")
    run.collect()
    scored, tested = (None if data is None else run.score(data) for data in (validation, test))
    sha256 = None
    if save_trunk is not None and run.engine.ranks.rank == 0:
        description = describe_trunk(spec.size, spec.recipe)
        sha256 = write_trunk(save_trunk, run.engine.trunk_weights(), description)
    tick()
    return _result(run, scored, tested, sha256)


class _Training:
    """How far a run is: steps done, losses so far and the seconds they took."""

    def __init__(self, spec: RunSpec, train: Ragged, device: str, trunk: Path | None) -> None:
        self.spec = spec
        self.engine = Engine(spec, train, device, trunk)
        self.losses = LossCurve(self.engine.order.steps)
        self.flops = _count_flops(spec, self.engine)
        self.validation_curve: Curve = []
        self.step = 0
        self.seconds = dict.fromkeys(("batches", "steps", "evaluation", "total", "cpu"), 0.0)

    def advance(self) -> None:
        """Make one optimiser step.

        A GPU works behind the host, which waits for it when a window of the loss curve is full and
        before an evaluation: over a window, ``batches`` and ``steps`` add up to what it took.
        """
        begin = perf_counter()
        batch, jets = self.engine.assemble(self.step)
        assembled = perf_counter()
        self.losses.add(self.engine.update(self.step, batch, jets))
        self.step += 1
        if self.step % self.losses.window == 0:
            self.collect()
        self.seconds["batches"] += assembled - begin
        self.seconds["steps"] += perf_counter() - assembled

    def collect(self) -> None:
        """Read the losses since the last call; raises Diverged for one that is not finite."""
        bad = self.losses.collect()
        if bad is not None:
            self._fail(f"loss is {self.losses.losses[bad]}", bad)

    def _fail(self, what: str, step: int) -> None:
        optimiser = self.engine.optimiser
        raise Diverged(
            f"run {self.spec.key} ({self.spec.size.name}): {what} at step {step + 1} of "
            f"{self.engine.order.steps}, learning rate {optimiser.rate(step):.3g}; lower "
            "recipe.optimiser.learning_rate, or look for non-finite values in the jets"
        )

    def score(self, data: Ragged) -> Scores:
        """Scores of the model so far; raises Diverged when its output is not finite."""
        begin = perf_counter()
        self.engine.wait()  # for steps that are still under way
        ready = perf_counter()
        outputs = self.engine.apply(data)
        if not np.isfinite(outputs).all():
            self._fail("the output is not finite", self.step - 1)
        found = self.engine.objective.scores(outputs, data.labels, self.spec.classes)
        try:
            scores = plain_scores(found)  # or the record could not be written
        except (TypeError, ValueError, AttributeError) as error:
            raise TrainingError(
                f"run {self.spec.key}: objective {self.spec.recipe.model.objective!r} scores "
                f"{len(data)} jets with {error}"
            ) from error
        self.seconds["steps"] += ready - begin
        self.seconds["evaluation"] += perf_counter() - ready
        return scores

    def save(self, checkpoint: Checkpoint) -> None:
        self.collect()
        if self.engine.ranks.rank == 0:
            state = {
                "step": self.step,
                "engine": self.engine.state(),
                "losses": torch.tensor(self.losses.losses, dtype=torch.float64),
                "validation_curve": self.validation_curve,
                "seconds": self.seconds,
            }
            checkpoint.save(self.spec.key, state)

    def resume(self, checkpoint: Checkpoint) -> None:
        # rank 0 wrote it: what another rank sees of it may be older
        ranks = self.engine.ranks
        state = ranks.agree(checkpoint.load(self.spec.key) if ranks.rank == 0 else None)
        if state is None:
            return
        self.step = state["step"]
        self.engine.restore(state["engine"])
        self.losses.losses = state["losses"].tolist()
        self.validation_curve = state["validation_curve"]
        self.seconds = dict(state["seconds"])


def _validation_steps(engine: Engine, jets: int) -> set[int]:
    """Steps after which to score ``jets`` jets; a forward pass costs a third of a training jet."""
    seen = engine.order.epochs * engine.order.jets
    points = min(VALIDATION_POINTS, int(3 * VALIDATION_SHARE * seen / jets))
    return {round(engine.order.steps * (i + 1) / (points + 1)) for i in range(points)}


def _check(spec: RunSpec, role: str, data: Ragged) -> None:
    """Raise TrainingError for data that the spec cannot take."""
    limit = spec.recipe.data.constituents
    problem = None
    if not len(data):
        problem = "no jets; give at least one"
    elif data.values.shape[1] != len(spec.features):
        problem = (
            f"{data.values.shape[1]} features, feature set {spec.recipe.data.features!r} has "
            f"{len(spec.features)}; prepare the stream again"
        )
    elif data.lengths.min() < 1 or data.lengths.max() > limit:
        problem = (
            f"jets of {data.lengths.min()} to {data.lengths.max()} constituents, needs 1 to "
            f"{limit}; prepare the stream again"
        )
    elif data.labels.min() < 0 or data.labels.max() >= len(spec.classes):
        problem = (
            f"labels {data.labels.min()} to {data.labels.max()}, the run has "
            f"{len(spec.classes)} classes; prepare the stream again"
        )
    if problem:
        raise TrainingError(f"run {spec.key}, {role} data: {problem}")


def _count_flops(spec: RunSpec, engine: Engine) -> dict[str, Any]:
    """What the whole training computes; it follows from the lengths of the jets."""
    architecture = architecture_named(spec.recipe.model.architecture)
    shape = (spec.size, spec.features, engine.outputs)
    jets, limit = spec.epochs * len(engine.lengths), spec.recipe.data.constituents
    constituents = spec.epochs * int(engine.lengths.sum())
    squared = spec.epochs * int((engine.lengths**2).sum())
    return {
        "constituents": constituents,
        "flops": architecture.training_flops(
            *shape, jets=jets, constituents=constituents, constituents_squared=squared
        ),
        "flops_padded": architecture.training_flops(
            *shape, jets=jets, constituents=jets * limit, constituents_squared=jets * limit**2
        ),
        "flops_6nd": flops_6nd(engine.parameters, constituents),
    }


def _result(
    run: _Training, validation: Scores | None, test: Scores | None, trunk_sha256: str | None
) -> RunResult:
    engine, device, seconds = run.engine, run.engine.device, run.seconds
    examples, seen = len(engine.lengths), run.spec.epochs * len(engine.lengths)
    training, validated = run.losses.points(), run.validation_curve
    if validation is not None:
        # The end replaces a point that validation may have made after the last step.
        validated = [point for point in validated if point[0] < run.step]
        validated.append([run.step, float(validation["loss"])])
    return RunResult(
        key=run.spec.key,
        params=engine.parameters.total,
        params_non_embedding=engine.parameters.non_embedding,
        examples=examples,
        examples_seen=seen,
        epochs=run.spec.epochs,
        steps=run.step,
        peak_rate=engine.optimiser.peak,
        tokens=engine.tokens,
        jets_per_second=seen / (seconds["batches"] + seconds["steps"]),
        ranks=engine.ranks.world,
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        **run.flops,
        training_loss=training[-1][1],
        curve={"training_loss": training, "validation_loss": validated},
        validation=validation,
        test=test,
        trunk_sha256=trunk_sha256,
        timings=seconds,
    )
