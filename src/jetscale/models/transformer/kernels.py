"""The parts of a block with hand-written gradients, for training on a CPU.

On one CPU thread the matrix products run near the peak of the processor and take half of a step or
less; the rest is passes over the tokens, copies between layouts, and calls. These functions make
fewer of all three than PyTorch's own: a norm multiplies its gain into the weights of the product
that follows, so that the gain and its gradient never pass over the tokens; attention writes all
groups into one result, backward as well, and keeps the weights of the forward pass; SwiGLU writes
both halves of its gradient in place. What that gains is in ``benchmarks/training.md``.

`own` tells where they are used; elsewhere `jetscale.models.transformer.model` has the plain
formulas, which are the reference in the tests. Inside ``torch.autocast`` products of tokens with
weights are made in its format; attention, norms and the stream stay in that of the stream.

Shape suffixes as in `jetscale.models.transformer.model`, E the outputs of a product; a stack of
models has one more dimension in front. A is models x jets x heads of a part of a group.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from jetscale.models.batch import View, exact

EPSILON = 1e-6
MAX_LENGTH = 256
"""Longest jet for `attend`, which keeps all weights of attention for the backward pass."""
SMALLEST = 2**15
"""Numbers in the residual stream of a batch below which the calls of these functions cost more than
the passes they save: there PyTorch's own are 1.1 to 1.4 times as fast. Of a stack those of one
model count: its runs are computed as they are alone."""
WEIGHTS_AT_ONCE = 2**18
"""Attention weights computed together, a megabyte: more leave the cache of a core."""


def own(x_ND: Tensor, views: Sequence[View]) -> bool:
    """Whether the functions of this file are the faster choice; an exported graph has no such."""
    numbers = x_ND.shape[-2] * x_ND.shape[-1]
    if torch.compiler.is_exporting() or not x_ND.is_cpu or numbers < SMALLEST:
        return False
    return all(view.length <= MAX_LENGTH for view in views)


def _product_format(x_ND: Tensor) -> torch.dtype:
    """Number format of products with weights: that of autocast inside it."""
    if not torch.is_autocast_enabled("cpu"):
        return x_ND.dtype
    kind: torch.dtype = torch.get_autocast_dtype("cpu")
    return kind


class _NormLinear(torch.autograd.Function):
    """RMSNorm and a product: x / rms(x) times (gain x weights)."""

    @staticmethod
    def forward(
        ctx: Any, x_ND: Tensor, gain_D: Tensor, weight_ED: Tensor, kind: torch.dtype
    ) -> Tensor:
        norm_N1 = torch.linalg.vector_norm(x_ND, dim=-1, keepdim=True)
        scale_N1 = norm_N1.square_().div_(x_ND.shape[-1]).add_(EPSILON).rsqrt_()
        unit_ND = (x_ND * scale_N1).to(kind)
        folded_ED = (weight_ED * gain_D[..., None, :]).to(kind)
        ctx.save_for_backward(unit_ND, scale_N1, gain_D, weight_ED, folded_ED)
        return torch.matmul(unit_ND, folded_ED.mT)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        (g_NE,) = gradients
        unit_ND, scale_N1, gain_D, weight_ED, folded_ED = ctx.saved_tensors
        dfolded_ED = (g_NE.mT @ unit_ND).to(weight_ED.dtype)
        dgain_D = (dfolded_ED * weight_ED).sum(-2)
        dx_ND = (g_NE @ folded_ED).to(scale_N1.dtype)
        # the part of the gradient along x changes its length, which the norm undoes
        along_N1 = (dx_ND * unit_ND).sum(-1, keepdim=True).div_(-unit_ND.shape[-1])
        dx_ND.addcmul_(unit_ND, along_N1).mul_(scale_N1)
        return dx_ND, dgain_D, dfolded_ED.mul_(gain_D[..., None, :]), None


class _SwiGLU(torch.autograd.Function):
    """silu(gate) x up, where the rows hold gate and up side by side."""

    @staticmethod
    def forward(ctx: Any, gate_up: Tensor) -> Tensor:
        ctx.save_for_backward(gate_up)
        gate, up = gate_up.chunk(2, dim=-1)
        return functional.silu(gate).mul_(up)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (gate_up,), (g,) = ctx.saved_tensors, gradients
        gate, up = gate_up.chunk(2, dim=-1)
        out = torch.empty_like(gate_up)
        dgate, dup = out.chunk(2, dim=-1)
        torch.mul(functional.silu(gate), g, out=dup)
        torch.ops.aten.silu_backward.grad_input(g * up, gate, grad_input=dgate)
        return out


class _Attend(torch.autograd.Function):
    """softmax(scale q k + bias) v within each jet, from fused q, k and v."""

    @staticmethod
    def forward(
        ctx: Any, qkv: Tensor, views: Sequence[View], heads: int, scale: float, kind: torch.dtype
    ) -> Tensor:
        tokens = qkv if qkv.ndim == 3 else qkv[None]
        models, n, width = len(tokens), tokens.shape[1], tokens.shape[2] // 3
        mixed = qkv.new_empty(*qkv.shape[:-1], width)
        rows = mixed.view(models, n, width)
        ctx.parts = list(_parts(views, models, heads))
        saved: list[Tensor] = []
        for part, length, bias in ctx.parts:
            split = tokens[:, part].view(models, -1, length, 3, heads, width // heads)
            stack = split.permute(3, 0, 1, 4, 2, 5)
            stack = stack.to(kind, copy=True, memory_format=torch.contiguous_format)
            q_ALK, k_ALK, v_ALK = stack.flatten(1, 3).unbind(0)
            q_ALK.mul_(scale)
            if bias is None:
                scores_ALL = torch.bmm(q_ALK, k_ALK.mT)
            else:
                keys = bias[:, :, None, None].expand(-1, -1, heads, -1, -1).reshape(-1, 1, length)
                scores_ALL = torch.baddbmm(keys, q_ALK, k_ALK.mT)
            weights_ALL = scores_ALL.softmax(-1)
            out = torch.bmm(weights_ALL, v_ALK).view(stack.shape[1:]).transpose(2, 3)
            rows[:, part].view(out.shape).copy_(out)
            saved += (stack, weights_ALL)
        ctx.save_for_backward(mixed, *saved)
        ctx.heads, ctx.scale, ctx.kind = heads, scale, kind
        return mixed

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        mixed, *saved = ctx.saved_tensors
        g = gradients[0]
        out = mixed.new_empty(*mixed.shape[:-1], 3 * mixed.shape[-1])
        # Softmax backward needs sum(weights x dweights), which is sum(output x doutput).
        along = (g * mixed).view(*g.shape[:-1], ctx.heads, -1).sum(-1, dtype=ctx.kind).neg_()
        if g.ndim == 2:  # a single model
            g, along = g[None], along[None]
        tokens = out.view(len(g), g.shape[1], -1)
        for i, (part, length, _) in enumerate(ctx.parts):
            stack, weights_ALL = saved[2 * i : 2 * i + 2]
            q_ALK, k_ALK, v_ALK = stack.flatten(1, 3).unbind(0)
            models, jets, heads, width = len(g), stack.shape[2], stack.shape[3], stack.shape[5]
            along_AL1 = along[:, part].view(models, jets, length, heads).transpose(2, 3)
            along_AL1 = along_AL1.reshape(-1, length, 1)
            dout = g[:, part].view(models, jets, length, heads, width).transpose(2, 3)
            dout_ALK = dout.to(ctx.kind).reshape(v_ALK.shape)
            dstack = torch.empty_like(stack)
            dq_ALK, dk_ALK, dv_ALK = dstack.flatten(1, 3).unbind(0)
            torch.bmm(weights_ALL.mT, dout_ALK, out=dv_ALK)
            dscores = torch.baddbmm(along_AL1, dout_ALK, v_ALK.mT).mul_(weights_ALL)
            torch.bmm(dscores, k_ALK, out=dq_ALK).mul_(ctx.scale)
            torch.bmm(dscores.mT, q_ALK, out=dk_ALK)
            there = tokens[:, part].view(models, jets, length, 3, heads, width)
            there.copy_(dstack.permute(1, 2, 4, 0, 3, 5))
        return out, None, None, None, None


def _parts(
    views: Sequence[View], models: int, heads: int
) -> Iterator[tuple[slice, int, Tensor | None]]:
    """Tokens of a model, length and (models, jets, length) bias of jets that fit the cache."""
    first = 0
    for view in views:
        jets, length = view.jets // models, view.length
        bias = None if view.bias is None else view.bias.view(models, jets, length)
        together = max(1, WEIGHTS_AT_ONCE // (models * heads * length**2))
        for jet in range(0, jets, together):
            last = min(jet + together, jets)
            part = slice(first + jet * length, first + last * length)
            yield part, length, None if bias is None else bias[:, jet:last]
        first += jets * length


_norm_linear: Callable[..., Tensor] = _NormLinear.apply
_attend: Callable[..., Tensor] = _Attend.apply
swiglu: Callable[[Tensor], Tensor] = _SwiGLU.apply
"""``swiglu(gate_up)``: (..., n) silu(gate) x up from (..., 2 n) gate and up."""


def norm_linear(x_ND: Tensor, gain_D: Tensor, weight_ED: Tensor) -> Tensor:
    """(N, E) product of the normalised tokens with weights; (K, N, E) of a stack of K."""
    kind = _product_format(x_ND)
    with exact(x_ND):
        return _norm_linear(x_ND, gain_D, weight_ED, kind)


def attend(qkv: Tensor, views: Sequence[View], heads: int, scale: float) -> Tensor:
    """(N, D) attention within the jets of the views from (N, 3 D) q, k and v."""
    kind = torch.float32 if qkv.dtype == torch.bfloat16 else qkv.dtype
    with exact(qkv):
        return _attend(qkv, views, heads, scale, kind)
