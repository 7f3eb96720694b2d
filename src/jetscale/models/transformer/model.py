"""The jet transformer: constituents in, a few numbers per jet out.

A plain pre-norm transformer without positions, pair features or dropout: fixed scaling of inputs,
linear embedding, blocks of RMSNorm, attention, RMSNorm and SwiGLU (arXiv 2002.05202), a final
RMSNorm, pooling, a linear head. A block has exactly 10 d^2 + 2 d parameters: all its matrices are
without bias and the hidden width is 2 d. Pooling concatenates the mean over the constituents with a
softmax-weighted mean whose weights come from one learned query, so the head sees 2 d numbers.

A new model is in the parametrization ``standard``; its method ``complete`` turns it to the other
one (see `jetscale.models.parametrization`).

K models of one size make one step together where `jetscale.models.stack` gave their weights a
leading dimension: tensors of tokens and of jets then have it too, matrix products are batched over
it, and attention and pooling see K times as many jets. A single model has no such dimension.

Under ``torch.autocast`` the products of the blocks are made in its format; the residual stream,
embedding, norms, pooling and head keep theirs.

Shape suffixes, without that dimension: N tokens of the batch including padding, F features, D
width, B jets of a group, L padded length of a group, H heads, K width of a head, J jets of the
batch, C outputs.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from jetscale.models.batch import Batch, View, exact, scaling_of
from jetscale.models.inputs import Features
from jetscale.models.parametrization import REFERENCE_HEAD, Role
from jetscale.models.stack import linear
from jetscale.models.transformer.kernels import EPSILON, attend, norm_linear, own, swiglu
from jetscale.study import ModelSize
from jetscale.study.rates import REFERENCE_WIDTH


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
        self.heads, self.layers = size.heads, size.layers
        self.branch = 1.0
        self.attention_scale: float | None = None  # 1 / sqrt(width of a head)
        self.attention_norm = nn.Parameter(torch.ones(d))
        self.qkv = _matrix(3 * d, d, generator)
        self.output = _matrix(d, d, generator, residual)
        self.mlp_norm = nn.Parameter(torch.ones(d))
        self.gate_up = _matrix(4 * d, d, generator)
        self.down = _matrix(d, 2 * d, generator, residual)

    def forward(self, x_ND: Tensor, views: Sequence[View]) -> Tensor:
        """The residual stream after this block."""
        if not own(x_ND, views):
            return self._plain(x_ND, views)
        head = x_ND.shape[-1] // self.heads
        scale = head**-0.5 if self.attention_scale is None else self.attention_scale
        qkv_N3D = norm_linear(x_ND, self.attention_norm, self.qkv)
        mixed_ND = attend(qkv_N3D, views, self.heads, scale)
        x_ND = torch.add(x_ND, linear(mixed_ND, self.output), alpha=self.branch)
        hidden = swiglu(norm_linear(x_ND, self.mlp_norm, self.gate_up))
        return torch.add(x_ND, linear(hidden, self.down), alpha=self.branch)

    def _plain(self, x_ND: Tensor, views: Sequence[View]) -> Tensor:
        """The same from PyTorch's own operations."""
        qkv_N3D = linear(_norm(x_ND, self.attention_norm), self.qkv)
        mixed_ND = _by_group(self._attend, views, qkv_N3D)
        x_ND = torch.add(x_ND, linear(mixed_ND, self.output), alpha=self.branch)
        gate, up = linear(_norm(x_ND, self.mlp_norm), self.gate_up).chunk(2, dim=-1)
        down_ND = linear(functional.silu(gate) * up, self.down)
        return torch.add(x_ND, down_ND, alpha=self.branch)

    @torch.no_grad()
    def complete(self) -> None:
        """Divide the branches by the depth, whose start no longer is smaller in deeper models."""
        self.branch = 1 / self.layers
        for weights in (self.output, self.down):
            weights.mul_(math.sqrt(self.layers))
        head = len(self.mlp_norm) // self.heads
        if head != REFERENCE_HEAD:
            self.attention_scale = math.sqrt(REFERENCE_HEAD) / head

    def _attend(self, qkv: Tensor, view: View) -> Tensor:
        split = qkv.view(view.jets, view.length, 3, self.heads, -1)
        q_BHLK, k_BHLK, v_BHLK = split.permute(2, 0, 3, 1, 4).unbind(0)
        mask = None if view.bias is None else view.bias[:, None, None, :]
        mixed_BHLK = functional.scaled_dot_product_attention(
            q_BHLK, k_BHLK, v_BHLK, attn_mask=mask, scale=self.attention_scale
        )
        # len() would be a plain number, which ends the tracing of an exported graph
        return mixed_BHLK.transpose(1, 2).reshape(qkv.shape[0], -1)


def _norm(x_ND: Tensor, weight_D: Tensor) -> Tensor:
    if x_ND.ndim == 2:
        return functional.rms_norm(x_ND, weight_D.shape, weight_D, EPSILON)
    return functional.rms_norm(x_ND, weight_D.shape[1:], None, EPSILON) * weight_D[:, None, :]


class Trunk(nn.Module):
    """Constituents to one vector of 2 d numbers per jet.

    The embedding starts with variance 1 / features, norms at 1, embedding bias and pooling query
    at 0: pooling starts as two equal means.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, size: ModelSize, features: Features, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        shift, scale = scaling_of(features)
        self.register_buffer("scale", scale, persistent=False)
        self.register_buffer("shift", shift, persistent=False)
        self.embedding = _matrix(size.width, len(features), generator)
        self.embedding_bias = nn.Parameter(torch.zeros(size.width))
        self.blocks = nn.ModuleList([Block(size, generator) for _ in range(size.layers)])
        self.norm = nn.Parameter(torch.ones(size.width))
        self.query = nn.Parameter(torch.zeros(size.width))
        self.score_scale = 1.0

    def forward(self, batch: Batch) -> Tensor:
        """(J, 2 d) pooled vectors."""
        x_ND = self.tokens(batch)
        query = self.query if self.score_scale == 1 else self.query * self.score_scale
        with exact(x_ND):
            scores_N1 = linear(x_ND, query[..., None, :])
            return _by_group(_pool, batch.views, x_ND, scores_N1)

    def tokens(self, batch: Batch) -> Tensor:
        """(N, d) vectors of the constituents, before they are pooled."""
        inputs_NF = torch.addcmul(self.shift, batch.values, self.scale)
        with exact(inputs_NF):
            x_ND = linear(inputs_NF, self.embedding, self.embedding_bias)
        if batch.added is not None:
            x_ND = x_ND + batch.added
        for block in self.blocks:
            x_ND = block(x_ND, batch.views)
        with exact(x_ND):
            return _norm(x_ND, self.norm)


def _by_group(function: Callable[..., Tensor], views: Sequence[View], *tensors: Tensor) -> Tensor:
    """Rows of ``function(*tensors, view)`` for the tokens of each view, one group after another.

    The function sees the tokens of all models of a stack in one dimension, model by model.
    """
    if tensors[0].ndim == 2:
        if len(views) == 1:
            return function(*tensors, views[0])
        sizes = [view.jets * view.length for view in views]
        pieces = zip(*(torch.split(tensor, sizes) for tensor in tensors), views, strict=True)
        return torch.cat([function(*piece) for piece in pieces])
    models = len(tensors[0])
    sizes = [view.jets // models * view.length for view in views]
    parts = zip(*(torch.split(tensor, sizes, dim=1) for tensor in tensors), views, strict=True)
    rows = [function(*(t.flatten(0, 1) for t in part), view) for *part, view in parts]
    return torch.cat([row.view(models, -1, row.shape[-1]) for row in rows], dim=1)


def _pool(x_ND: Tensor, scores_N1: Tensor, view: View) -> Tensor:
    scores_BL = scores_N1.view(view.jets, view.length)
    if view.bias is not None:
        scores_BL = scores_BL + view.bias
    weights_B2L = torch.stack((scores_BL.softmax(-1), view.mean), dim=1)
    return torch.bmm(weights_B2L, x_ND.view(view.jets, view.length, -1)).view(view.jets, -1)


class Head(nn.Module):
    """Linear map to the outputs; weights start normal with deviation 1 / inputs, bias at 0.

    The small start keeps the first loss within a per cent or so of log(classes) at every width.
    """

    def __init__(self, size: ModelSize, outputs: int, seed: int) -> None:
        super().__init__()
        generator, inputs = torch.Generator().manual_seed(seed), 2 * size.width
        self.weight = _matrix(outputs, inputs, generator, 1 / math.sqrt(inputs))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.scale = 1.0

    def forward(self, pooled_JD: Tensor) -> Tensor:
        """(J, C) outputs."""
        weight = self.weight if self.scale == 1 else self.weight * self.scale
        with exact(pooled_JD):
            return linear(pooled_JD, weight, self.bias)


class JetTransformer(nn.Module):
    """Trunk and head, each with initial weights of its own seed."""

    def __init__(
        self, size: ModelSize, features: Features, outputs: int, *, trunk_seed: int, head_seed: int
    ) -> None:
        super().__init__()
        self.trunk = Trunk(size, features, trunk_seed)
        self.head = Head(size, outputs, head_seed)

    def forward(self, batch: Batch) -> Tensor:
        """(J, C) outputs, in the order of the batch; (K, J, C) of a stack."""
        outputs: Tensor = self.head(self.trunk(batch))
        return outputs

    @torch.no_grad()
    def complete(self) -> dict[str, Role]:
        """Turn a new model to the parametrization ``complete``; the role of each weight by name."""
        narrower = REFERENCE_WIDTH / len(self.trunk.query)
        for module in self.modules():
            if isinstance(module, Block):
                module.complete()
        self.trunk.score_scale = self.head.scale = narrower
        self.head.weight.div_(narrower)  # outputs start as before, their weights at one size
        return {name: _role(name) for name, _ in self.named_parameters()}


def _role(name: str) -> Role:
    """What the weight of this name is."""
    if name.startswith("trunk.blocks."):
        return "norm" if name.endswith("_norm") else "hidden"
    roles: dict[str, Role] = {"trunk.query": "output", "head.weight": "output", "head.bias": "bias"}
    return roles.get(name, "input")
