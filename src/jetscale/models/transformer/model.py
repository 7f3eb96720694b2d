"""The jet transformer: constituents in, class logits out.

A plain pre-norm transformer without positions, pair features or dropout: fixed standardisation,
linear embedding, blocks of RMSNorm, attention, RMSNorm and SwiGLU (arXiv 2002.05202), a final
RMSNorm, pooling, a linear head. A block has exactly 10 d^2 + 2 d parameters: all its matrices are
without bias and the hidden width is 2 d. Pooling concatenates the mean over the constituents with a
softmax-weighted mean whose weights come from one learned query, so the head sees 2 d numbers.

The trunk (everything but the head) and the head are separate modules with separate seeds:
fine-tuning loads a trunk and makes a new head.

Shape suffixes: N tokens of the batch including padding, F features, D width, B jets of a group,
L padded length of a group, H heads, K width of a head, J jets of the batch, C classes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from jetscale.mixtures.ragged import Ragged
from jetscale.models.transformer.kernels import attention, suits
from jetscale.models.transformer.layout import Layout, arrange
from jetscale.study import ModelSize

EPSILON = 1e-6

# Mean and scale of each input, a control and not learned from the mixture. Measured on real
# JetClass jets: kinematics on 500 jets of all ten classes, the others on 100 top jets; rounded,
# scale at least 0.1, and 0.3 for the two flags that are rare (a lone muon must not be 12 sigma).
STANDARDISATION = {
    "part_pt_log": (0.14, 0.85),
    "part_e_log": (0.19, 0.85),
    "part_logptrel": (0.13, 0.85),
    "part_logerel": (0.13, 0.85),
    "part_deltaR": (0.13, 0.72),
    "part_charge": (0.0, 0.7),
    "part_isChargedHadron": (0.46, 0.5),
    "part_isNeutralHadron": (0.11, 0.32),
    "part_isPhoton": (0.41, 0.5),
    "part_isElectron": (0.01, 0.3),
    "part_isMuon": (0.01, 0.3),
    "part_d0": (0.0, 0.2),
    "part_d0err": (0.02, 0.1),
    "part_dz": (0.0, 0.2),
    "part_dzerr": (0.04, 0.1),
    "part_deta": (0.0, 0.21),
    "part_dphi": (0.0, 0.21),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One length group of a batch, as the model needs it.

    Attributes
    ----------
    jets, length
        B and L.
    bias
        (B, L) 0 for constituents and minus infinity for padding, or None when nothing is padded.
    mean
        (B, L) 1 / n for the n constituents of a jet and 0 for padding.
    """

    jets: int
    length: int
    bias: Tensor | None
    mean: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Jets ready for the model, ordered by length.

    Attributes
    ----------
    values
        (N, F) inputs of all tokens.
    views
        The length groups; their tokens follow one another.
    labels
        (J,) class indices, in the order of the batch.
    """

    values: Tensor
    views: tuple[View, ...]
    labels: Tensor


def make_batch(data: Ragged, layout: Layout, labels: np.ndarray, like: Tensor) -> Batch:
    """The tensors of one layout, with the device and precision of ``like``.

    Parameters
    ----------
    data
        Where the constituents are.
    layout
        From `jetscale.models.transformer.layout.arrange`.
    labels
        (J,) class indices in the order given to `arrange`.
    like
        Any parameter of the model.
    """
    where, kind = like.device, like.dtype
    views = []
    for group in layout.groups:
        weights, biases = _masks(group.length, kind)
        lengths = torch.from_numpy(group.lengths)
        mean = weights[lengths].to(where)
        bias = None if group.is_full else biases[lengths].to(where)
        views.append(View(jets=len(group.lengths), length=group.length, bias=bias, mean=mean))
    values = torch.from_numpy(data.values.take(layout.index, axis=0))
    return Batch(
        values=values.to(where, kind),
        views=tuple(views),
        labels=torch.from_numpy(labels[layout.order]).to(where),
    )


@lru_cache(maxsize=256)
def _masks(length: int, kind: torch.dtype) -> tuple[Tensor, Tensor]:
    """Pooling weights and attention bias of jets of 0 to ``length`` constituents, a row for each.

    Looking them up takes a fraction of the time of computing them for every batch.
    """
    jets = np.arange(length + 1)[:, None]
    valid = np.arange(length) < jets
    weights, bias = valid / np.maximum(jets, 1), np.where(valid, 0.0, -np.inf)
    return torch.from_numpy(weights).to(kind), torch.from_numpy(bias).to(kind)


def batch_of(data: Ragged, like: Tensor, *, pad_to: int | None = None) -> Batch:
    """All jets of ``data`` as one batch; ``pad_to`` gives the padded reference."""
    layout = arrange(data.offsets[:-1], data.lengths, pad_to=pad_to)
    return make_batch(data, layout, data.labels, like)


def _matrix(
    rows: int, columns: int, generator: torch.Generator, scale: float = 1.0
) -> nn.Parameter:
    """(rows, columns) weights, normal with variance scale^2 / columns."""
    weights = torch.randn(rows, columns, generator=generator)
    return nn.Parameter(weights * (scale / math.sqrt(columns)))


class Block(nn.Module):
    """Attention and SwiGLU, each added to the residual stream.

    Weights start normal with variance 1 / inputs; the two matrices that write to the residual
    stream are smaller by sqrt(2 layers), so that the stream keeps its size at any depth.
    """

    def __init__(self, size: ModelSize, generator: torch.Generator) -> None:
        super().__init__()
        d, residual = size.width, 1 / math.sqrt(2 * size.layers)
        self.heads = size.heads
        self.attention_norm = nn.Parameter(torch.ones(d))
        self.qkv = _matrix(3 * d, d, generator)
        self.output = _matrix(d, d, generator, residual)
        self.mlp_norm = nn.Parameter(torch.ones(d))
        self.gate_up = _matrix(4 * d, d, generator)
        self.down = _matrix(d, 2 * d, generator, residual)

    def forward(self, x_ND: Tensor, views: Sequence[View]) -> Tensor:
        """The residual stream after this block."""
        qkv_N3D = functional.linear(_norm(x_ND, self.attention_norm), self.qkv)
        x_ND = x_ND + functional.linear(self._attend(qkv_N3D, views), self.output)
        gate, up = functional.linear(_norm(x_ND, self.mlp_norm), self.gate_up).chunk(2, dim=-1)
        return x_ND + functional.linear(functional.silu(gate) * up, self.down)

    def _attend(self, qkv_N3D: Tensor, views: Sequence[View]) -> Tensor:
        if len(views) == 1:
            return self._attend_group(qkv_N3D, views[0])
        pieces = torch.split(qkv_N3D, [view.jets * view.length for view in views])
        return torch.cat([self._attend_group(*pair) for pair in zip(pieces, views, strict=True)])

    def _attend_group(self, qkv: Tensor, view: View) -> Tensor:
        if suits(qkv, self.heads, view.jets):
            return attention(qkv, self.heads, view.jets, view.bias)
        split = qkv.view(view.jets, view.length, 3, self.heads, -1)
        q_BHLK, k_BHLK, v_BHLK = split.permute(2, 0, 3, 1, 4).unbind(0)
        mask = None if view.bias is None else view.bias[:, None, None, :]
        mixed_BHLK = functional.scaled_dot_product_attention(q_BHLK, k_BHLK, v_BHLK, attn_mask=mask)
        return mixed_BHLK.transpose(1, 2).reshape(len(qkv), -1)


def _norm(x_ND: Tensor, weight_D: Tensor) -> Tensor:
    return functional.rms_norm(x_ND, weight_D.shape, weight_D, EPSILON)


class Trunk(nn.Module):
    """Constituents to one vector of 2 d numbers per jet.

    The embedding starts with variance 1 / features, norms at 1, embedding bias and pooling query
    at 0: pooling starts as two equal means.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, size: ModelSize, features: Sequence[str], seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        # inputs of other fields than jets have mean 0 and scale 1 already, see `make_schema`
        means, scales = zip(*(STANDARDISATION.get(n, (0.0, 1.0)) for n in features), strict=True)
        scale = 1 / torch.tensor(scales)
        self.register_buffer("scale", scale, persistent=False)
        self.register_buffer("shift", -torch.tensor(means) * scale, persistent=False)
        self.embedding = _matrix(size.width, len(features), generator)
        self.embedding_bias = nn.Parameter(torch.zeros(size.width))
        self.blocks = nn.ModuleList([Block(size, generator) for _ in range(size.layers)])
        self.norm = nn.Parameter(torch.ones(size.width))
        self.query = nn.Parameter(torch.zeros(size.width))

    def forward(self, batch: Batch) -> Tensor:
        """(J, 2 d) pooled vectors."""
        inputs_NF = torch.addcmul(self.shift, batch.values, self.scale)
        x_ND = functional.linear(inputs_NF, self.embedding, self.embedding_bias)
        for block in self.blocks:
            x_ND = block(x_ND, batch.views)
        return self._pool(_norm(x_ND, self.norm), batch.views)

    def _pool(self, x_ND: Tensor, views: Sequence[View]) -> Tensor:
        scores_N1 = functional.linear(x_ND, self.query[None, :])
        if len(views) == 1:
            return _pool_group(x_ND, scores_N1, views[0])
        sizes = [view.jets * view.length for view in views]
        pieces = zip(torch.split(x_ND, sizes), torch.split(scores_N1, sizes), views, strict=True)
        return torch.cat([_pool_group(*piece) for piece in pieces])


def _pool_group(x_ND: Tensor, scores_N1: Tensor, view: View) -> Tensor:
    scores_BL = scores_N1.view(view.jets, view.length)
    if view.bias is not None:
        scores_BL = scores_BL + view.bias
    weights_B2L = torch.stack((scores_BL.softmax(-1), view.mean), dim=1)
    return torch.bmm(weights_B2L, x_ND.view(view.jets, view.length, -1)).view(view.jets, -1)


class Head(nn.Module):
    """Linear classifier; weights start normal with standard deviation 1 / inputs, bias at 0.

    The small start keeps the first loss within a per cent or so of log(classes) at every width.
    """

    def __init__(self, size: ModelSize, classes: int, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        inputs = 2 * size.width
        self.weight = _matrix(classes, inputs, generator, 1 / math.sqrt(inputs))
        self.bias = nn.Parameter(torch.zeros(classes))

    def forward(self, pooled_JD: Tensor) -> Tensor:
        """(J, C) logits."""
        return functional.linear(pooled_JD, self.weight, self.bias)


class JetTransformer(nn.Module):
    """Trunk and head.

    Parameters
    ----------
    size
        Width, layers and heads.
    features
        Names of the inputs, in the order of the columns.
    classes
        Number of output classes.
    trunk_seed, head_seed
        Seeds of the initial weights.
    """

    def __init__(
        self,
        size: ModelSize,
        features: Sequence[str],
        classes: int,
        *,
        trunk_seed: int,
        head_seed: int,
    ) -> None:
        super().__init__()
        self.trunk = Trunk(size, features, trunk_seed)
        self.head = Head(size, classes, head_seed)

    def forward(self, batch: Batch) -> Tensor:
        """(J, C) logits, in the order of the batch."""
        logits: Tensor = self.head(self.trunk(batch))
        return logits
