import copy
import math

import pytest
import torch
from torch.nn import functional

from jetscale.jets.schema import FEATURE_SETS
from jetscale.models.batch import batch_of, make_batch
from jetscale.models.inputs import feature_inputs
from jetscale.models.layout import arrange
from jetscale.models.transformer import model as transformer
from jetscale.models.transformer.kernels import EPSILON
from jetscale.models.transformer.model import JetTransformer
from jetscale.study import ModelSize

KIN = feature_inputs(FEATURE_SETS["kin"])
LENGTHS = [1, 12, 5, 5, 9, 2, 7, 12, 3, 11, 4, 6]
SIZE = ModelSize(width=8, layers=2, heads=2)


def build(size=SIZE, trunk_seed=1, head_seed=2):
    return JetTransformer(size, KIN, 3, trunk_seed=trunk_seed, head_seed=head_seed).double()


def norm(x, weight):
    return x / (x.pow(2).mean(-1, keepdim=True) + EPSILON).sqrt() * weight


def one_jet(model, values):
    """Logits of one jet, written out without batches, padding or masks."""
    trunk = model.trunk
    x = (values * trunk.scale + trunk.shift) @ trunk.embedding.T + trunk.embedding_bias
    for block in trunk.blocks:
        qkv = norm(x, block.attention_norm) @ block.qkv.T
        mixed = [
            (q @ k.T / math.sqrt(q.shape[1])).softmax(1) @ v
            for q, k, v in heads_of(qkv, block.heads)
        ]
        x = x + torch.cat(mixed, 1) @ block.output.T
        gate, up = (norm(x, block.mlp_norm) @ block.gate_up.T).tensor_split(2, 1)
        x = x + (gate * gate.sigmoid() * up) @ block.down.T
    x = norm(x, trunk.norm)
    weights = (x @ trunk.query).softmax(0)
    return model.head(torch.cat([weights @ x, x.mean(0)]))


def heads_of(qkv, heads):
    q, k, v = qkv.tensor_split(3, 1)
    return zip(*(matrix.tensor_split(heads, 1) for matrix in (q, k, v)), strict=True)


def loss_and_gradients(model, batch):
    model.zero_grad()
    loss = functional.cross_entropy(model(batch), batch.labels)
    loss.backward()
    return loss.detach(), [p.grad.clone() for p in model.parameters()]


def randomised(model):
    """Weights away from their start, where norms are 1 and the query is 0."""
    generator = torch.Generator().manual_seed(3)
    for p in model.parameters():
        p.data += 0.3 * torch.randn(p.shape, generator=generator, dtype=p.dtype)
    return model


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("own", [True, False], ids=["own kernels", "plain formulas"])
def test_packed_padded_and_single_jets_agree(groups, own, batch_jets, monkeypatch):
    monkeypatch.setattr(transformer, "own", lambda *_: own)
    model, data = randomised(build()), batch_jets(LENGTHS)
    like = model.head.bias
    layout = arrange(data.offsets[:-1], data.lengths, groups=groups)
    packed = loss_and_gradients(model, make_batch(data, layout, data.labels, like))
    padded = loss_and_gradients(model, batch_of(data, like, pad_to=16))
    model.zero_grad()
    values = torch.from_numpy(data.values).double().split(data.lengths.tolist())
    logits = torch.stack([one_jet(model, value) for value in values])
    loss = functional.cross_entropy(logits, torch.from_numpy(data.labels))
    loss.backward()
    single = loss.detach(), [p.grad for p in model.parameters()]
    torch.testing.assert_close(packed, single, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(padded, single, rtol=1e-10, atol=1e-10)


def test_order_of_constituents_does_not_matter(batch_jets):
    model, data = randomised(build()), batch_jets([6])
    turned = copy.copy(data.values[::-1])
    other = type(data)(values=turned, offsets=data.offsets, labels=data.labels)
    like = model.head.bias
    torch.testing.assert_close(model(batch_of(data, like)), model(batch_of(other, like)))


def test_seeds_of_trunk_and_head_are_separate():
    one, other_trunk, other_head = build(), build(trunk_seed=7), build(head_seed=7)
    assert torch.equal(one.head.weight, other_trunk.head.weight)
    assert not torch.equal(one.head.weight, other_head.head.weight)
    for name, weight in one.trunk.named_parameters():
        assert torch.equal(weight, other_head.trunk.get_parameter(name))
    assert not torch.equal(one.trunk.embedding, other_trunk.trunk.embedding)


@pytest.mark.slow
@pytest.mark.parametrize("width", [8, 32, 128])
def test_start_is_neutral_at_every_width(width, batch_jets):
    size = ModelSize(width=width, layers=4, heads=width // 8)
    model, data = build(size), batch_jets([20] * 50)
    batch = batch_of(data, model.head.bias)
    loss = functional.cross_entropy(model(batch), batch.labels)
    assert float(loss.detach()) == pytest.approx(math.log(3), rel=0.08)
    stream = model.trunk.embedding @ torch.randn(7, 500, dtype=torch.float64)
    x = stream.T
    for block in model.trunk.blocks:
        x = block(x, (batch_of(batch_jets([500]), model.head.bias).views))
    assert 0.5 < float(x.detach().square().mean().sqrt()) < 2


def test_inputs_are_scaled_by_what_their_columns_say():
    trunk = build().trunk
    for column, feature in enumerate(KIN):
        standard = (feature.mean + 2 * feature.scale) * trunk.scale[column] + trunk.shift[column]
        assert float(standard) == pytest.approx(2, rel=1e-6)
