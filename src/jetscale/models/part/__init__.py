"""The architecture ``part``, ParticleTransformer (arXiv 2202.03772); for jets only.

Torch is imported only where a model is built.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jetscale.errors import StudyError
from jetscale.models.inputs import Features, Parameters
from jetscale.models.part import flops
from jetscale.study import ModelSize

if TYPE_CHECKING:
    from torch import nn

VERSION = 1
"""Raised when `model`, `pairs` or `flops` give other losses or counts for the same inputs."""
KINEMATICS = ("part_pt_log", "part_deta", "part_dphi")
"""The inputs that pair features are made from, which every feature set of jets has."""


class ParT:
    """`jetscale.models.protocol.Architecture` of `jetscale.models.part.model`.

    Raises StudyError for inputs of other fields than jets, which have no momenta and angles.
    """

    name = "part"
    version = VERSION

    def parameters(self, size: ModelSize, features: Features, outputs: int) -> Parameters:
        """Numbers of parameters; non-embedding are those of the blocks."""
        _check(features)
        return flops.parameters(size, len(features), outputs)

    def training_flops(
        self, size: ModelSize, features: Features, outputs: int, **sums: int
    ) -> float:
        """FLOPs of one forward and backward pass (see `flops.training_flops`)."""
        _check(features)
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
        _check(features)
        return float(flops.token_flops(size, len(features), constituents, constituents_squared))

    def build(
        self, size: ModelSize, features: Features, outputs: int, *, trunk_seed: int, head_seed: int
    ) -> nn.Module:
        """A model with new weights."""
        _check(features)
        from jetscale.models.part.model import ParticleTransformer

        return ParticleTransformer(
            size, features, outputs, trunk_seed=trunk_seed, head_seed=head_seed
        )


def _check(features: Features) -> None:
    absent = [name for name in KINEMATICS if name not in {feature.name for feature in features}]
    if absent:
        raise StudyError(
            f"architecture 'part' is for jets: the inputs lack {', '.join(absent)}, from which it "
            "makes its pair features; use 'transformer' or a model of your own"
        )


PART = ParT()  # what the recipe name ``part`` stands for
