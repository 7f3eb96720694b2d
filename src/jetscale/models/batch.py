"""The jets of a batch as tensors, for every architecture, and a module applied to many jets.

Shape suffixes: N tokens of the batch including padding, F features, B jets of a group, L padded
length of a group, J jets of the batch.
"""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from jetscale.mixtures.ragged import Ragged
from jetscale.models.inputs import Features
from jetscale.models.layout import Layout, arrange


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One length group of B jets padded to length L, as the model needs it.

    In a stack of K models it holds K B jets, those of the first model before those of the next.
    """

    jets: int
    length: int
    bias: Tensor | None
    """(B, L) 0 for constituents, minus infinity for padding; None when nothing is padded."""
    mean: Tensor  # (B, L) 1 / n for the n constituents of a jet and 0 for padding
    lengths: NDArray[np.int64]  # (B,) constituents of each jet, on the host


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Jets ready for the model, ordered by length."""

    values: Tensor  # (N, F) inputs of all tokens; (K, N, F) of a stack
    views: tuple[View, ...]  # the length groups; their tokens follow one another
    labels: Tensor  # (J,) class indices, in the order of the batch; (K J,) of a stack
    added: Tensor | None = None  # (N, width) added to the embedded tokens


def make_batch(data: Ragged, layout: Layout, labels: np.ndarray, like: Tensor) -> Batch:
    """The tensors of one layout, as ``like``; (J,) class ``labels`` in the order `arrange` got."""
    values = data.values.take(layout.index, axis=0)
    return batch_tensors(values, layout, labels[layout.order], like)


def batch_tensors(
    values: NDArray[np.float32], layout: Layout, labels: NDArray[np.int64], like: Tensor
) -> Batch:
    """The tensors of a layout from the ``values`` of its tokens and labels in its order."""
    where, kind = like.device, like.dtype
    views = []
    for group in layout.groups:
        weights, biases = _masks(group.length, kind)
        lengths = torch.from_numpy(group.lengths)
        mean = move(weights[lengths], where)
        bias = None if group.is_full else move(biases[lengths], where)
        shape = {"jets": len(lengths), "length": group.length}
        views.append(View(**shape, bias=bias, mean=mean, lengths=group.lengths))
    inputs = move(torch.from_numpy(values).to(kind), where)
    there = move(torch.from_numpy(labels), where)
    return Batch(values=inputs, views=tuple(views), labels=there)


def move(tensor: Tensor, where: torch.device) -> Tensor:
    """The tensor on another device; from pinned memory, so that the host need not wait for it."""
    return tensor.pin_memory().to(where, non_blocking=True) if where.type == "cuda" else tensor


@lru_cache(maxsize=256)  # computing them for every batch takes far longer
def _masks(length: int, kind: torch.dtype) -> tuple[Tensor, Tensor]:
    """Pooling weights and attention bias of jets of 0 to ``length`` constituents, a row each."""
    jets = np.arange(length + 1)[:, None]
    valid = np.arange(length) < jets
    weights, bias = valid / np.maximum(jets, 1), np.where(valid, 0.0, -np.inf)
    return torch.from_numpy(weights).to(kind), torch.from_numpy(bias).to(kind)


def batch_of(data: Ragged, like: Tensor, *, pad_to: int | None = None) -> Batch:
    """All jets of ``data`` as one batch; ``pad_to`` gives the padded reference."""
    layout = arrange(data.offsets[:-1], data.lengths, pad_to=pad_to)
    return make_batch(data, layout, data.labels, like)


def scaling_of(features: Features) -> tuple[Tensor, Tensor]:
    """(F,) shift and (F,) scale of the columns: (value - mean) / scale = shift + value x scale."""
    scale = 1 / torch.tensor([feature.scale for feature in features])
    return -torch.tensor([feature.mean for feature in features]) * scale, scale


def exact(like: Tensor) -> AbstractContextManager[None]:
    """A block in which operations keep the format of their inputs, also inside autocast.

    >>> with torch.autocast("cpu", torch.bfloat16), exact(torch.ones(1)):
    ...     print((torch.ones(1, 1) @ torch.ones(1, 1)).dtype)
    torch.float32
    """
    kind = like.device.type
    inside = torch.is_autocast_enabled(kind)
    return torch.autocast(kind, enabled=False) if inside else nullcontext()


@torch.inference_mode()
def apply_module(
    module: nn.Module,
    data: Ragged,
    *,
    batch: int = 256,
    groups: int | None = None,
    models: int = 0,
) -> NDArray[np.float64]:
    """(n, K) results of a module that gives K numbers for a jet, in the order of the data.

    Jets are batched by length, which pads almost nothing. The module takes a `Batch` of ``batch``
    jets in ``groups`` length groups (None chooses); it is in evaluation mode meanwhile. A stack of
    so many ``models`` sees the same jets and gives (models, n, K).
    """
    like, out = next(module.parameters()), np.empty((0, 0))
    starts, lengths = data.offsets[:-1], data.lengths
    by_length = np.argsort(lengths, kind="stable")
    was_training = module.training
    module.eval()
    try:
        for first in range(0, len(data), batch):
            rows = by_length[first : first + batch]
            layout = arrange(starts[rows], lengths[rows], groups=groups)
            jets = make_batch(data, layout, data.labels[rows], like)
            part = module(repeat(jets, models) if models else jets).double().cpu().numpy()
            if not out.size:
                out = np.empty((*part.shape[:-2], len(data), part.shape[-1]))
            out[..., rows[layout.order], :] = part
    finally:
        module.train(was_training)
    return out


def repeat(batch: Batch, models: int) -> Batch:
    """The batch of a stack whose models all see the jets of ``batch``."""
    return Batch(
        values=batch.values.expand(models, -1, -1),
        views=tuple(_repeat_view(view, models) for view in batch.views),
        labels=batch.labels.repeat(models),
    )


def _repeat_view(view: View, models: int) -> View:
    return View(
        jets=models * view.jets,
        length=view.length,
        bias=None if view.bias is None else view.bias.repeat(models, 1),
        mean=view.mean.repeat(models, 1),
        lengths=np.tile(view.lengths, models),
    )
