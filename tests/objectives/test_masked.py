"""Masked particle modelling against loops over jets, and what must not leak."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from jetscale.jets.schema import FEATURE_SETS
from jetscale.mixtures.ragged import Ragged
from jetscale.models.batch import make_batch
from jetscale.models.inputs import feature_inputs
from jetscale.models.layout import arrange
from jetscale.models.transformer.model import JetTransformer
from jetscale.objectives.hidden import choose
from jetscale.objectives.masked import MASKED
from jetscale.objectives.protocol import TokenObjective, needs_labels, token_objective
from jetscale.study import ModelSize
from jetscale.training.order import Order

SIZE = ModelSize(width=8, layers=2, heads=2)
FEATURES = feature_inputs(FEATURE_SETS["kinpid"])
FLAGS = [feature.name.startswith("part_is") for feature in FEATURES]
LONGEST = 20


def jets(lengths, seed=0):
    random = np.random.default_rng(seed)
    values = random.normal(size=(sum(lengths), len(FEATURES))).astype(np.float32)
    values[:, FLAGS] = values[:, FLAGS] > 0
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    return Ragged(values=values, offsets=offsets, labels=np.zeros(len(lengths), np.int64))


def draws_of(n, seed=0):
    return np.random.default_rng(seed).random((n, LONGEST))


class Setup:
    """A trunk, a head and a batch of jets in double precision, with its layout."""

    def __init__(self, lengths, seed=0, **how):
        self.data = jets(lengths, seed)
        self.trunk = JetTransformer(SIZE, FEATURES, 1, trunk_seed=1, head_seed=2).double().trunk
        self.head = MASKED.head(SIZE, FEATURES, LONGEST, seed=3).double()
        self.layout = arrange(self.data.offsets[:-1], self.data.lengths, **how)
        self.draws = draws_of(len(lengths), seed)[self.layout.order][None]
        self.batch = self.batch_of(self.data)
        self.prepared = self.head.prepare(self.batch, self.layout, self.draws)

    def batch_of(self, data):
        return make_batch(data, self.layout, data.labels, self.trunk.norm)

    def outputs(self):
        return self.head(self.trunk, self.prepared)


def test_it_is_an_objective_of_constituents_without_labels():
    assert token_objective("masked") is MASKED
    assert isinstance(MASKED, TokenObjective)
    assert not needs_labels("masked")
    assert token_objective("classify") is None


@settings(max_examples=60)
@given(
    st.lists(st.integers(1, LONGEST), min_size=4, max_size=40),
    st.sampled_from([{"groups": 1}, {"groups": 4}, {"pad_to": LONGEST}, {}]),
    st.integers(0, 9),
)
def test_the_lowest_draws_of_each_jet_are_hidden_and_no_padding_is(lengths, how, seed):
    data, draws = jets(lengths), draws_of(len(lengths), seed)
    layout = arrange(data.offsets[:-1], data.lengths, **how)
    chosen = choose(layout, draws[layout.order][None], MASKED.tokens_read)
    assert not chosen.model.any()
    rows = layout.index[chosen.token]  # of the values of all jets
    found = {(int(np.searchsorted(data.offsets, row, "right")) - 1, int(row)) for row in rows}
    expected = set()
    for jet, n in enumerate(lengths):
        hidden = 0 if n == 1 else max(1, int(0.3 * n + 0.5))
        assert hidden == MASKED.tokens_read(np.array([n]))[0]
        lowest = sorted(range(n), key=lambda place, jet=jet: draws[jet, place])[:hidden]
        expected |= {(jet, int(data.offsets[jet]) + place) for place in lowest}
    assert found == expected
    assert len(found) == len(rows)  # a padding token would repeat a row
    jet_of = np.searchsorted(data.offsets, rows, "right") - 1
    np.testing.assert_array_equal(chosen.rank, rows - data.offsets[jet_of])
    np.testing.assert_array_equal(chosen.together, MASKED.tokens_read(data.lengths)[jet_of])


def test_models_of_a_stack_hide_what_each_hides_alone():
    lengths = np.array([[3, 9, 9, 2], [1, 1, 14, 4], [20, 2, 2, 2]])
    draws = np.random.default_rng(3).random((3, 4, LONGEST))
    layout = arrange(np.zeros_like(lengths), lengths, groups=2)
    ordered = np.take_along_axis(draws, layout.order[:, :, None], axis=1)
    together = choose(layout, ordered, MASKED.tokens_read)
    for model, own in enumerate(lengths):
        alone = arrange(np.zeros(4, np.int64), own)
        expected = choose(alone, draws[model, alone.order][None], MASKED.tokens_read)
        mine = together.model == model
        np.testing.assert_array_equal(together.rank[mine], expected.rank)
        np.testing.assert_array_equal(together.together[mine], expected.together)
        # tokens of one place and model are those of the jets there, padded to the longest of all
        np.testing.assert_array_equal(layout.index[model][together.token[mine]], expected.rank)


@pytest.mark.parametrize("how", [{"groups": 1}, {"groups": 2}, {"pad_to": LONGEST}])
def test_the_loss_is_that_of_loops_over_jets_and_features(how):
    setup = Setup([1, 3, 9, 20, 12, 5] * 3, **how)
    total = setup.head.loss(outputs := setup.outputs(), setup.prepared)
    jets_, per_jet = setup.data, {}
    rows = setup.layout.index[setup.prepared.hidden.numpy()]
    for said, row in zip(outputs[0], rows, strict=True):
        parts = []
        for i, feature in enumerate(FEATURES):
            truth = torch.tensor(float(jets_.values[row, i]), dtype=torch.float64)
            if FLAGS[i]:
                p = torch.sigmoid(said[i])
                parts.append(-(truth * p.log() + (1 - truth) * (1 - p).log()))
            else:
                away = (said[i] - (truth - feature.mean) / feature.scale).abs()
                parts.append(away - 0.5 if away >= 1 else 0.5 * away**2)
        jet = int(np.searchsorted(jets_.offsets, row, "right"))
        per_jet.setdefault(jet, []).append(sum(parts) / len(parts))
    expected = sum(sum(losses) / len(losses) for losses in per_jet.values())
    assert total.item() == pytest.approx(expected.item(), rel=1e-5)


def test_nothing_tells_what_a_hidden_constituent_was():
    setup = Setup([2, 3, 7, 20, 11, 4, 1])
    rows = setup.layout.index[setup.prepared.hidden.numpy()]
    last = setup.data.offsets[1:] - 1
    assert set(rows) & set(last)  # a padding token repeats it
    values = setup.data.values.copy()
    values[rows] += 100
    other = setup.head.prepare(
        setup.batch_of(replace(setup.data, values=values)), setup.layout, setup.draws
    )
    assert torch.equal(setup.head(setup.trunk, other), setup.outputs())
    assert not torch.equal(
        setup.head.loss(setup.outputs(), other), setup.head.loss(setup.outputs(), setup.prepared)
    )


def test_visible_constituents_do_tell():
    setup = Setup([12, 9])
    values = setup.data.values.copy()
    visible = np.setdiff1d(setup.layout.index, setup.layout.index[setup.prepared.hidden.numpy()])
    values[visible] += 1
    other = setup.head.prepare(
        setup.batch_of(replace(setup.data, values=values)), setup.layout, setup.draws
    )
    assert not torch.allclose(setup.head(setup.trunk, other), setup.outputs())


@pytest.mark.slow
def test_the_rank_alone_tells_hidden_constituents_of_a_jet_apart():
    setup = Setup([20])
    (outputs,) = setup.outputs()
    assert len(outputs) == 6
    assert (outputs[1:] - outputs[0]).abs().amax(1).min() > 1e-3
    with torch.no_grad():
        setup.head.ranks[:] = setup.head.ranks[0]
    (outputs,) = setup.outputs()
    torch.testing.assert_close(outputs, outputs[:1].expand(6, -1))


def test_jets_of_one_constituent_have_nothing_to_complete():
    setup = Setup([1, 1, 1])
    loss = setup.head.loss(setup.outputs(), setup.prepared)
    loss.backward()
    assert loss.item() == 0
    assert not setup.trunk.embedding.grad.any()


def test_the_head_depends_on_its_seed_alone_and_counts_its_weights():
    heads = [MASKED.head(SIZE, FEATURES, LONGEST, seed) for seed in (1, 1, 2)]
    assert torch.equal(heads[0].ranks, heads[1].ranks)
    assert torch.equal(heads[0].weight, heads[1].weight)
    assert not torch.equal(heads[0].weight, heads[2].weight)
    counted = MASKED.head_parameters(SIZE, FEATURES, LONGEST)
    assert counted == sum(p.numel() for p in heads[0].parameters())


@pytest.mark.slow
@pytest.mark.parametrize("lengths", [[9] * 3, [1, 4, 20, 12]])
def test_flops_of_the_head_are_those_that_torch_counts(lengths):
    setup = Setup(lengths)
    tokens = functional.embedding(setup.prepared.ranks, setup.head.ranks).requires_grad_()

    class Known(torch.nn.Module):
        def tokens(self, batch):
            return batch.added

    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        setup.head.loss(setup.head(Known(), setup.prepared), setup.prepared).backward()
    read = int(MASKED.tokens_read(setup.data.lengths).sum())
    assert len(tokens) == read
    assert counter.get_total_flops() == read * MASKED.head_flops(SIZE, FEATURES)


def test_draws_depend_on_seed_and_step_alone():
    def order(**changes):
        settings = {"seed": 5, "jets": 21, "batch_size": 8, "epochs": 2} | changes
        return Order(**settings)

    shapes = [order().draws(step, 4).shape for step in range(6)]
    assert shapes == [(len(order().rows(step)), 4) for step in range(6)]
    assert np.array_equal(order().draws(4, 4), order().draws(4, 4))
    others = [order().draws(1, 4), order(seed=6).draws(0, 4), order().draws(3, 4)]
    assert not any(np.isin(order().draws(0, 4), other).any() for other in others)
