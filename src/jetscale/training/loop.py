"""One spec in one process: optimiser steps, evaluation, checkpoints, result.

The data set is in memory and every step gathers its jets from it, so there is no loader. A run
depends on its spec, data, device and thread count only. It can stop anywhere and continue from its
checkpoint with the same numbers, bit for bit on a CPU. The checkpoint stays when the spec is done:
whoever stores the result deletes it.

Where ``torch.distributed`` is initialised, each rank takes every world-th jet of every batch and
gradients are summed, so the optimiser steps are those of one process up to rounding. All ranks
return the result; rank 0 alone writes files.
"""

import math
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, process_time

import numpy as np
import torch
from torch import Tensor, distributed
from torch.nn import functional

from jetscale.errors import TrainingError
from jetscale.jets.schema import features_of
from jetscale.mixtures.ragged import Ragged
from jetscale.models.transformer import flops
from jetscale.models.transformer.layout import arrange
from jetscale.models.transformer.model import JetTransformer, make_batch
from jetscale.objectives.classify import Scores, predict, scores
from jetscale.store.checkpoints import load_checkpoint, load_trunk, save_checkpoint
from jetscale.store.checkpoints import save_trunk as write_trunk
from jetscale.training.optim import FlatAdamW
from jetscale.training.order import Order, Seeds
from jetscale.training.spec import RunResult, RunSpec

CURVE_POINTS = 32
VALIDATION_POINTS = 4
VALIDATION_SHARE = 0.1
"""Largest cost of validation before the end, as a share of the training cost."""


def train_run(
    spec: RunSpec,
    train: Ragged,
    validation: Ragged | None = None,
    test: Ragged | None = None,
    *,
    device: str = "cpu",
    trunk: Path | None = None,
    checkpoint: Path | None = None,
    checkpoint_seconds: float = 60.0,
    save_trunk: Path | None = None,
    on_step: Callable[[int, int], None] | None = None,
) -> RunResult:
    """Train and evaluate one spec.

    Parameters
    ----------
    train, validation, test
        Standardised jets with at most ``recipe.data.constituents`` constituents; all of ``train``
        is the data set of size D.
    device
        A torch device, as ``cpu`` or ``cuda:0``.
    trunk
        Weights of a pretrained trunk to start from; None starts from random weights.
    checkpoint
        File to continue from, and to replace every ``checkpoint_seconds``.
    save_trunk
        Where to write the trained trunk.
    on_step
        Called after every step with the steps done and the steps in all.

    Raises
    ------
    TrainingError
        The data do not fit the spec, the trunk does not fit the model, or the loss is not finite.
    StorageError
        A file cannot be written.
    """
    started = perf_counter(), process_time()
    for role, data in (("train", train), ("validation", validation), ("test", test)):
        if data is not None:
            _check(spec, role, data)
    run = _Training(spec, train, validation, device, trunk)
    if checkpoint is not None:
        run.resume(checkpoint)
    before = run.seconds["total"], run.seconds["cpu"]

    def tick() -> None:
        run.seconds["total"] = before[0] + perf_counter() - started[0]
        run.seconds["cpu"] = before[1] + process_time() - started[1]

    saved = perf_counter()
    for step in range(run.step, run.order.steps):
        run.advance(step)
        if checkpoint is not None and perf_counter() - saved >= checkpoint_seconds:
            tick()
            run.save(checkpoint)
            saved = perf_counter()
        if on_step is not None:
            on_step(run.step, run.order.steps)
    run.collect()
    final = [None if data is None else run.scores(data) for data in (validation, test)]
    if save_trunk is not None and run.rank == 0:
        weights = {name: w.cpu().clone() for name, w in run.model.trunk.state_dict().items()}
        write_trunk(save_trunk, weights, _trunk_description(spec))
    tick()
    return _result(run, *final)


class _Training:
    """The state of one training run."""

    def __init__(
        self,
        spec: RunSpec,
        train: Ragged,
        validation: Ragged | None,
        device: str,
        trunk: Path | None,
    ) -> None:
        seeds = Seeds.of(spec.seed)
        names = [feature.name for feature in features_of(spec.recipe.data.features)]
        self.spec, self.train, self.validation = spec, train, validation
        self.starts, self.lengths = train.offsets[:-1], train.lengths
        self.order = Order(
            seed=seeds.order,
            jets=len(train),
            batch_size=spec.recipe.schedule.batch_size,
            epochs=spec.epochs,
        )
        self.model = JetTransformer(
            spec.size, names, len(spec.classes), trunk_seed=seeds.trunk, head_seed=seeds.head
        )
        if trunk is not None:
            self.model.trunk.load_state_dict(load_trunk(trunk, _trunk_description(spec)))
        self.model.to(device)
        self.optimiser = FlatAdamW(self.model, spec.recipe, spec.size.width, self.order.steps)
        grouped = distributed.is_available() and distributed.is_initialized()
        self.rank = distributed.get_rank() if grouped else 0
        self.ranks = distributed.get_world_size() if grouped else 1
        self.window = max(1, self.order.steps // CURVE_POINTS)
        self.validate_at = self._validation_steps()
        self.step = 0
        self.tokens = 0
        self.losses: list[float] = []
        self.pending: list[Tensor] = []
        self.validation_curve: list[tuple[int, float]] = []
        self.seconds = dict.fromkeys(("batches", "steps", "evaluation", "total", "cpu"), 0.0)

    def _validation_steps(self) -> set[int]:
        """Steps after which to validate; a forward pass costs a third of a training example."""
        if self.validation is None:
            return set()
        examples = self.order.epochs * self.order.jets
        affordable = int(3 * VALIDATION_SHARE * examples / len(self.validation))
        points = min(VALIDATION_POINTS, affordable)
        return {round(self.order.steps * (i + 1) / (points + 1)) for i in range(points)}

    def advance(self, step: int) -> None:
        """One optimiser step, with the bookkeeping that is due after it."""
        begin = perf_counter()
        rows = self.order.rows(step)
        jets, rows = len(rows), rows[self.rank :: self.ranks]
        batch = None
        if len(rows):  # the last batch of an epoch can have fewer jets than there are ranks
            layout = arrange(self.starts[rows], self.lengths[rows])
            batch = make_batch(self.train, layout, self.train.labels[rows], self.optimiser.weights)
            self.tokens += len(layout.index)
        assembled = perf_counter()
        self.optimiser.clear()
        total = self.optimiser.gradient[-1]
        if batch is not None:
            logits = self.model(batch)
            loss = functional.cross_entropy(logits, batch.labels, reduction="sum") / jets
            torch.autograd.backward(loss)
            total.copy_(loss.detach())
        if self.ranks > 1:
            distributed.all_reduce(self.optimiser.gradient)
        self.pending.append(total.clone())
        self.optimiser.step(step)
        self.step = step + 1
        if self.step % self.window == 0:
            self.collect()
        self.seconds["batches"] += assembled - begin
        self.seconds["steps"] += perf_counter() - assembled
        if self.step in self.validate_at and self.validation is not None:
            self.validation_curve.append((self.step, self.scores(self.validation).loss))

    def collect(self) -> None:
        """Move the losses since the last call to the host; raises TrainingError for a bad one."""
        if not self.pending:
            return
        new = torch.stack(self.pending).tolist()
        self.pending.clear()
        bad = next((i for i, loss in enumerate(new) if not math.isfinite(loss)), None)
        if bad is not None:
            self._fail(f"loss is {new[bad]}", len(self.losses) + bad)
        self.losses += new

    def _fail(self, what: str, step: int) -> None:
        raise TrainingError(
            f"spec {self.spec.key} ({self.spec.size.name}): {what} at step {step + 1} of "
            f"{self.order.steps}, learning rate {self.optimiser.rate(step):.3g}; lower "
            "recipe.optimiser.learning_rate, or look for non-finite values in the jets"
        )

    def scores(self, data: Ragged) -> Scores:
        """Scores of the model as it is; raises TrainingError when its output is not finite."""
        begin = perf_counter()
        logits = predict(self.model, data)
        if not np.isfinite(logits).all():
            self._fail("the output is not finite", self.step - 1)
        result = scores(logits, data.labels, self.spec.classes)
        self.seconds["evaluation"] += perf_counter() - begin
        return result

    def save(self, path: Path) -> None:
        """Write a checkpoint."""
        self.collect()
        if self.rank == 0:
            state = {
                "step": self.step,
                "tokens": self.tokens,
                "optimiser": self.optimiser.state(),
                "losses": torch.tensor(self.losses, dtype=torch.float64),
                "validation_curve": self.validation_curve,
                "seconds": self.seconds,
            }
            save_checkpoint(path, self.spec.key, state)

    def resume(self, path: Path) -> None:
        """Continue from a checkpoint if there is one of this spec."""
        state = load_checkpoint(path, self.spec.key)
        if state is None:
            return
        self.step, self.tokens = state["step"], state["tokens"]
        self.optimiser.restore(state["optimiser"])
        self.losses = state["losses"].tolist()
        self.validation_curve = [tuple(point) for point in state["validation_curve"]]
        self.seconds = dict(state["seconds"])


def _trunk_description(spec: RunSpec) -> dict[str, str]:
    return {"size": spec.size.name, "features": spec.recipe.data.features}


def _check(spec: RunSpec, role: str, data: Ragged) -> None:
    """Raise TrainingError for data that the spec cannot take."""
    features = len(features_of(spec.recipe.data.features))
    limit = spec.recipe.data.constituents
    problem = None
    if not len(data):
        problem = "no jets; give at least one"
    elif data.values.shape[1] != features:
        problem = (
            f"{data.values.shape[1]} features, feature set {spec.recipe.data.features!r} has "
            f"{features}; prepare the stream again"
        )
    elif data.lengths.min() < 1 or data.lengths.max() > limit:
        problem = (
            f"jets of {data.lengths.min()} to {data.lengths.max()} constituents, needs 1 to "
            f"{limit}; prepare the stream again"
        )
    elif data.labels.min() < 0 or data.labels.max() >= len(spec.classes):
        problem = (
            f"labels {data.labels.min()} to {data.labels.max()}, the spec has "
            f"{len(spec.classes)} classes; prepare the stream again"
        )
    if problem:
        raise TrainingError(f"spec {spec.key}, {role} data: {problem}")


def _result(run: _Training, validation: Scores | None, test: Scores | None) -> RunResult:
    spec, lengths, epochs = run.spec, run.lengths, run.spec.epochs
    shape = (spec.size, run.train.values.shape[1], len(spec.classes))
    jets, limit = len(lengths), spec.recipe.data.constituents
    counts = flops.parameters(*shape)
    constituents = epochs * int(lengths.sum())
    curve = run.validation_curve
    if validation is not None:
        curve = [*(point for point in curve if point[0] < run.step), (run.step, validation.loss)]
    edges = [*range(run.window, run.step, run.window), run.step]
    begins = [0, *edges]
    device = run.optimiser.weights.device
    return RunResult(
        key=spec.key,
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        ranks=run.ranks,
        params=counts.total,
        params_non_embedding=counts.non_embedding,
        examples=jets,
        examples_seen=epochs * jets,
        steps=run.step,
        peak_rate=run.optimiser.peak,
        training_curve=tuple(
            (end, float(np.mean(run.losses[begin:end])))
            for begin, end in zip(begins, edges, strict=False)
        ),
        validation_curve=tuple(curve),
        validation=validation,
        test=test,
        flops=flops.training_flops(
            *shape,
            jets=epochs * jets,
            constituents=constituents,
            constituents_squared=epochs * int((lengths**2).sum()),
        ),
        flops_padded=flops.training_flops(
            *shape,
            jets=epochs * jets,
            constituents=epochs * jets * limit,
            constituents_squared=epochs * jets * limit**2,
        ),
        flops_6nd=flops.six_nd(*shape, constituents=constituents),
        constituents=constituents,
        tokens=run.tokens,
        timings=run.seconds,
        jets_per_second=epochs * jets / (run.seconds["batches"] + run.seconds["steps"]),
    )
