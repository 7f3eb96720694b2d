"""Stacks: K models of one shape whose weights have a leading dimension.

Training K small models in lock step costs little more than training one: a step of a small model is
bound by the number of operations, not by their size. The models see the same number of jets in
groups of the same padded lengths, and one model never sees another: batched products keep them
apart, so that what is not finite in one stays there.

Models are stacked where their architecture says ``stackable = True``: their ``forward`` works with
weights (K, ...) on tokens (K, N, ...), they draw no random numbers in training, and they have no
buffers that training changes.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

BATCHED = 400
"""Multiplications of a product from which on PyTorch leaves batched ones to the library that makes
single ones. Below, and for a vector, they are summed in another order: each model has its own."""


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """X weight^T + bias: (N, out) of weights (out, in), (K, N, out) of weights (K, out, in).

    >>> linear(torch.ones(2, 5, 3), torch.ones(2, 4, 3)).shape
    torch.Size([2, 5, 4])
    """
    if weight.ndim == 2:
        return functional.linear(x, weight, bias)
    outputs, inputs = weight.shape[1:]
    if outputs == 1 or x.shape[1] * inputs * outputs < BATCHED:
        biases = [None] * len(x) if bias is None else bias
        return torch.stack([functional.linear(*p) for p in zip(x, weight, biases, strict=True)])
    if bias is None:
        return torch.bmm(x, weight.mT)
    return torch.baddbmm(bias[:, None, :], x, weight.mT)


def stack_models(models: Sequence[nn.Module]) -> nn.Module:
    """The first of ``models`` with the weights of all of them; a single one as it is.

    Buffers are those of the first: constants of features and size. None may change in training.
    """
    first, *others = models
    if not others:
        return first
    with torch.no_grad():
        named = [dict(model.named_parameters()) for model in models]
        for name in named[0]:
            owner, _, leaf = name.rpartition(".")
            stacked = torch.stack([parameters[name] for parameters in named])
            setattr(first.get_submodule(owner), leaf, nn.Parameter(stacked))
    return first
