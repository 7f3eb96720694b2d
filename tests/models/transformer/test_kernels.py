import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from jetscale.models.batch import View
from jetscale.models.transformer import kernels
from jetscale.models.transformer.kernels import (
    EPSILON,
    SMALLEST,
    attend,
    norm_linear,
    own,
    swiglu,
)

GENERATOR = torch.Generator().manual_seed(1)
HEADS, SCALE = 2, 0.4


def random(*shape):
    return torch.randn(*shape, generator=GENERATOR, dtype=torch.float64, requires_grad=True)


def group(jets, length, empty=0):
    """A group whose first jet has ``empty`` tokens of padding."""
    bias = torch.zeros(jets, length, dtype=torch.float64)
    bias[0, length - empty :] = -math.inf
    mean, lengths = torch.empty(jets, length, dtype=torch.float64), np.full(jets, length)
    lengths[0] -= empty
    bias = bias if empty else None
    return View(jets=jets, length=length, bias=bias, mean=mean, lengths=lengths)


def plain_norm_linear(x, gain, weight):
    unit = x / (x.square().mean(-1, keepdim=True) + EPSILON).sqrt()
    return (unit * gain[..., None, :]) @ weight.mT


def plain_swiglu(gate_up):
    gate, up = gate_up.tensor_split(2, -1)
    return gate * gate.sigmoid() * up


def plain_attend(qkv, views, heads, scale):
    """One jet of one model at a time, from the definition."""
    models = len(qkv) if qkv.ndim == 3 else 1
    rows = qkv.reshape(models, -1, qkv.shape[-1])
    out = []
    for model in range(models):
        first, mixed = 0, []
        for view in views:
            jets = view.jets // models
            for jet in range(jets):
                tokens = rows[model, first : first + view.length]
                first += view.length
                bias = 0 if view.bias is None else view.bias[model * jets + jet]
                q, k, v = (t.tensor_split(heads, 1) for t in tokens.tensor_split(3, 1))
                weights = [(scale * a @ b.T + bias).softmax(1) for a, b in zip(q, k, strict=True)]
                mixed.append(torch.cat([w @ c for w, c in zip(weights, v, strict=True)], 1))
        out.append(torch.cat(mixed))
    return torch.stack(out).view(*qkv.shape[:-1], -1)


VIEWS = (group(3, 4, empty=2), group(2, 5))
STACKED = (group(6, 4, empty=1), group(4, 5))  # of two models
CASES = {
    "norm_linear": (norm_linear, plain_norm_linear, (random(9, 4), random(4), random(6, 4))),
    "norm_linear of a stack": (
        norm_linear,
        plain_norm_linear,
        (random(2, 9, 4), random(2, 4), random(2, 6, 4)),
    ),
    "swiglu": (swiglu, plain_swiglu, (random(5, 8),)),
    "swiglu of a stack": (swiglu, plain_swiglu, (random(2, 5, 8),)),
    "attend": (
        lambda qkv: attend(qkv, VIEWS, HEADS, SCALE),
        lambda qkv: plain_attend(qkv, VIEWS, HEADS, SCALE),
        (random(22, 12),),
    ),
    "attend of one constituent": (
        lambda qkv: attend(qkv, (group(1, 1),), HEADS, SCALE),
        lambda qkv: plain_attend(qkv, (group(1, 1),), HEADS, SCALE),
        (random(1, 12),),
    ),
    "attend of a stack": (
        lambda qkv: attend(qkv, STACKED, HEADS, SCALE),
        lambda qkv: plain_attend(qkv, STACKED, HEADS, SCALE),
        (random(2, 22, 12),),
    ),
}
cases = pytest.mark.parametrize(("ours", "plain", "inputs"), CASES.values(), ids=list(CASES))


@pytest.mark.slow
@pytest.mark.parametrize("at_once", [1, kernels.WEIGHTS_AT_ONCE], ids=["jet by jet", "groups"])
@cases
def test_values_and_gradients_are_those_of_the_formula(ours, plain, inputs, at_once, monkeypatch):
    monkeypatch.setattr(kernels, "WEIGHTS_AT_ONCE", at_once)
    before = [x.detach().clone() for x in inputs]
    out, expected = ours(*inputs), plain(*inputs)
    assert all(torch.equal(x, kept) for x, kept in zip(inputs, before, strict=True))
    torch.testing.assert_close(out, expected, rtol=1e-12, atol=1e-12)
    weights = torch.arange(out.numel(), dtype=torch.float64).view(out.shape).sin()
    found, known = (torch.autograd.grad((y * weights).sum(), inputs) for y in (out, expected))
    torch.testing.assert_close(found, known, rtol=1e-11, atol=1e-11)


@pytest.mark.slow
@cases
def test_gradient_equals_finite_differences(ours, plain, inputs):
    assert torch.autograd.gradcheck(ours, inputs)


@cases
def test_gradients_that_are_not_contiguous_are_taken(ours, plain, inputs):
    found, known = (torch.autograd.grad(f(*inputs).sum(), inputs) for f in (ours, plain))
    torch.testing.assert_close(found, known, rtol=1e-11, atol=1e-11)


@cases
def test_a_second_derivative_is_refused(ours, plain, inputs):
    first = torch.autograd.grad(ours(*inputs).square().sum(), inputs, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        sum(gradient.sum() for gradient in first).backward()


def test_padding_gets_no_gradient():
    qkv = random(12, 12)
    attend(qkv, VIEWS[:1], HEADS, SCALE)[:2].sum().backward()
    assert (qkv.grad[2:4] == 0).all()
    assert (qkv.grad[:2] != 0).any()


def test_very_long_jets_and_small_batches_take_the_operations_of_pytorch():
    x = torch.empty(SMALLEST // 4, 4)
    assert own(x, VIEWS)
    assert not own(x[1:], VIEWS)
    assert own(torch.stack((x, x)), VIEWS)  # two models of a stack
    assert not own(x.view(2, -1, 4), VIEWS)  # each is computed as it is alone
    assert not own(x, (*VIEWS, group(1, 500)))
    assert not own(x.to("meta"), VIEWS)


def test_products_follow_autocast_and_the_stream_does_not():
    x, gain, weight = (t.detach().float().requires_grad_() for t in CASES["norm_linear"][2])
    with torch.autocast("cpu", torch.bfloat16):
        out = norm_linear(x, gain, weight)
        hidden = swiglu(out)
    assert out.dtype == hidden.dtype == torch.bfloat16
    torch.testing.assert_close(
        out.float(), plain_norm_linear(x, gain, weight), rtol=0.02, atol=0.02
    )
    gradients = torch.autograd.grad(out.float().square().sum(), (x, gain, weight))
    known = torch.autograd.grad(
        plain_norm_linear(x, gain, weight).square().sum(), (x, gain, weight)
    )
    for found, expected in zip(gradients, known, strict=True):
        assert found.dtype == torch.float32
        torch.testing.assert_close(
            found, expected, rtol=0.1, atol=0.03 * float(expected.abs().max())
        )


def test_attention_of_half_the_digits_is_computed_with_all():
    qkv = random(22, 12).detach()
    short = qkv.bfloat16().requires_grad_()
    views = tuple(
        replace(v, bias=None if v.bias is None else v.bias.float(), mean=v.mean.float())
        for v in VIEWS
    )
    out = attend(short, views, HEADS, SCALE)
    assert out.dtype == torch.bfloat16
    exact = plain_attend(short.detach().double(), VIEWS, HEADS, SCALE)
    torch.testing.assert_close(out.double(), exact, rtol=2**-8, atol=1e-3)
    out.float().sum().backward()
    assert short.grad.isfinite().all()
