"""Pooled vectors of a frozen trunk: what a linear head would see.

Reads a trunk that pretraining left behind, or makes one with its first random weights, and runs
jets through it. Nothing is trained.
"""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from jetscale.jets.schema import features_of
from jetscale.mixtures.ragged import Ragged
from jetscale.models.transformer.layout import arrange
from jetscale.models.transformer.model import Trunk, make_batch
from jetscale.store.checkpoints import load_trunk
from jetscale.study import ModelSize, Recipe
from jetscale.training.order import Seeds


@torch.inference_mode()
def pooled_vectors(
    data: Ragged,
    size: ModelSize,
    recipe: Recipe,
    *,
    seed: int,
    trunk: Path | None = None,
    batch: int = 256,
) -> NDArray[np.float64]:
    """(n, 2 width) outputs of a trunk, in the order of the data.

    Parameters
    ----------
    seed
        Training seed whose first weights to use where ``trunk`` is None.
    trunk
        Weights that a pretraining spec has saved.
    batch
        Jets per forward pass.

    Raises
    ------
    TrainingError
        The trunk cannot be read, or is of another size or other features.
    """
    names = [feature.name for feature in features_of(recipe.data.features)]
    model = Trunk(size, names, Seeds.of(seed).trunk)
    if trunk is not None:
        model.load_state_dict(
            load_trunk(trunk, {"size": size.name, "features": recipe.data.features})
        )
    starts, lengths = data.offsets[:-1], data.lengths
    by_length = np.argsort(lengths, kind="stable")
    out = np.empty((len(data), 2 * size.width))
    for first in range(0, len(data), batch):
        rows = by_length[first : first + batch]
        layout = arrange(starts[rows], lengths[rows])
        part = model(make_batch(data, layout, data.labels[rows], model.embedding))
        out[rows[layout.order]] = part.double().numpy()
    return out
