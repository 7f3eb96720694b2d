"""What a fit predicts of runs it has not seen: the mean loss of a cell over its seeds."""

import numpy as np
from numpy.typing import ArrayLike

from jetscale.scaling.engine.laws import Array
from jetscale.scaling.estimate import percentile_interval
from jetscale.scaling.fitted import MixtureFit


def predictions(
    fitted: MixtureFit,
    params: Array,
    examples: Array,
    seeds: Array,
    seed: int,
    **covariates: ArrayLike,
) -> Array:
    """Predicted mean loss of cells (k,) over their seeds (k,), and its 95% interval: (k, 3).

    The replicates of the expected loss, with what the law misses, join the noise of the seeds;
    covariates are (k, 1), or one for all cells.
    """
    losses = fitted.losses(params[:, None], examples[:, None], **covariates)
    noise = fitted.replicates.outlook.noise(params, examples, seeds)
    chance = np.random.default_rng(seed).standard_normal(noise.shape)
    draws = losses[:, 1:] * np.exp(noise * chance)
    ends = [percentile_interval(row, len(fitted.replicates.cells)) for row in draws]
    return np.column_stack([losses[:, 0], np.array(ends)])
