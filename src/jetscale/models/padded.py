"""A module that takes padded tensors, made to take our packed batches.

Shape suffixes: J jets of the batch, L length of its longest jet, F features, B jets of a group.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from jetscale.models.batch import Batch, scaling_of
from jetscale.models.inputs import FeatureInput


class PaddedModel(nn.Module):
    """A user's module that takes batches.

    Args:
        module: Takes (J, L, F) inputs and the (J, L) mask, True for constituents; has ``trunk`` and
            ``head``, which hold all its weights between them.
        features: The input columns.
    """

    padded = True

    def __init__(self, module: Any, features: Sequence[FeatureInput]) -> None:
        super().__init__()
        self.trunk = PaddedTrunk(module, features)
        self.head = module.head
        self.whole = module  # after its parts, whose names its weights keep

    def forward(self, batch: Batch) -> Tensor:
        """(J, outputs), in the order of the batch."""
        outputs: Tensor = self.whole(*self.trunk.pad(batch))
        return outputs


class PaddedTrunk(nn.Module):
    """The user's trunk: takes a batch, gives what reaches the user's head."""

    shift: Tensor
    scale: Tensor

    def __init__(self, module: Any, features: Sequence[FeatureInput]) -> None:
        super().__init__()
        shift, scale = scaling_of(features)
        self.register_buffer("shift", shift, persistent=False)
        self.register_buffer("scale", scale, persistent=False)
        self.inner = module.trunk
        self._whole = (module,)  # in a tuple: as a submodule, its head would be part of the trunk

    def forward(self, batch: Batch) -> Tensor:
        """(J, P) pooled vectors: what the head gets while the whole module runs.

        So nothing is asked of how the module calls its trunk.
        """
        reached: list[Tensor] = []
        (module,) = self._whole
        hook = module.head.register_forward_pre_hook(lambda _, inputs: reached.append(inputs[0]))
        try:
            module(*self.pad(batch))
        finally:
            hook.remove()
        return reached[0]

    def pad(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """(J, L, F) scaled inputs, zero where padded, and the (J, L) mask; jets in batch order."""
        longest = max(view.length for view in batch.views)
        inputs_NF = torch.addcmul(self.shift, batch.values, self.scale)
        pieces = torch.split(inputs_NF, [view.jets * view.length for view in batch.views])
        padded, masks = [], []
        for piece, view in zip(pieces, batch.views, strict=True):
            mask_BL = view.mean > 0
            x_BLF = piece.view(view.jets, view.length, -1) * mask_BL[:, :, None]
            masks.append(functional.pad(mask_BL, (0, longest - view.length)))
            padded.append(functional.pad(x_BLF, (0, 0, 0, longest - view.length)))
        return torch.cat(padded), torch.cat(masks)
