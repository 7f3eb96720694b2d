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

Shape suffixes: N tokens of the batch including padding, F features, D width, P pairs, B jets of a
group, L padded length of a group, H heads, K width of a head, J jets of the batch, C outputs.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from jetscale.jets.schema import FEATURES
from jetscale.models.batch import Batch, View
from jetscale.models.inputs import Features
from jetscale.models.part.flops import CLASS_BLOCKS, PAIR_FEATURES, pair_width
from jetscale.models.part.pairs import Pairs, pair_features, pairs_of
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


def _tokens_of(views: Sequence[View]) -> list[int]:
    """Tokens of each length group, padding included."""
    return [view.jets * view.length for view in views]


class ParticleBlock(Block):
    """Each constituent of a jet attends to all of them, with a bias for each pair."""

    def forward(self, x_ND: Tensor, views: Sequence[View], biases: Sequence[Tensor]) -> Tensor:
        """The residual stream after this block; ``biases`` are (B H, L, L) for each group."""
        qkv_N3D = self.qkv(self.attention_norm(x_ND))
        pieces = torch.split(qkv_N3D, _tokens_of(views))
        groups = zip(pieces, views, biases, strict=True)
        return self.add(x_ND, torch.cat([self._attend(*group) for group in groups]))

    def _attend(self, qkv: Tensor, view: View, bias: Tensor) -> Tensor:
        split = qkv.view(view.jets, view.length, 3, self.heads, -1)
        q, k, v = split.permute(2, 0, 3, 1, 4).flatten(1, 2).unbind(0)
        # PyTorch's fused attention has no gradient for the bias
        scores = torch.baddbmm(bias, q, k.mT, alpha=q.shape[2] ** -0.5)
        mixed = torch.bmm(scores.softmax(-1), v)
        mixed = mixed.view(view.jets, self.heads, view.length, -1)
        return mixed.transpose(1, 2).reshape(len(qkv), -1)


class ClassBlock(Block):
    """One vector of each jet attends to itself and to its constituents."""

    def forward(self, token_JD: Tensor, x_ND: Tensor, views: Sequence[View]) -> Tensor:
        """The vectors after this block; constituents stay as they are."""
        width = token_JD.shape[1]
        (to_q, to_kv), (q_bias, kv_bias) = (
            torch.split(part, [width, 2 * width]) for part in (self.qkv.weight, self.qkv.bias)
        )
        # as published, the query alone is taken before the norm
        q_JD = functional.linear(token_JD, to_q, q_bias)
        own = functional.linear(self.attention_norm(token_JD), to_kv, kv_bias)
        others = functional.linear(self.attention_norm(x_ND), to_kv, kv_bias)
        jets, tokens = [view.jets for view in views], torch.split(others, _tokens_of(views))
        groups = zip(torch.split(q_JD, jets), torch.split(own, jets), tokens, views, strict=True)
        return self.add(token_JD, torch.cat([self._attend(*group) for group in groups]))

    def _attend(self, q_BD: Tensor, own: Tensor, others: Tensor, view: View) -> Tensor:
        kv = torch.cat((own[:, None], others.view(view.jets, view.length, -1)), dim=1)
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

    def forward(self, batch: Batch, pairs: Pairs) -> list[Tensor]:
        """(B H, L, L) biases of each length group, minus infinity for keys that are padding."""
        log_pt = FEATURES["part_pt_log"]
        pt_N = (batch.values[:, self.pt] / log_pt.factor + (log_pt.mean or 0)).exp()
        eta_N, phi_N = batch.values[:, self.eta], batch.values[:, self.phi]
        embedded_PH = self.embed(pair_features(pt_N, eta_N, phi_N, pairs))
        pieces = torch.split(embedded_PH, pairs.sizes)
        groups = zip(batch.views, pieces, pairs.places, pairs.mirrored, strict=True)
        return [_spread(*group) for group in groups]


def _spread(view: View, embedded_PH: Tensor, places: Tensor, mirrored: Tensor) -> Tensor:
    """(B H, L, L) from the pairs i >= j of a group."""
    jets, length, heads = view.jets, view.length, embedded_PH.shape[1]
    flat = embedded_PH.new_zeros(jets * length * length, heads)
    if view.bias is not None:
        flat = flat.view(jets, length, length, heads) + view.bias[:, None, :, None]
        flat = flat.view(-1, heads)
    flat = flat.index_copy(0, places, embedded_PH).index_copy(0, mirrored, embedded_PH)
    return flat.view(jets, length, length, heads).permute(0, 3, 1, 2).flatten(0, 1).contiguous()


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
        x_ND = self.tokens(batch)
        token_JD = self.class_token.expand(sum(view.jets for view in batch.views), -1)
        for block in self.class_blocks:
            token_JD = block(token_JD, x_ND, batch.views)
        vectors: Tensor = self.norm(token_JD)
        return vectors

    def tokens(self, batch: Batch) -> Tensor:
        """(N, d) vectors of the constituents before the class token attends to them.

        Rows are those of ``batch.values``; what stands where padding is has no meaning.
        """
        pairs = pairs_of(batch.views, batch.values.device)
        x_ND: Tensor = self.embedding(batch.values[pairs.tokens])
        if len(x_ND) < len(batch.values):
            x_ND = x_ND.new_zeros(len(batch.values), x_ND.shape[1]).index_copy(
                0, pairs.tokens, x_ND
            )
        biases = self.pair_embedding(batch, pairs)
        for block in self.blocks:
            x_ND = block(x_ND, batch.views, biases)
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
