from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from jetscale.jets.schema import FEATURE_SETS
from jetscale.models.batch import batch_of
from jetscale.models.inputs import feature_inputs
from jetscale.models.protocol import flops_6nd, flops_by_jet
from jetscale.models.transformer import TRANSFORMER
from jetscale.models.transformer.flops import parameters, training_flops
from jetscale.models.transformer.model import JetTransformer
from jetscale.study import ModelSize

SIZES = [
    ModelSize(width=8, layers=1, heads=1),
    ModelSize(width=16, layers=1, heads=2),
    ModelSize(width=24, layers=2, heads=3),
    ModelSize(width=32, layers=2, heads=4),
]


def build(size, feature_set, classes):
    features = feature_inputs(FEATURE_SETS[feature_set])
    return JetTransformer(size, features, classes, trunk_seed=1, head_seed=2), len(features)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: size.name)
@pytest.mark.parametrize("feature_set", FEATURE_SETS)
def test_parameters_are_those_of_the_model(size, feature_set):
    model, features = build(size, feature_set, 10)
    counts = parameters(size, features, 10)
    assert counts.total == sum(p.numel() for p in model.parameters())
    assert counts.non_embedding == sum(p.numel() for p in model.trunk.blocks.parameters())
    assert counts.head == sum(p.numel() for p in model.head.parameters())


def test_non_embedding_parameters_of_four_sizes():
    counts = [parameters(size, 13, 10).non_embedding for size in SIZES]
    assert counts == [656, 2592, 11616, 20608]


@pytest.mark.long
@pytest.mark.parametrize("size", SIZES, ids=lambda size: size.name)
@pytest.mark.parametrize("jets", [3, 420])
def test_flops_are_those_that_torch_counts(size, jets, batch_jets):
    # 3 jets take PyTorch's attention, 420 jets ours.
    n, classes = 9, 10
    model, features = build(size, "kinpid", classes)
    batch = batch_of(batch_jets([n] * jets, features, classes), model.head.bias)
    sums = {"jets": jets, "constituents": jets * n, "constituents_squared": jets * n * n}
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        functional.cross_entropy(model(batch), batch.labels).backward()
    assert counter.get_total_flops() == training_flops(size, features, classes, **sums)


@settings(max_examples=50)
@given(st.lists(st.integers(1, 128), min_size=1, max_size=20))
def test_flops_of_a_data_set_are_the_sum_over_jets(lengths):
    size = SIZES[2]

    def flops(some):
        return training_flops(
            size,
            13,
            10,
            jets=len(some),
            constituents=sum(some),
            constituents_squared=sum(n * n for n in some),
        )

    assert flops(lengths) == sum(flops([n]) for n in lengths)


def test_six_nd_is_close_where_the_blocks_dominate():
    size = ModelSize(width=512, layers=12, heads=8)
    exact = training_flops(size, 13, 10, jets=1, constituents=45, constituents_squared=45**2)
    assert flops_6nd(parameters(size, 13, 10), 45) == pytest.approx(exact, rel=0.02)


@given(st.lists(st.integers(1, 128), min_size=1, max_size=20))
def test_flops_of_each_jet_add_up_to_those_of_every_prefix(lengths):
    n = np.array(lengths)
    features = feature_inputs(FEATURE_SETS["kinpid"])
    found = np.cumsum(flops_by_jet(partial(TRANSFORMER.training_flops, SIZES[2], features, 27), n))
    expected = [
        training_flops(
            SIZES[2],
            13,
            27,
            jets=k,
            constituents=int(n[:k].sum()),
            constituents_squared=int((n[:k] ** 2).sum()),
        )
        for k in range(1, len(n) + 1)
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
