"""ParticleTransformer: constituents and their pairs in, a few numbers per jet out.

The model of arXiv 2202.03772, with the parameters, functions and initial weights of the code that
its authors publish: an embedding of each constituent, a bias of attention embedded from the
features of each pair (see `jetscale.models.part.pairs`), blocks of attention between constituents,
two blocks in which a class token attends to them, a norm and a linear head.

A `ModelSize` of width d, l layers and h heads has l blocks of constituents and two of the class
token, each of width d with h heads and a hidden width of 4 d; the embedding goes to d, 4 d and d,
that of pairs three times to d / 2 and then to h. Width 128, 8 layers, 8 heads is the published
model of 2.14 million parameters.

Differences, each because a run here must be the same however jets are padded, stacked or resumed:

- Batch norms see constituents and pairs, never padding. So one batch in several length groups gives
  the same numbers. A batch of a single constituent, which has no spread, takes running statistics.
- There is no dropout, where the published training takes 0.1: our recipes have none.
- The head starts small, so that the first loss is about log(classes) at every width.

Running statistics are buffers: checkpoints and trunks carry them. Of several ranks, each normalises
with the jets it has, as usual, so that the numbers depend on how many there are; the statistics of
rank 0 are kept.

Shape suffixes: N constituents of the batch, F features, D width, P pairs, B jets of a group, L
padded length of a group, H heads, J jets of the batch, C outputs.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from jetscale.jets.schema import FEATURES
from jetscale.models.batch import Batch
from jetscale.models.inputs import Features
from jetscale.models.part.flops import CLASS_BLOCKS, PAIR_FEATURES, pair_width
from jetscale.models.part.pairs import Group, Places, pair_features, places_of
from jetscale.study import ModelSize


class BatchNorm(nn.BatchNorm1d):
    """Batch norm of rows; one row alone is normalised with the running statistics."""

    def forward(self, rows: Tensor) -> Tensor:
        """The rows, normalised over all of them in training."""
        if len(rows) > 1 or not self.training:
            return super().forward(rows)
        return functional.batch_norm(
            rows, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
        )


class Block(nn.Module):
    """What follows attention: norms, a perceptron and the residual stream."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)
        self.head_scale = nn.Parameter(torch.ones(heads))
        self.output_norm = nn.LayerNorm(width)
        self.mlp_norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, 4 * width)
        self.hidden_norm = nn.LayerNorm(4 * width)
        self.down = nn.Linear(4 * width, width)
        self.residual_scale = nn.Parameter(torch.ones(width))
        _start(self.qkv, width)  # three layers in one: queries, keys and values
        for linear in (self.output, self.up, self.down):
            _start(linear, linear.out_features)

    def add(self, x_ND: Tensor, mixed_ND: Tensor) -> Tensor:
        """The residual stream x after attention gave ``mixed_ND``."""
        # scaling the matrix rather than what it gives: there are more tokens than rows
        scale = self.head_scale.repeat_interleave(len(self.output.bias) // self.heads)
        weight, bias = self.output.weight * scale[:, None], self.output.bias * scale
        x_ND = x_ND + self.output_norm(functional.linear(mixed_ND, weight, bias))
        hidden = self.hidden_norm(functional.gelu(self.up(self.mlp_norm(x_ND))))
        return torch.addcmul(self.down(hidden), x_ND, self.residual_scale)


class ParticleBlock(Block):
    """Each constituent of a jet attends to all of them, with a bias for each pair."""

    def forward(self, x_ND: Tensor, places: Places, biases: Sequence[Tensor]) -> Tensor:
        """The residual stream after this block; ``biases`` are (B H, L, L) for each group."""
        pieces = places.split(self.qkv(self.attention_norm(x_ND)))
        groups = zip(pieces, places.groups, biases, strict=True)
        return self.add(x_ND, torch.cat([self._attend(*group) for group in groups]))

    def _attend(self, qkv: Tensor, group: Group, bias: Tensor) -> Tensor:
        view = group.view
        split = group.pad(qkv).view(view.jets, view.length, 3, self.heads, -1)
        q, k, v = split.permute(2, 0, 3, 1, 4).flatten(1, 2).unbind(0)
        # PyTorch's fused attention has no gradient for the bias
        scores = torch.baddbmm(bias, q, k.mT, alpha=q.shape[2] ** -0.5)
        mixed = torch.bmm(scores.softmax(-1), v)
        mixed = mixed.view(view.jets, self.heads, view.length, -1)
        return group.unpad(mixed.transpose(1, 2).reshape(view.jets * view.length, -1))


class ClassBlock(Block):
    """One vector of each jet attends to itself and to its constituents."""

    def forward(self, token_JD: Tensor, x_ND: Tensor, places: Places) -> Tensor:
        """The vectors after this block; constituents stay as they are."""
        width = token_JD.shape[1]
        (to_q, to_kv), (q_bias, kv_bias) = (
            torch.split(part, [width, 2 * width]) for part in (self.qkv.weight, self.qkv.bias)
        )
        # as published, the query alone is taken before the norm
        q_JD = functional.linear(token_JD, to_q, q_bias)
        own = functional.linear(self.attention_norm(token_JD), to_kv, kv_bias)
        others = places.split(functional.linear(self.attention_norm(x_ND), to_kv, kv_bias))
        jets = [group.view.jets for group in places.groups]
        groups = zip(
            torch.split(q_JD, jets), torch.split(own, jets), others, places.groups, strict=True
        )
        return self.add(token_JD, torch.cat([self._attend(*group) for group in groups]))

    def _attend(self, q_BD: Tensor, own: Tensor, others: Tensor, group: Group) -> Tensor:
        view = group.view
        kv = torch.cat((own[:, None], group.pad(others).view(view.jets, view.length, -1)), dim=1)
        split = kv.view(view.jets, 1 + view.length, 2, self.heads, -1)
        k, v = split.permute(2, 0, 3, 1, 4).unbind(0)
        q = q_BD.view(view.jets, self.heads, 1, -1)
        mask = None if view.bias is None else functional.pad(view.bias, (1, 0))[:, None, None, :]
        return functional.scaled_dot_product_attention(q, k, v, attn_mask=mask).view(len(q_BD), -1)


class PairEmbedding(nn.Module):
    """The bias of attention, a number for each head and pair of constituents."""

    def __init__(self, size: ModelSize, features: Features) -> None:
        super().__init__()
        width, names = pair_width(size), [feature.name for feature in features]
        dims = (PAIR_FEATURES, width, width, width, size.heads)
        layers: list[nn.Module] = [BatchNorm(PAIR_FEATURES)]
        for inputs, outputs in pairwise(dims):
            layers += [nn.Linear(inputs, outputs), BatchNorm(outputs), nn.GELU()]
        self.embed = nn.Sequential(*layers[:-1])
        self.pt, self.eta, self.phi = map(names.index, ("part_pt_log", "part_deta", "part_dphi"))

    def forward(self, values_NF: Tensor, places: Places) -> list[Tensor]:
        """(B H, L, L) biases of each length group, minus infinity for keys that are padding."""
        log_pt = FEATURES["part_pt_log"]
        pt_N = (values_NF[:, self.pt] / log_pt.factor + (log_pt.mean or 0)).exp()
        features_P4 = pair_features(pt_N, values_NF[:, self.eta], values_NF[:, self.phi], places)
        pieces = torch.split(self.embed(features_P4), [group.pairs for group in places.groups])
        return [_spread(*piece) for piece in zip(pieces, places.groups, strict=True)]


def _spread(embedded_PH: Tensor, group: Group) -> Tensor:
    """(B H, L, L) from the pairs i >= j of a group."""
    view, heads = group.view, embedded_PH.shape[1]
    spread = embedded_PH.new_zeros(view.jets, view.length, view.length, heads)
    if view.bias is not None:
        spread += view.bias[:, None, :, None]
    flat = spread.view(-1, heads).index_copy(0, group.places, embedded_PH)
    both = flat.index_copy(0, group.mirrored, embedded_PH).view(spread.shape)
    return both.permute(0, 3, 1, 2).flatten(0, 1).contiguous()


class Trunk(nn.Module):
    """Constituents to one vector of d numbers per jet."""

    def __init__(self, size: ModelSize, features: Features) -> None:
        super().__init__()
        d = size.width
        layers: list[nn.Module] = [BatchNorm(len(features))]
        for inputs, outputs in ((len(features), d), (d, 4 * d), (4 * d, d)):
            linear = nn.Linear(inputs, outputs)
            _start(linear, outputs)
            layers += [nn.LayerNorm(inputs), linear, nn.GELU()]
        self.embedding = nn.Sequential(*layers)
        self.pair_embedding = PairEmbedding(size, features)
        self.blocks = nn.ModuleList()
        for i in range(size.layers):
            block = ParticleBlock(d, size.heads)
            for linear in (block.output, block.down):
                linear.weight.data.div_(math.sqrt(2 * (i + 1)))
            self.blocks.append(block)
        self.class_token = nn.Parameter(nn.init.trunc_normal_(torch.empty(d), std=0.02))
        self.class_blocks = nn.ModuleList([ClassBlock(d, size.heads) for _ in range(CLASS_BLOCKS)])
        self.norm = nn.LayerNorm(d)

    def forward(self, batch: Batch) -> Tensor:
        """(J, d) vectors of the jets."""
        places = places_of(batch.views, batch.values.device)
        x_ND = self._constituents(batch, places)
        token_JD = self.class_token.expand(sum(view.jets for view in batch.views), -1)
        for block in self.class_blocks:
            token_JD = block(token_JD, x_ND, places)
        vectors: Tensor = self.norm(token_JD)
        return vectors

    def tokens(self, batch: Batch) -> Tensor:
        """(tokens, d) vectors of the constituents before the class token attends to them.

        Rows are those of ``batch.values``, zero for padding.
        """
        places = places_of(batch.views, batch.values.device)
        x_ND = self._constituents(batch, places)
        rows = zip(places.groups, places.split(x_ND), strict=True)
        return torch.cat([group.pad(piece) for group, piece in rows])

    def _constituents(self, batch: Batch, places: Places) -> Tensor:
        """(N, d) vectors of the constituents alone: padding is there only for attention."""
        values_NF = batch.values[places.tokens]
        x_ND: Tensor = self.embedding(values_NF)
        if batch.added is not None:
            x_ND = x_ND + batch.added[places.tokens]
        biases = self.pair_embedding(values_NF, places)
        for block in self.blocks:
            x_ND = block(x_ND, places, biases)
        return x_ND


def _start(linear: nn.Linear, outputs: int) -> None:
    """Give a layer uniform weights of variance 2 / (inputs + outputs), and no bias."""
    bound = math.sqrt(6 / (linear.in_features + outputs))
    nn.init.uniform_(linear.weight, -bound, bound)
    nn.init.zeros_(linear.bias)


class ParticleTransformer(nn.Module):
    """Trunk and head, each with initial weights of its own seed."""

    def __init__(
        self, size: ModelSize, features: Features, outputs: int, *, trunk_seed: int, head_seed: int
    ) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(trunk_seed)
            self.trunk = Trunk(size, features)
            torch.default_generator.manual_seed(head_seed)
            self.head = nn.Linear(size.width, outputs)
            nn.init.normal_(self.head.weight, std=1 / size.width)
            nn.init.zeros_(self.head.bias)

    def forward(self, batch: Batch) -> Tensor:
        """(J, C) outputs, in the order of the batch."""
        outputs: Tensor = self.head(self.trunk(batch))
        return outputs
