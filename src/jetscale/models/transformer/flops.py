"""Exact parameters and floating-point operations of the jet transformer; no torch needed.

One multiply-accumulate is 2 FLOPs. Counted: every matrix product. Not counted: norms, softmax,
activation functions, additions, the loss and the optimiser, whose cost is linear in d.

Forward, for one jet of n constituents, F features, width d, l layers and C classes:

======================  ===============  ==============================================
embedding               2 F d n          (n, F) x (F, d)
linear layers, a block  20 d^2 n         10 d^2 weights: qkv 3, output 1, SwiGLU 2 + 2 + 2
attention, a block      4 d n^2          scores 2 d n^2, weighted values 2 d n^2
pooling                 6 d n            scores 2 d n, two weighted sums 4 d n
head                    4 d C            (2 d) x (2 d, C)
======================  ===============  ==============================================

Backward each product costs twice its forward: one product for each of its two inputs. The
embedding costs once: its input is data and needs no gradient. Everything is linear in n and n^2, so
a data set enters only through its number of jets, sum n and sum n^2; a padded count takes n =
padded length.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jetscale.study import ModelSize


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """Numbers of trainable parameters."""

    total: int
    non_embedding: int
    """Blocks only, l (10 d^2 + 2 d); the laws here are fitted to ``total``."""
    head: int


def parameters(size: ModelSize, features: int, classes: int) -> Parameters:
    """Parameter counts of one model.

    Examples
    --------
    >>> parameters(ModelSize(width=32, layers=2, heads=4), 13, 10)
    Parameters(total=21770, non_embedding=20608, head=650)
    """
    d = size.width
    blocks = size.layers * (10 * d * d + 2 * d)
    embedding = (features + 1) * d
    norm_and_query = 2 * d
    head = (2 * d + 1) * classes
    return Parameters(
        total=embedding + blocks + norm_and_query + head, non_embedding=blocks, head=head
    )


def forward_flops(
    size: ModelSize,
    features: int,
    classes: int,
    *,
    jets: int,
    constituents: int,
    constituents_squared: int,
) -> float:
    """FLOPs of one forward pass over a data set.

    Parameters
    ----------
    features, classes
        Inputs per constituent and output classes.
    jets, constituents, constituents_squared
        Number of jets, sum of n and sum of n^2 over them.
    """
    d = size.width
    embedding = 2 * features * d * constituents
    trunk = _trunk_flops(size, constituents, constituents_squared)
    return float(embedding + trunk + 4 * d * classes * jets)


def training_flops(
    size: ModelSize,
    features: int,
    classes: int,
    *,
    jets: int,
    constituents: int,
    constituents_squared: int,
) -> float:
    """FLOPs of one forward and backward pass over a data set; arguments as `forward_flops`."""
    d = size.width
    embedding = 2 * features * d * constituents
    trunk = _trunk_flops(size, constituents, constituents_squared)
    return float(2 * embedding + 3 * trunk + 3 * 4 * d * classes * jets)


def cumulative_training_flops(
    size: ModelSize, features: int, classes: int, lengths: NDArray[np.int64]
) -> NDArray[np.float64]:
    """(k,) `training_flops` of the first 1, 2, ... k jets, which have ``lengths`` constituents."""

    def cost(jets: int, constituents: int, squared: int) -> float:
        return training_flops(
            size,
            features,
            classes,
            jets=jets,
            constituents=constituents,
            constituents_squared=squared,
        )

    n = lengths.astype(np.float64)
    total: NDArray[np.float64] = np.cumsum(cost(1, 0, 0) + cost(0, 1, 0) * n + cost(0, 0, 1) * n**2)
    return total


def _trunk_flops(size: ModelSize, constituents: int, constituents_squared: int) -> int:
    d = size.width
    linear = size.layers * 20 * d * d * constituents
    attention = size.layers * 4 * d * constituents_squared
    return linear + attention + 6 * d * constituents


def six_nd(size: ModelSize, features: int, classes: int, *, constituents: int) -> float:
    """The usual estimate, 6 x non-embedding parameters x tokens; a token is a constituent."""
    return 6.0 * parameters(size, features, classes).non_embedding * constituents
