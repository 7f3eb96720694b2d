"""Exact parameters and floating-point operations of the jet transformer; no torch needed.

One multiply-accumulate is 2 FLOPs. Counted: every matrix product. Not counted: norms, softmax,
activation functions, additions, the loss and the optimiser, whose cost is linear in d.

Forward, for one jet of n constituents, F features, width d, l layers and C outputs:

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

from jetscale.models.inputs import Parameters
from jetscale.study import ModelSize


def parameters(size: ModelSize, features: int, outputs: int) -> Parameters:
    """Parameter counts of one model.

    >>> parameters(ModelSize(width=32, layers=2, heads=4), 13, 10)
    Parameters(total=21770, non_embedding=20608, head=650)
    """
    d = size.width
    blocks = size.layers * (10 * d * d + 2 * d)
    embedding, norm_and_query, head = (features + 1) * d, 2 * d, (2 * d + 1) * outputs
    total = embedding + blocks + norm_and_query + head
    return Parameters(total=total, non_embedding=blocks, head=head)


def training_flops(
    size: ModelSize,
    features: int,
    outputs: int,
    *,
    jets: int,
    constituents: int,
    constituents_squared: int,
) -> float:
    """FLOPs of one forward and backward pass over a data set.

    ``constituents`` and ``constituents_squared`` are the sums of n and of n^2 over its jets.

    >>> size = ModelSize(width=8, layers=1, heads=1)
    >>> training_flops(size, 13, 10, jets=1, constituents=40, constituents_squared=1600)
    330560.0
    """
    d = size.width
    tokens = token_flops(size, features, constituents, constituents_squared)
    pooling = 6 * d * constituents
    head = 4 * d * outputs * jets
    return float(tokens + 3 * pooling + 3 * head)


def token_flops(
    size: ModelSize, features: int, constituents: int, constituents_squared: int
) -> int:
    """FLOPs of a pass forward and back that ends before the pooling.

    >>> token_flops(ModelSize(width=8, layers=1, heads=1), 13, 40, 1600)
    323840
    """
    d = size.width
    embedding = 2 * features * d * constituents
    blocks = size.layers * (20 * d * d * constituents + 4 * d * constituents_squared)
    return 2 * embedding + 3 * blocks
