"""Pooled vectors of a frozen trunk, pretrained or random: what a linear head would see."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from jetscale.mixtures.ragged import Ragged
from jetscale.models.batch import apply_module
from jetscale.models.build import build_model
from jetscale.models.inputs import FeatureInput
from jetscale.study import ModelSize, Recipe
from jetscale.training.engine import load_into, parts_of
from jetscale.training.order import Seeds


def pooled_vectors(
    data: Ragged,
    size: ModelSize,
    recipe: Recipe,
    features: Sequence[FeatureInput],
    *,
    seed: int,
    trunk: Path | None = None,
    batch: int = 256,
) -> NDArray[np.float64]:
    """(n, P) outputs of a trunk, in the order of the data; P is 2 width for the transformer.

    ``trunk`` are weights that a pretraining run has saved; without, the first weights of a run with
    this training seed. ``features`` are the columns of the data. Raises TrainingError for a trunk
    that is damaged or of another size, features or architecture.
    """
    seeds = Seeds.of(seed)
    # The head is not used; one output is the least that an architecture can build.
    model, _ = build_model(
        recipe.model, size, features, 1, trunk_seed=seeds.trunk, head_seed=seeds.head
    )
    body, _ = parts_of(model, recipe)
    if trunk is not None:
        load_into(body, trunk, size, recipe)
    model.eval()
    groups = 1 if getattr(model, "padded", False) else None
    return apply_module(body, data, batch=batch, groups=groups)
