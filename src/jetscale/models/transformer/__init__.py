"""The architecture ``transformer``; torch is imported only where a model is built."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jetscale.models.inputs import Features, Parameters
from jetscale.models.transformer import flops
from jetscale.study import ModelSize

if TYPE_CHECKING:
    from torch import nn

VERSION = 1
"""Raised when `model`, `kernels` or `flops` give other losses or counts for the same inputs."""


class Transformer:
    """`jetscale.models.protocol.Architecture` of `jetscale.models.transformer.model`."""

    name = "transformer"
    version = VERSION
    stackable = True  # see `jetscale.models.stack`

    def parameters(self, size: ModelSize, features: Features, outputs: int) -> Parameters:
        """Numbers of parameters; non-embedding are those of the blocks, l (10 d^2 + 2 d)."""
        return flops.parameters(size, len(features), outputs)

    def training_flops(
        self, size: ModelSize, features: Features, outputs: int, **sums: int
    ) -> float:
        """FLOPs of one forward and backward pass (see `flops.training_flops`)."""
        return flops.training_flops(size, len(features), outputs, **sums)

    def token_flops(
        self,
        size: ModelSize,
        features: Features,
        *,
        jets: int,
        constituents: int,
        constituents_squared: int,
    ) -> float:
        """FLOPs of the vectors of all constituents, forward and backward."""
        return float(flops.token_flops(size, len(features), constituents, constituents_squared))

    def build(
        self, size: ModelSize, features: Features, outputs: int, *, trunk_seed: int, head_seed: int
    ) -> nn.Module:
        """A model with new weights."""
        from jetscale.models.transformer.model import JetTransformer

        return JetTransformer(size, features, outputs, trunk_seed=trunk_seed, head_seed=head_seed)


TRANSFORMER = Transformer()  # what the recipe name ``transformer`` stands for
