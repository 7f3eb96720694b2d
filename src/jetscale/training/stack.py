"""Runs in lock step: how far each of them is, and what it is worth at the end."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from jetscale.errors import Diverged, TrainingError
from jetscale.mixtures.ragged import Ragged
from jetscale.models.protocol import flops_6nd
from jetscale.objectives.protocol import Scores, plain_scores
from jetscale.objectives.shape import Shape
from jetscale.store.checkpoints import Checkpoint
from jetscale.store.checkpoints import save_trunk as write_trunk
from jetscale.training.curve import LossCurve
from jetscale.training.device import peak_flops, peak_memory, start_memory
from jetscale.training.engine import Engine, Source, describe_trunk
from jetscale.training.leave import ModelFile
from jetscale.training.leave import save_model as write_model
from jetscale.training.spec import Curve, RunResult

VOTE_STEPS = 16  # steps between two questions to all ranks whether to stop
VALIDATION_POINTS = 4
VALIDATION_SHARE = 0.1  # largest cost of validation before the end, as a share of the training cost


class Evicted(Exception):
    """A training was told to stop; it goes on from its checkpoint."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A run of a stack, and where its state and weights go."""

    source: Source
    """Its spec, its jets and the trunk it starts from."""
    checkpoint: Checkpoint | None = None
    """State to continue from, and to replace from time to time."""
    save_trunk: Path | None = None
    """File for the weights of its trunk."""
    save_model: ModelFile | None = None
    """File for the weights of its whole model, if they are wanted then."""
    on_step: Callable[[int, int], None] | None = None
    """Called after every step of the run with the steps done and the steps in all."""
    on_save: Callable[[], object] = lambda: None
    """Called after every checkpoint."""
    on_end: Callable[[RunResult | Diverged], object] = lambda _: None
    """Called once, as soon as it is known what became of the run; others may go on."""


class _Progress:
    """How far a run of a stack is: its losses on the validation jets, and the seconds it took."""

    def __init__(self, place: int, task: Task, state: dict[str, Any] | None) -> None:
        self.place, self.task = place, task
        self.validation_curve: Curve = state["validation_curve"] if state else []
        zero = dict.fromkeys(("batches", "steps", "evaluation", "total", "cpu"), 0.0)
        self.seconds: dict[str, float] = dict(state["seconds"]) if state else zero


class Stack:
    """Runs in lock step: their engine, the steps done and how far each of them is.

    What a stack takes is shared equally by its runs, so that the seconds of all runs of a sweep add
    up to those of the worker.
    """

    def __init__(
        self, tasks: Sequence[Task], states: Sequence[dict[str, Any] | None], device: str
    ) -> None:
        self.began = perf_counter(), process_time()
        self.engine = Engine([task.source for task in tasks], device)
        start_memory(self.engine.device)
        self.spec = tasks[0].source.spec
        self.runs = [_Progress(i, *pair) for i, pair in enumerate(zip(tasks, states, strict=True))]
        self.losses = LossCurve(self.engine.order.steps, len(tasks))
        self.step = 0
        self.outcomes: dict[int, RunResult | Diverged] = {}
        for row, state in enumerate(states):
            if state is not None:
                self.step = state["step"]
                self.engine.restore(state["engine"], row)
                self.losses.losses[row] = state["losses"].tolist()

    def train(
        self,
        validation: Ragged | None,
        test: Ragged | None,
        checkpoint_seconds: float,
        stop: Callable[[], bool] | None,
    ) -> dict[int, RunResult | Diverged]:
        """Make the steps that are left and score the runs; outcomes by place."""
        steps, ranks, saved = self.engine.order.steps, self.engine.ranks, perf_counter()
        due = set() if validation is None else _validation_steps(self.engine, len(validation))
        while self.step < steps and self.runs:
            self.advance()
            if self.step in due and validation is not None:
                for run, scores in self.score(validation):
                    run.validation_curve.append([self.step, float(scores["loss"])])
            vote = ranks.world == 1 or self.step % VOTE_STEPS == 0
            late = perf_counter() - saved >= checkpoint_seconds
            # all ranks together: losses are read, and a run must leave in all of them or in none
            if vote and ranks.any(late):
                self.save()
                saved = perf_counter()
                for run in self.runs:
                    run.task.on_save()
            for run in self.runs:
                if run.task.on_step is not None:
                    run.task.on_step(self.step, steps)
            if stop is not None and vote and stop():
                self.save()
                raise Evicted(f"step {self.step} of {steps}")
        self.collect()
        scored = {} if validation is None else {r.place: s for r, s in self.score(validation)}
        tested = {} if test is None else {r.place: s for r, s in self.score(test)}
        for row, run in enumerate(self.runs):
            found = scored.get(run.place), tested.get(run.place)
            left = self.write(row, run.task, found[0]) if ranks.rank == 0 else (None, None)
            self.tick()
            self.end(run, _result(self, row, *found, *left))
        return self.outcomes

    def end(self, run: _Progress, outcome: RunResult | Diverged) -> None:
        """Note what became of a run, and tell."""
        self.outcomes[run.place] = outcome
        run.task.on_end(outcome)

    def write(self, row: int, task: Task, validation: Scores | None) -> tuple[str | None, ...]:
        """Write the weights that later runs and users want; the SHA-256 of trunk and model."""
        trunk = None
        if task.save_trunk is not None:
            description = describe_trunk(self.spec.size, self.spec.recipe)
            weights = self.engine.trunk_weights(row)
            trunk = write_trunk(task.save_trunk, weights, description)
        weights_of = partial(self.engine.model_weights, row)
        return trunk, write_model(weights_of, task.source.spec, task.save_model, validation)

    def tick(self) -> None:
        """Share the seconds since the last call among the runs."""
        now = perf_counter(), process_time()
        for run in self.runs:
            run.seconds["total"] += (now[0] - self.began[0]) / len(self.runs)
            run.seconds["cpu"] += (now[1] - self.began[1]) / len(self.runs)
        self.began = now

    def spend(self, what: str, seconds: float) -> None:
        """Share what a part of the work took among the runs."""
        for run in self.runs:
            run.seconds[what] += seconds / len(self.runs)

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
        self.spend("batches", assembled - begin)
        if self.step % self.losses.window == 0:
            self.collect()
        self.spend("steps", perf_counter() - assembled)

    def collect(self) -> None:
        """Read the losses since the last call; runs with one that is not finite leave."""
        if self.runs:
            bad = self.losses.collect()
            losses = self.losses.losses
            self.leave({row: (f"loss is {losses[row][at]}", at) for row, at in bad.items()})

    def leave(self, bad: dict[int, tuple[str, int]]) -> None:
        """Take runs out of the stack: what is wrong with each row, and at which step."""
        self.tick()
        for row in sorted(bad, reverse=True):
            spec, (what, step) = self.runs[row].task.source.spec, bad[row]
            rate = self.engine.peaks[row] / self.engine.peaks[0] * self.engine.optimiser.rate(step)
            message = (
                f"run {spec.key} ({spec.size.name}): {what} at step {step + 1} of "
                f"{self.engine.order.steps}, learning rate {rate:.3g}; lower "
                "recipe.optimiser.learning_rate, or look for non-finite values in the jets"
            )
            self.end(self.runs[row], Diverged(message))
        if bad and len(bad) < len(self.runs):
            self.engine = self.engine.keep([i for i in range(len(self.runs)) if i not in bad])
        self.runs = [run for row, run in enumerate(self.runs) if row not in bad]
        self.losses.keep([row for row in range(len(self.losses.losses)) if row not in bad])

    def score(self, data: Ragged) -> list[tuple[_Progress, Scores]]:
        """Scores of the runs so far; those whose output is not finite leave."""
        self.collect()  # whoever diverged before leaves with its own step, and losses fit the stack
        if not self.runs:
            return []
        begin = perf_counter()
        self.engine.wait()  # for steps that are still under way
        ready = perf_counter()
        outputs = self.engine.apply(data)
        self.spend("steps", ready - begin)
        good = [row for row in range(len(self.runs)) if np.isfinite(outputs[row]).all()]
        wrong = set(range(len(self.runs))) - set(good)
        self.leave(dict.fromkeys(wrong, ("the output is not finite", self.step - 1)))
        kept = zip(self.runs, good, strict=True)
        scores = [(run, self._scores_of(run, outputs[row], data)) for run, row in kept]
        self.spend("evaluation", perf_counter() - ready)
        return scores

    def _scores_of(self, run: _Progress, outputs: np.ndarray, data: Ragged) -> Scores:
        spec = run.task.source.spec
        found = self.engine.objective.scores(outputs, data.labels, spec.classes)
        try:
            return plain_scores(found)  # or the record could not be written
        except (TypeError, ValueError, AttributeError) as error:
            raise TrainingError(
                f"run {spec.key}: objective {spec.recipe.model.objective!r} scores "
                f"{len(data)} jets with {error}"
            ) from error

    def save(self) -> None:
        """Write a checkpoint of every run that has one."""
        self.collect()
        self.tick()
        for row, run in enumerate(self.runs):
            if run.task.checkpoint is not None and self.engine.ranks.rank == 0:
                state = {
                    "step": self.step,
                    "engine": self.engine.state(row),
                    "losses": torch.tensor(self.losses.losses[row], dtype=torch.float64),
                    "validation_curve": run.validation_curve,
                    "seconds": run.seconds,
                }
                run.task.checkpoint.save(run.task.source.spec.key, state)


def _validation_steps(engine: Engine, jets: int) -> set[int]:
    """Steps after which to score ``jets`` jets; a forward pass costs a third of a training jet."""
    seen = engine.order.epochs * engine.order.jets
    points = min(VALIDATION_POINTS, int(3 * VALIDATION_SHARE * seen / jets))
    return {round(engine.order.steps * (i + 1) / (points + 1)) for i in range(points)}


def count_flops(shape: Shape, lengths: NDArray[np.int64], epochs: int) -> dict[str, Any]:
    """What a whole training computes, by field of `RunResult`, from the lengths of its jets."""
    constituents = epochs * int(lengths.sum())
    padded, jets = np.array([shape.constituents]), epochs * len(lengths)
    return {
        "constituents": constituents,
        "flops": shape.training_flops(lengths, epochs),
        "flops_padded": shape.training_flops(padded, jets),
        "flops_6nd": flops_6nd(shape.parameters, constituents),
    }


def _result(
    stack: Stack,
    row: int,
    validation: Scores | None,
    test: Scores | None,
    trunk_sha256: str | None,
    model_sha256: str | None,
) -> RunResult:
    engine, run = stack.engine, stack.runs[row]
    source, seconds, device = run.task.source, run.seconds, engine.device
    seen = source.spec.epochs * len(source.train)
    busy = seconds["batches"] + seconds["steps"]
    flops = count_flops(engine.shape, source.train.lengths, source.spec.epochs)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    peak = peak_flops(name, source.spec.recipe.precision)
    training, validated = stack.losses.points(row), run.validation_curve
    if validation is not None:
        # The end replaces a point that validation may have made after the last step.
        validated = [point for point in validated if point[0] < stack.step]
        validated.append([stack.step, float(validation["loss"])])
    return RunResult(
        key=source.spec.key,
        params=engine.parameters.total,
        params_non_embedding=engine.parameters.non_embedding,
        examples=len(source.train),
        examples_seen=seen,
        epochs=source.spec.epochs,
        steps=stack.step,
        peak_rate=engine.peaks[row],
        tokens=engine.tokens[row],
        jets_per_second=seen / busy,
        mfu=peak and flops["flops"] / (busy * engine.ranks.world * peak),
        peak_memory=peak_memory(device),
        ranks=engine.ranks.world,
        stack=len(stack.runs),
        device=name,
        **flops,
        training_loss=training[-1][1],
        curve={"training_loss": training, "validation_loss": validated},
        validation=validation,
        test=test,
        trunk_sha256=trunk_sha256,
        model_sha256=model_sha256,
        timings=seconds,
    )
