"""What an architecture is: the protocol, and the names under which recipes find one.

``recipe.model.architecture`` is ``transformer``, ``part``, a name given to `register`, which works
where that code has run, or a reference ``package.module:NAME`` to an `Architecture` or to a
function (see `jetscale.models.own`), which works in every process. Planning needs no torch: none is
imported.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from jetscale.errors import StudyError
from jetscale.models.inputs import Features, Parameters
from jetscale.registry import Registry
from jetscale.study import ModelSize

if TYPE_CHECKING:
    from torch import nn


@runtime_checkable
class Architecture(Protocol):
    """A family of models, one for each size of a ladder."""

    @property
    def name(self) -> str:
        """What a recipe calls it."""

    @property
    def version(self) -> int | str:
        """Changes when the same seed and data give other losses; it is part of every run's key."""

    def parameters(self, size: ModelSize, features: Features, outputs: int) -> Parameters:
        """Numbers of parameters of a model with ``outputs`` numbers per jet."""

    def training_flops(
        self,
        size: ModelSize,
        features: Features,
        outputs: int,
        *,
        jets: int,
        constituents: int,
        constituents_squared: int,
    ) -> float:
        """FLOPs of one forward and backward pass; a multiply-accumulate is 2 FLOPs.

        The cost of a jet of n constituents must be a + b n + c n^2, so that the number of jets, the
        sum of n and the sum of n^2 tell the cost of any set of jets, real or padded.

        One whose trunks have a method ``tokens`` has ``token_flops`` beside: the same without a
        head and without what makes one vector of a jet, from the same arguments but ``outputs``.
        """

    def build(
        self, size: ModelSize, features: Features, outputs: int, *, trunk_seed: int, head_seed: int
    ) -> nn.Module:
        """A model with new weights.

        ``model.trunk(batch)`` takes a `jetscale.models.batch.Batch` of J jets and gives (J, P)
        pooled vectors; ``model.head`` takes these; ``model(batch)`` gives (J, outputs), in the
        order of the batch. All parameters are in trunk or head. The trunk depends on ``trunk_seed``
        alone and the head on ``head_seed`` alone: fine-tuning loads a trunk and keeps the new head.
        ``trunk.tokens(batch)``, which an objective may read that needs no labels, gives (N, width)
        vectors of all tokens of the batch; ``batch.added`` enters after the embedding.
        A model whose attribute ``padded`` is True gets batches of one length group. The
        parametrization ``complete`` needs a method of that name: `jetscale.models.parametrization`.
        """


def _accept(reference: str, found: Any) -> Architecture:
    if isinstance(found, Architecture) and not isinstance(found, type):
        return found
    if not callable(found) or isinstance(found, Architecture):
        raise StudyError(
            f"architecture {reference!r} is {found!r}; name an Architecture, or a function "
            "(size, features, outputs) that returns a torch module"
        )
    from jetscale.models.own import OwnModel

    return OwnModel(reference, found)


ARCHITECTURES: Registry[Architecture] = Registry(
    "architecture",
    {
        "part": "jetscale.models.part:PART",
        "transformer": "jetscale.models.transformer:TRANSFORMER",
    },
    _accept,
)


def register(architecture: Architecture) -> None:
    """Let recipes of this process use ``architecture`` by its name; StudyError for a bad name."""
    ARCHITECTURES.register(architecture.name, architecture)


def architecture_named(name: str) -> Architecture:
    """The architecture that a recipe names; StudyError where there is none of that name.

    >>> architecture_named("transformer").version
    1
    """
    return ARCHITECTURES.find(name)


def token_flops(
    architecture: Architecture, size: ModelSize, features: Features, **sums: int
) -> float:
    """FLOPs of the vectors of constituents, forward and backward, for sums over jets.

    Raises StudyError where the trunks of an architecture give no such vectors.
    """
    counted = getattr(architecture, "token_flops", None)
    if counted is None:
        raise StudyError(
            f"architecture {architecture.name!r} has no token_flops, so its trunks give no vectors "
            "of constituents, which the pretraining objective reads; use the transformer, or "
            "pretrain with labels"
        )
    return float(counted(size, features, **sums))


def flops_by_jet(flops: Callable[..., float], lengths: NDArray[np.int64]) -> NDArray[np.float64]:
    """(k,) FLOPs of each of k jets of ``lengths`` constituents, from a count that takes sums."""
    nothing = {"jets": 0, "constituents": 0, "constituents_squared": 0}
    a, b, c = (flops(**nothing | {name: 1}) for name in nothing)
    n = lengths.astype(np.float64)
    return a + b * n + c * n**2


def flops_6nd(parameters: Parameters, constituents: int) -> float:
    """The usual estimate, 6 x non-embedding parameters x tokens; a token is a constituent.

    >>> flops_6nd(Parameters(total=12, non_embedding=10, head=1), constituents=100)
    6000.0
    """
    return 6.0 * parameters.non_embedding * constituents
