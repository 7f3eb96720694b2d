import math

import pytest
import torch
from torch.nn import functional

from jetscale.models.transformer.kernels import attention, suits


def inputs(jets=3, length=4, heads=2, width=3, masked=True):
    generator = torch.Generator().manual_seed(1)
    shape = (jets * length, 3 * heads * width)
    qkv = torch.randn(shape, generator=generator, dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(jets, length, dtype=torch.float64)
    bias[0, 2:] = -math.inf
    return qkv, heads, jets, bias if masked else None


def reference(qkv, heads, jets, bias):
    q, k, v = qkv.view(jets, len(qkv) // jets, 3, heads, -1).permute(2, 0, 3, 1, 4)
    mask = None if bias is None else bias[:, None, None]
    mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    return mixed.transpose(1, 2).flatten(0, 1).flatten(1)


@pytest.mark.parametrize("masked", [True, False])
def test_attention_equals_pytorch(masked):
    arguments = inputs(masked=masked)
    ours, theirs = attention(*arguments), reference(*arguments)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    weights = torch.arange(ours.numel(), dtype=torch.float64).view(ours.shape).sin()
    gradients = [torch.autograd.grad((y * weights).sum(), arguments[0])[0] for y in (ours, theirs)]
    torch.testing.assert_close(*gradients, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("masked", [True, False])
def test_gradient_equals_finite_differences(masked):
    qkv, *others = inputs(masked=masked)
    assert torch.autograd.gradcheck(lambda x: attention(x, *others), (qkv,))


def test_padding_gets_no_gradient():
    qkv, heads, jets, bias = inputs()
    attention(qkv, heads, jets, bias)[:2].sum().backward()
    assert (qkv.grad[2:4] == 0).all()
    assert (qkv.grad[:2] != 0).any()


def test_a_second_derivative_is_refused():
    qkv, *others = inputs()
    loss = attention(qkv, *others).square().sum()
    (first,) = torch.autograd.grad(loss, qkv, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()


@pytest.mark.parametrize(
    ("jets", "length", "heads", "width", "expected"),
    [(16, 32, 4, 8, True), (16, 32, 1, 8, False), (64, 32, 2, 32, False), (128, 128, 4, 8, False)],
)
def test_suits_small_batches_of_narrow_heads(jets, length, heads, width, expected):
    qkv = torch.empty(jets * length, 3 * heads * width)
    assert suits(qkv, heads, jets) is expected
