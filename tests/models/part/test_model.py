import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from jetscale.jets.schema import FEATURE_SETS
from jetscale.mixtures.ragged import Ragged
from jetscale.models.batch import batch_of, make_batch
from jetscale.models.inputs import feature_inputs
from jetscale.models.layout import arrange
from jetscale.models.part.model import ParticleTransformer
from jetscale.models.part.pairs import pair_features, places_of
from jetscale.study import ModelSize

KIN = feature_inputs(FEATURE_SETS["kin"])
LENGTHS = [1, 12, 5, 5, 9, 2, 7, 12, 3, 11, 4, 6]
SIZE = ModelSize(width=8, layers=2, heads=2)


def build(size=SIZE, trunk_seed=1, head_seed=2):
    return ParticleTransformer(size, KIN, 3, trunk_seed=trunk_seed, head_seed=head_seed).double()


def loss_gradients_and_statistics(model, batch):
    model.zero_grad()
    loss = functional.cross_entropy(model(batch), batch.labels)
    loss.backward()
    return loss.detach(), [p.grad.clone() for p in model.parameters()], list(model.buffers())


@pytest.mark.long
@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("groups", [2, 4])
def test_groups_and_padding_change_nothing(groups, training, batch_jets):
    data = batch_jets(LENGTHS)
    found = []
    for settings in ({"groups": groups}, {"groups": 1}, {"pad_to": 20}):
        model = build().train(training)
        layout = arrange(data.offsets[:-1], data.lengths, **settings)
        batch = make_batch(data, layout, data.labels, model.head.bias)
        found.append(loss_gradients_and_statistics(model, batch))
    torch.testing.assert_close(found[0], found[1], rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(found[0], found[2], rtol=1e-9, atol=1e-10)


@pytest.mark.long
def test_a_jet_in_evaluation_does_not_see_the_others(batch_jets):
    model, data = build().eval(), batch_jets(sorted(LENGTHS))
    like = model.head.bias
    alone = [model(batch_of(data.take(np.array([i])), like)) for i in range(len(data))]
    torch.testing.assert_close(torch.cat(alone), model(batch_of(data, like)))


@pytest.mark.slow
def test_order_of_constituents_does_not_matter(batch_jets):
    model, data = build(), batch_jets([6, 6])
    values = np.concatenate([data.values[5::-1], data.values[6:]])
    other = Ragged(values=values, offsets=data.offsets, labels=data.labels)
    like = model.head.bias
    torch.testing.assert_close(model(batch_of(data, like)), model(batch_of(other, like)))


def test_seeds_of_trunk_and_head_are_separate_and_torch_keeps_its_own():
    before = torch.get_rng_state()
    one, other_trunk, other_head = build(), build(trunk_seed=7), build(head_seed=7)
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(one.head.weight, other_trunk.head.weight)
    assert not torch.equal(one.head.weight, other_head.head.weight)
    for name, weight in one.trunk.named_parameters():
        assert torch.equal(weight, other_head.trunk.get_parameter(name))
    assert not torch.equal(one.trunk.class_token, other_trunk.trunk.class_token)


@pytest.mark.long
@pytest.mark.parametrize("width", [8, 32, 128])
def test_the_first_loss_is_that_of_guessing_at_every_width(width, batch_jets):
    model = build(ModelSize(width=width, layers=4, heads=width // 8))
    batch = batch_of(batch_jets([20] * 50), model.head.bias)
    loss = functional.cross_entropy(model(batch), batch.labels)
    assert float(loss.detach()) == pytest.approx(math.log(3), rel=0.08)


def test_tokens_are_the_constituents_before_the_class_token_sees_them(batch_jets):
    model, data = build().eval(), batch_jets([3, 5])
    batch = batch_of(data, model.head.bias)
    seen = []
    first = model.trunk.class_blocks[0]
    hook = first.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[1]))
    vectors = model.trunk(batch)
    hook.remove()
    tokens = model.trunk.tokens(batch).view(2, 5, 8)
    assert torch.equal(torch.cat((tokens[0, :3], tokens[1])), seen[0])
    assert not tokens[0, 3:].any()
    assert vectors.shape == (2, 8)


def test_a_single_constituent_trains_with_the_running_statistics(batch_jets):
    model, data = build(), batch_jets([1])
    before = [buffer.clone() for buffer in model.buffers()]
    found = model(batch_of(data, model.head.bias))
    found.square().sum().backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
    assert all(map(torch.equal, before, model.buffers()))
    torch.testing.assert_close(found, model.eval()(batch_of(data, model.head.bias)))


@pytest.mark.slow
def test_what_comes_in_may_be_of_any_size_and_alike(batch_jets):
    """Momenta at both ends of the clip, and constituents at one place."""
    model = build()
    data = batch_jets([4, 4])
    data.values[:4] = 5.0
    data.values[4:] = -5.0
    model(batch_of(data, model.head.bias)).square().sum().backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_every_pair_is_listed_once_and_padding_never(batch_jets):
    data = batch_jets(LENGTHS)
    layout = arrange(data.offsets[:-1], data.lengths, groups=3)
    batch = make_batch(data, layout, data.labels, torch.zeros(1))
    places = places_of(batch.views, torch.device("cpu"))
    # every constituent is known by its numbers
    values = batch.values[places.tokens]
    assert sorted(values[:, 0].tolist()) == sorted(data.values[:, 0].tolist())
    expected = [
        (data.values[start + i, 0], data.values[start + j, 0])
        for start, n in zip(data.offsets[layout.order], sorted(LENGTHS), strict=True)
        for i in range(n)
        for j in range(i + 1)
    ]
    found = [values[which, 0].tolist() for which in (places.first, places.second)]
    assert list(zip(*found, strict=True)) == expected
    for group, rows in zip(places.groups, places.split(values), strict=True):
        x_BL = group.pad(rows)[:, 0].view(group.view.jets, group.view.length)
        i = x_BL[:, :, None].expand(-1, -1, group.view.length).flatten()
        j = x_BL[:, None, :].expand(-1, group.view.length, -1).flatten()
        mine, expected = expected[: group.pairs], expected[group.pairs :]
        assert list(zip(i[group.places].tolist(), j[group.places].tolist(), strict=True)) == mine
        assert torch.equal(i[group.places], j[group.mirrored])
        assert torch.equal(j[group.places], i[group.mirrored])
        assert torch.equal(group.unpad(group.pad(rows)), rows)
    assert not expected


def test_features_of_one_pair_by_hand():
    """10 and 30 GeV, 0.3 apart in eta and 0.4 in phi across the cut at pi."""
    data = Ragged(
        values=np.float32([[0], [0]]), offsets=np.array([0, 2]), labels=np.zeros(1, np.int64)
    )
    places = places_of(batch_of(data, torch.zeros(1)).views, torch.device("cpu"))
    columns = [[10.0, 30.0], [0.1, -0.2], [math.pi - 0.1, 0.3 - math.pi]]
    found = pair_features(*torch.tensor(columns, dtype=torch.float64), places)
    mass = 2 * 10 * 30 * (math.cosh(0.3) - math.cos(0.4))
    expected = [math.log(5), math.log(0.25), math.log(0.5), math.log(mass)]
    torch.testing.assert_close(found[1], torch.tensor(expected, dtype=torch.float64))
    alone = torch.tensor([1e-8, 0.5, 1e-8, 1e-8], dtype=torch.float64).log()
    torch.testing.assert_close(found[0], alone)
    torch.testing.assert_close(found[2], alone)
