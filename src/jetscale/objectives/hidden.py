"""Which constituents of a batch are hidden, and the head that completes them.

A batch of a stack of K models is as K batches; the models hide different numbers of constituents,
and what the head reads is filled up to the largest of them.

Shape suffixes: J jets of a model's batch, N its tokens, M hidden constituents of all models, R
those that the head reads of each model, F features, D width.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from jetscale.models.batch import Batch, move, scaling_of
from jetscale.models.inputs import Features
from jetscale.models.layout import Ints, Layout
from jetscale.models.parametrization import Role
from jetscale.models.stack import linear
from jetscale.study.rates import REFERENCE_WIDTH

Count = Callable[[Ints], Ints]
"""Lengths of jets to how many constituents of each are hidden."""
_FLAG = "part_is"  # what the names of features begin with that are 0 or 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed(Batch):
    """A batch of which constituents are hidden, and what they were.

    Tokens are counted through all models of a stack, and so are the rows of `ranks`.
    """

    hidden: Tensor  # (M,) which tokens they are
    ranks: Tensor  # (M,) row of each in the heads' vectors of ranks
    read: Tensor  # (K, R) the tokens that the head reads: the hidden ones of each model, filled up
    weights: Tensor  # (K, R) one over the hidden constituents of the jet of each, 0 for the filling
    truth: Tensor  # (K, R, F) their features as the stream has them


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The M hidden constituents of a batch, model by model."""

    model: Ints  # which model it is of, ascending
    token: Ints  # its token among those of the model
    rank: Ints  # its place in its jet
    together: Ints  # how many its jet hides


def choose(layout: Layout, draws: NDArray[np.float64], count: Count) -> Choice:
    """The constituents that are hidden: as many of each jet as ``count`` tells from its length.

    Those with the lowest ``draws`` are, (K, J, at least the longest length) with the jets in the
    order of the layout. No padding token ever is. A layout without models is that of all K.
    """
    found, token, jet = [], 0, 0
    for group in layout.groups:
        jets = len(group.lengths) // (len(layout.order) if layout.order.ndim == 2 else 1)
        lengths = np.broadcast_to(group.lengths.reshape(-1, jets), (len(draws), jets))
        own = draws[:, jet : jet + jets, : group.length]
        own = np.where(np.arange(group.length) < lengths[..., None], own, np.inf)
        hides = count(lengths)
        # the draw of the last one that is hidden; none is below the lowest
        last = np.maximum(hides - 1, 0)[..., None]
        limit = np.take_along_axis(np.sort(own, axis=-1), last, axis=-1)
        model, place, rank = np.nonzero((own <= limit) & (hides > 0)[..., None])
        here = token + place * group.length + rank
        found.append((model, here, rank, hides[model, place]))
        token, jet = token + jets * group.length, jet + jets
    model, *rest = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.argsort(model, kind="stable")
    tokens, ranks, together = (values[order] for values in rest)
    return Choice(model=model[order], token=tokens, rank=ranks, together=together)


class CompletingHead(nn.Module):
    """Tells hidden constituents apart, and maps the trunk's vectors of them to features.

    The vectors of the ranks start normal with variance 1, as embedded constituents do. The map
    starts as that of a classifier: weights with deviation 1 / inputs, bias at 0.
    """

    shift: Tensor
    scale: Tensor
    flags: Tensor

    def __init__(
        self, width: int, features: Features, constituents: int, seed: int, count: Count
    ) -> None:
        super().__init__()
        self.count = count
        generator = torch.Generator().manual_seed(seed)
        shift, scale = scaling_of(features)
        self.register_buffer("shift", shift, persistent=False)
        self.register_buffer("scale", scale, persistent=False)
        flags = torch.tensor([feature.name.startswith(_FLAG) for feature in features])
        self.register_buffer("flags", flags, persistent=False)
        self.ranks = nn.Parameter(torch.randn(constituents, width, generator=generator))
        start = torch.randn(len(features), width, generator=generator) / width
        self.weight, self.bias = nn.Parameter(start), nn.Parameter(torch.zeros(len(features)))
        self.narrower = 1.0

    def prepare(self, batch: Batch, layout: Layout, draws: NDArray[np.float64]) -> Completed:
        """The batch with constituents hidden: their scaled features are 0."""
        values, models = batch.values, len(draws)
        chosen = choose(layout, draws, self.count)
        tokens = chosen.model * values.shape[-2] + chosen.token
        place = np.arange(len(tokens)) - np.searchsorted(chosen.model, chosen.model)
        weights = np.zeros((models, place.max(initial=-1) + 1))
        # filled up with a token of the same model: none sees what is not finite in another
        read = np.arange(models)[:, None] * values.shape[-2] + np.zeros(weights.shape, np.int64)
        read[chosen.model, place], weights[chosen.model, place] = tokens, 1 / chosen.together
        ranks = chosen.model * self.ranks.shape[-2] + chosen.rank
        hidden, rows, places, shares = (
            move(torch.from_numpy(found), values.device) for found in (tokens, ranks, read, weights)
        )
        flat, mean = values.reshape(-1, values.shape[-1]), -self.shift / self.scale
        shown = flat.index_copy(0, hidden, mean.to(flat.dtype).expand(len(tokens), -1))
        return Completed(
            **{f.name: getattr(batch, f.name) for f in fields(Batch)}
            | {"values": shown.view(values.shape)},
            hidden=hidden,
            ranks=rows,
            read=places,
            weights=shares.to(flat.dtype),
            truth=flat[places],
        )

    def forward(self, trunk: nn.Module, batch: Completed) -> Tensor:
        """(K, R, F) what the hidden constituents are thought to be, flags as logits."""
        told_MD = functional.embedding(batch.ranks, self.ranks.flatten(0, -2))
        shape = *batch.values.shape[:-1], told_MD.shape[1]
        added = told_MD.new_zeros(shape).view(-1, shape[-1]).index_copy(0, batch.hidden, told_MD)
        tokens = trunk.tokens(replace(batch, added=added.view(shape)))  # type: ignore[operator]
        read = tokens.flatten(0, -2).index_select(0, batch.read.flatten())
        weight = self.weight if self.narrower == 1 else self.weight * self.narrower
        outputs = linear(read.view(*weight.shape[:-2], -1, shape[-1]), weight, self.bias)
        return outputs.view(batch.truth.shape)

    def loss(self, outputs: Tensor, batch: Completed) -> Tensor:
        """Summed over jets: of each the mean over its hidden constituents and their features.

        A number, or (K,) of a stack.
        """
        scaled = torch.addcmul(self.shift, batch.truth, self.scale)
        near = functional.smooth_l1_loss(outputs, scaled, reduction="none")
        sure = functional.binary_cross_entropy_with_logits(
            outputs, batch.truth.clamp(0, 1), reduction="none"
        )
        losses = (torch.where(self.flags, sure, near).mean(-1) * batch.weights).sum(-1)
        return losses if self.weight.ndim > 2 else losses[0]

    @torch.no_grad()
    def complete(self) -> dict[str, Role]:
        """Turn a new head to the parametrization ``complete``; the role of each weight by name."""
        self.narrower = REFERENCE_WIDTH / self.weight.shape[-1]
        self.weight.div_(self.narrower)  # outputs start as before
        return {"ranks": "input", "weight": "output", "bias": "bias"}
