"""Masked particle modelling: pretraining that completes jets, without labels.

Three in ten constituents of every jet are hidden and the trunk's vectors of these are mapped
linearly to what they hid, after arXiv 2401.13537 and 2409.12589, without tokens: smooth L1
for continuous features in the scale that models see, cross-entropy for the flags, which are 0 or 1.
A jet counts the same whatever its length: its loss is the mean over its hidden constituents and all
features. A jet of one constituent hides none.

**Order.** The model has no positions, so that it is a function of a set, as fine-tuning needs.
Hidden constituents of a jet would then be one and the same to it, and the best it could say of each
is their mean. What tells them apart is their rank, by pT in all our sources: a hidden constituent
shows a learned vector of its rank in place of its features, a visible one shows its features and no
rank. The trunk sees ranks in pretraining alone. They enter before the blocks, so that attention can
look for the visible neighbours in pT.

A padding token repeats the last constituent of its jet and is never hidden: masks keep it out of
attention. It might give a hidden one away only if it were read, and nothing reads it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from jetscale.models.inputs import Features
    from jetscale.objectives.hidden import CompletingHead
    from jetscale.study import ModelSize

VERSION = 1  # raised when the same trunk, jets and draws give another loss

SHARE = 0.3  # of the constituents of a jet that is hidden


class Masked:
    """`jetscale.objectives.protocol.TokenObjective` that completes jets."""

    name = "masked"
    version = VERSION
    needs_labels = False
    stackable = True

    def tokens_read(self, lengths: NDArray[np.int64]) -> NDArray[np.int64]:
        """Hidden constituents of jets of these lengths: those that the head reads.

        >>> MASKED.tokens_read(np.array([1, 2, 5, 40])).tolist()
        [0, 1, 2, 12]
        """
        hidden = np.floor(SHARE * lengths + 0.5).astype(np.int64)
        return np.where(lengths > 1, np.maximum(hidden, 1), 0)

    def head_parameters(self, size: ModelSize, features: Features, constituents: int) -> int:
        """A vector for each rank, and a linear map with bias from a constituent to its features."""
        return constituents * size.width + (size.width + 1) * len(features)

    def head_flops(self, size: ModelSize, features: Features) -> float:
        """Three products of a (1, width) with a (width, features) matrix: one forward, two back."""
        return 6.0 * size.width * len(features)

    def head(
        self, size: ModelSize, features: Features, constituents: int, seed: int
    ) -> CompletingHead:
        """A new head."""
        from jetscale.objectives.hidden import CompletingHead  # here: planning needs no torch

        return CompletingHead(size.width, features, constituents, seed, self.tokens_read)


MASKED = Masked()  # what the recipe name ``masked`` stands for
