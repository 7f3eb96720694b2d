"""A trunk that is pretrained on its constituents, with the head of an objective of its own."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from jetscale.models.batch import Batch
from jetscale.models.layout import Layout
from jetscale.models.parametrization import Factors, factors_of
from jetscale.objectives.protocol import TokenObjective
from jetscale.objectives.shape import Shape

Named = dict[str, Factors]


class TokenModel(nn.Module):
    """A trunk and the head that reads its vectors of constituents."""

    head: Any  # with the methods of the head of a `TokenObjective`

    def __init__(self, model: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.trunk, self.head = model.trunk, head
        self.padded = bool(getattr(model, "padded", False))

    def prepare(self, batch: Batch, layout: Layout, draws: NDArray[np.float64]) -> Batch:
        """What a step trains on; ``draws`` (models, jets, columns) are in the order of the data."""
        order = np.broadcast_to(layout.order, draws.shape[:2])
        ordered = np.take_along_axis(draws, order[:, :, None], axis=1)
        prepared: Batch = self.head.prepare(batch, layout, ordered)
        return prepared

    def loss(self, batch: Batch) -> Tensor:
        """The loss summed over the jets of a prepared batch, of each model of a stack."""
        loss: Tensor = self.head.loss(self.head(self.trunk, batch), batch)
        return loss


def read_tokens(
    model: nn.Module, objective: TokenObjective, shape: Shape, seed: int, factors: Named
) -> tuple[TokenModel, Named]:
    """A model with the head of an objective in place of its own, and the factors of its weights."""
    head: Any = objective.head(shape.size, shape.features, shape.constituents, seed)
    if not factors:
        return TokenModel(model, head), {}
    own = {f"head.{name}": factors_of(role, shape.size) for name, role in head.complete().items()}
    kept = {name: value for name, value in factors.items() if name.startswith("trunk.")}
    return TokenModel(model, head), kept | own
