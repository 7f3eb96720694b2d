"""What an objective is: the protocol, and the names under which recipes find one.

``recipe.model.objective`` is ``classify``, a name given to `register`, which works where that code
has run, or a reference ``package.module:NAME`` of an `Objective`, which works in every process.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from math import isfinite
from operator import index
from typing import TYPE_CHECKING, Any, Protocol, SupportsIndex, TypeGuard, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from jetscale.errors import StudyError
from jetscale.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor, nn

    from jetscale.models.batch import Batch
    from jetscale.models.inputs import Features
    from jetscale.study.mixture import ModelSize

Scores = Mapping[str, Any]
"""Name to score, values of JSON; ``loss`` is there always, and is the number that laws fit."""


@runtime_checkable
class Objective(Protocol):
    """What a model is trained to do with a jet, and how well it does it.

    One whose loss reads no labels says so with the attribute ``needs_labels = False``: then a
    mixture may hold jets of one class, or without any.
    """

    @property
    def name(self) -> str:
        """What a recipe calls it."""

    @property
    def version(self) -> int | str:
        """Changes when the same outputs give other losses or scores; part of every run's key."""

    def outputs(self, classes: int) -> int:
        """Numbers that the head gives for a jet, where jets have this many classes."""

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """The scalar loss summed over the J jets of a batch.

        ``outputs`` is (J, outputs) in the order of the batch; the loop divides by the jets.
        """

    def scores(
        self, outputs: NDArray[np.float64], labels: NDArray[np.int64], classes: Sequence[str]
    ) -> Scores:
        """Scores on n jets from (n, outputs) finite outputs and (n,) labels.

        ``loss`` is the mean per jet of what `loss` sums. Classes are names in label order.
        """


@runtime_checkable
class StackedObjective(Objective, Protocol):
    """An objective whose runs may be trained in a stack (see `jetscale.models.stack`)."""

    def losses(self, outputs: Tensor, batch: Batch) -> Tensor:
        """The (J,) losses that `loss` sums, one for each jet; see `has_losses`."""


@runtime_checkable
class TokenObjective(Protocol):
    """What a trunk is pretrained to do with the constituents of a jet, with a head of its own.

    It names no classes and is never the downstream task. ``needs_labels`` is as above.
    """

    @property
    def name(self) -> str:
        """What a recipe calls it."""

    @property
    def version(self) -> int | str:
        """Changes when the same trunk and jets give another loss; part of every run's key."""

    def tokens_read(self, lengths: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many constituents the head reads of jets of these lengths."""

    def head_parameters(self, size: ModelSize, features: Features, constituents: int) -> int:
        """Parameters of the head, for jets of at most so many ``constituents``."""

    def head_flops(self, size: ModelSize, features: Features) -> float:
        """FLOPs of the head, forward and backward, for one constituent that it reads."""

    def head(self, size: ModelSize, features: Features, constituents: int, seed: int) -> nn.Module:
        """A new head, which depends on the seed alone.

        ``head.prepare(batch, layout, draws)`` gives the batch that a step trains on; ``draws`` are
        uniform numbers that the seed of the run and the step decide, (1, J, constituents) with the
        jets in the order of the layout. ``head(trunk, batch)`` gives outputs and
        ``head.loss(outputs, batch)`` the loss summed over the J jets; ``head.complete()`` gives
        roles as in `jetscale.models.parametrization`. Where the objective says ``stackable =
        True`` there may be draws of K models, and then K losses (see `jetscale.models.stack`).
        """


def _accept(reference: str, found: Any) -> Objective | TokenObjective:
    if isinstance(found, Objective | TokenObjective) and not isinstance(found, type):
        return found
    raise StudyError(
        f"objective {reference!r} is {found!r}; name an object with name, version, outputs, loss "
        "and scores"
    )


OBJECTIVES: Registry[Objective | TokenObjective] = Registry(
    "objective",
    {
        "classify": "jetscale.objectives.classify:CLASSIFY",
        "masked": "jetscale.objectives.masked:MASKED",
    },
    _accept,
)


def needs_labels(name: str) -> bool:
    """Whether an objective tells classes apart; StudyError where there is none of that name."""
    return bool(getattr(OBJECTIVES.find(name), "needs_labels", True))


def register(objective: Objective | TokenObjective) -> None:
    """Let recipes of this process use ``objective`` by its name; StudyError for a bad name."""
    OBJECTIVES.register(objective.name, objective)


def objective_named(name: str) -> Objective:
    """The objective of that name; StudyError where there is none, or none that scores jets.

    >>> objective_named("classify").outputs(10)
    10
    """
    found = OBJECTIVES.find(name)
    if isinstance(found, TokenObjective):
        raise StudyError(
            f"objective {name!r} is for pretraining alone: it tells nothing of a jet; set "
            f"recipe.model.pretraining_objective to {name!r} and leave objective='classify'"
        )
    return found


def is_stackable(name: str) -> bool:
    """Whether runs with an objective may be trained in a stack (see `jetscale.models.stack`)."""
    found = OBJECTIVES.find(name)
    return has_losses(found) or bool(getattr(found, "stackable", False))


def token_objective(name: str) -> TokenObjective | None:
    """The objective of that name if it is one of constituents; StudyError where there is none."""
    found = OBJECTIVES.find(name)
    return found if isinstance(found, TokenObjective) else None


def outputs_of(name: str, classes: int) -> int:
    """Numbers that the head gives for a jet; StudyError where the objective tells none."""
    found: Any = objective_named(name).outputs(classes)
    if isinstance(found, bool) or not isinstance(found, SupportsIndex) or index(found) < 1:
        needs = "needs a whole number above zero"
        raise StudyError(f"objective {name!r}: outputs({classes}) is {found!r}, {needs}")
    return index(found)


def try_scores(name: str, classes: Sequence[str]) -> None:
    """Raise StudyError where an objective cannot score made-up jets, four of each class."""
    labels = np.arange(4 * len(classes)) % len(classes)
    try:
        shape = len(labels), outputs_of(name, len(classes))
        outputs = np.random.default_rng(1).normal(size=shape)
        plain_scores(objective_named(name).scores(outputs, labels, tuple(classes)))
    except StudyError:
        raise
    except (Exception, SystemExit) as error:  # the objective is the user's
        line = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        what = f"scores of {len(labels)} made-up jets failed with {line}"
        raise StudyError(f"objective {name!r}: {what}") from error


def plain_scores(scores: Scores) -> dict[str, Any]:
    """Scores as a record holds them, numpy's numbers as plain ones.

    ValueError for one that is not finite or no value of JSON, and without a loss.
    """
    plain: dict[str, Any] = json.loads(json.dumps(dict(scores), default=lambda v: v.tolist()))
    loss = plain.get("loss")
    if not isinstance(loss, float) or not isfinite(loss):
        raise ValueError(f"the loss {loss!r}, needs a finite float called 'loss'")
    try:
        json.dumps(plain, allow_nan=False)
    except ValueError:
        raise ValueError(f"a score that is not finite in {plain}; give None") from None
    return plain


def has_losses(objective: object) -> TypeGuard[StackedObjective]:
    """Whether an objective gives the losses of jets one by one, and they are those it sums.

    A class that inherits ``losses`` and defines a ``loss`` of its own means another loss.

    >>> has_losses(objective_named("classify"))
    True
    """
    if not isinstance(objective, StackedObjective):
        return False
    family = type(objective).__mro__
    one, other = (
        next((i for i, kind in enumerate(family) if name in vars(kind)), -1)
        for name in ("losses", "loss")
    )
    return one <= other
