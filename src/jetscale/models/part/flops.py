"""Exact parameter and training FLOP counts of `jetscale.models.part.model`.

A multiply-accumulate is 2 FLOPs. Counted: every matrix product. Not counted: norms, softmax,
activation functions, additions, the four features of a pair, the loss and the optimiser.

Forward, for one jet of n constituents, F features, width d, pair width p = d / 2, h heads, l layers
and C outputs:

=======================  =================  =====================================================
embedding                (2 F d + 16 d^2) n  (n, F) x (F, d), then to 4 d and back
pair embedding           (4 p + 2 p^2 + p h) (n^2 + n)  once for i >= j: 4 to p to p to p to h
linear layers, a block   24 d^2 n           qkv 3, output 1, perceptron 4 + 4
attention, a block       4 d n^2            scores 2 d n^2, weighted values 2 d n^2
class block, one of two  (4 d^2 + 4 d) (n + 1) + 20 d^2  keys and values of all, the rest of one
head                     2 d C              (1, d) x (d, C)
=======================  =================  =====================================================

Backward each product costs twice its forward, also those of the embeddings: before them stands a
batch norm that is learnt. Everything is linear in n and n^2.
"""

from jetscale.models.inputs import Parameters
from jetscale.study import ModelSize

CLASS_BLOCKS = 2
PAIR_FEATURES = 4


def pair_width(size: ModelSize) -> int:
    """Width p of the pair embedding: half the width of the model, 64 at 128 as published."""
    return (size.width + 1) // 2


def parameters(size: ModelSize, features: int, outputs: int) -> Parameters:
    """Parameter counts of one model; the pair embedding counts as embedding.

    >>> parameters(ModelSize(width=128, layers=8, heads=8), 17, 10)  # the published model
    Parameters(total=2143486, non_embedding=1996880, head=1290)
    """
    d, h, p = size.width, size.heads, pair_width(size)
    blocks = (size.layers + CLASS_BLOCKS) * (12 * d * d + 24 * d + h)
    embedding = 4 * features + features * d + 8 * d * d + 16 * d
    pairs = 2 * PAIR_FEATURES + PAIR_FEATURES * p + 2 * p * p + 9 * p + p * h + 3 * h
    head, token_and_norm = (d + 1) * outputs, 3 * d
    total = embedding + pairs + blocks + token_and_norm + head
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

    >>> size = ModelSize(width=128, layers=8, heads=8)
    >>> training_flops(size, 7, 10, jets=1, constituents=128, constituents_squared=128**2) / 1e6
    2007.57504
    """
    d = size.width
    tokens = token_flops(size, features, constituents, constituents_squared)
    class_block = (4 * d * d + 4 * d) * (constituents + jets) + 20 * d * d * jets
    head = 2 * d * outputs * jets
    return float(tokens + 3 * (CLASS_BLOCKS * class_block + head))


def token_flops(
    size: ModelSize, features: int, constituents: int, constituents_squared: int
) -> int:
    """FLOPs of a pass forward and back that ends before the class token attends."""
    d, p = size.width, pair_width(size)
    one_pair = PAIR_FEATURES * p + 2 * p * p + p * size.heads
    embedding = (2 * features * d + 16 * d * d) * constituents
    pairs = one_pair * (constituents_squared + constituents)
    blocks = size.layers * (24 * d * d * constituents + 4 * d * constituents_squared)
    return 3 * (embedding + pairs + blocks)
