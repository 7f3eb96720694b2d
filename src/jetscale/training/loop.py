"""Trainings in one process: optimiser steps, evaluation, checkpoints, results.

The data set is in memory and every step gathers its jets from it, so there is no loader. A run
depends on its spec, data, device and thread count only. It can stop anywhere and continue from its
checkpoint with the same numbers, bit for bit on a CPU. The checkpoint stays when the run is done:
whoever stores the result deletes it. Several processes can train one model together (see
`jetscale.training.ranks`).

Runs of one shape can be trained in lock step, as a stack: see `jetscale.models.stack`. Each has its
own checkpoint, which knows nothing of the others, and one that diverges leaves the stack. A run in
a stack has the weights of the same run alone, to the last bit where the products of the machine do
not depend on how many are made together; its losses agree up to rounding.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from jetscale.errors import Diverged, TrainingError
from jetscale.mixtures.ragged import Ragged
from jetscale.objectives.protocol import objective_named
from jetscale.store.checkpoints import Checkpoint
from jetscale.training.engine import Source, equal_batches
from jetscale.training.leave import ModelFile
from jetscale.training.ranks import Ranks
from jetscale.training.spec import RunResult, RunSpec
from jetscale.training.stack import Evicted, Stack, Task

__all__ = ["Evicted", "Task", "train_run", "train_stack"]


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
    save_model: ModelFile | None = None,
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
        save_trunk: Where the weights of the trunk go.
        save_model: Where the weights of the whole model go, if they are wanted then.
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
    task = Task(
        source=Source(spec=spec, train=train, trunk=trunk),
        checkpoint=checkpoint,
        save_trunk=save_trunk,
        save_model=save_model,
        on_step=on_step,
        on_save=on_save,
    )
    (outcome,) = train_stack(
        [task], validation, test, device=device, checkpoint_seconds=checkpoint_seconds, stop=stop
    )
    if isinstance(outcome, Diverged):
        raise outcome
    return outcome


def train_stack(
    tasks: Sequence[Task],
    validation: Ragged | None = None,
    test: Ragged | None = None,
    *,
    device: str = "cpu",
    checkpoint_seconds: float = 60.0,
    stop: Callable[[], bool] | None = None,
) -> list[RunResult | Diverged]:
    """Train and score runs in lock step; returns the result of each, or how it diverged.

    The runs have one size, one number of jets, epochs and classes, and one recipe but for the law
    of the rate (see `jetscale.planning.stacks`). Those whose checkpoints are at different steps are
    trained in stacks of their own, and so are those whose batches would be padded for others (see
    `jetscale.training.engine.equal_batches`). Arguments and errors are those of `train_run`.
    """
    for task in tasks:
        _check(task.source.spec, "train", task.source.train)
    for role, data in (("validation", validation), ("test", test)):
        if data is not None:
            _check(tasks[0].source.spec, role, data)
            objective_named(tasks[0].source.spec.recipe.model.objective)  # one that scores jets
    states, together = [_load(task) for task in tasks], defaultdict[int, list[int]](list)
    for place, state in enumerate(states):
        together[state["step"] if state else 0].append(place)
    outcomes: dict[int, RunResult | Diverged] = {}
    for at_step in together.values():
        for chosen in equal_batches([tasks[place].source for place in at_step]):
            places = [at_step[i] for i in chosen]
            stack = Stack([tasks[i] for i in places], [states[i] for i in places], device)
            found = stack.train(validation, test, checkpoint_seconds, stop)
            outcomes |= {place: found[task] for task, place in enumerate(places)}
    return [outcomes[place] for place in range(len(tasks))]


def _load(task: Task) -> dict[str, Any] | None:
    """The state in the checkpoint of a run."""
    if task.checkpoint is None:
        return None
    # rank 0 wrote it: what another rank sees of it may be older
    ranks, key = Ranks.current(), task.source.spec.key
    return ranks.agree(task.checkpoint.load(key) if ranks.rank == 0 else None)


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
