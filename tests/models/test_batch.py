import numpy as np
import pytest
import torch

from jetscale.jets.schema import FEATURE_SETS
from jetscale.models.batch import apply_module, batch_of, make_batch, scaling_of
from jetscale.models.inputs import FeatureInput, feature_inputs
from jetscale.models.layout import arrange
from jetscale.models.transformer.model import JetTransformer
from jetscale.study import ModelSize

LIKE = torch.zeros(1)


@pytest.fixture
def model():
    size, features = ModelSize(width=8, layers=1, heads=2), feature_inputs(FEATURE_SETS["kin"])
    return JetTransformer(size, features, 3, trunk_seed=1, head_seed=2).double()


def test_results_do_not_depend_on_order_batch_or_groups(model, jets_of):
    data = jets_of(50)
    rows = np.random.default_rng(1).permutation(50)
    whole = apply_module(model, data)
    for found in (apply_module(model, data, batch=7), apply_module(model, data, groups=1)):
        np.testing.assert_allclose(found, whole, rtol=1e-10, atol=1e-12)
    turned = apply_module(model, data.take(rows))
    np.testing.assert_allclose(turned, whole[rows], rtol=1e-10, atol=1e-12)


def test_results_are_in_the_order_of_the_data(model, jets_of):
    data = jets_of(9)
    alone = [apply_module(model, data.take(np.array([i])))[0] for i in range(9)]
    np.testing.assert_allclose(apply_module(model, data), alone, rtol=1e-10, atol=1e-12)


class Switch(torch.nn.Module):
    """Gives 1 in training and 2 in evaluation, or fails."""

    def __init__(self, fail=False):
        super().__init__()
        self.weight, self.fail = torch.nn.Parameter(torch.zeros(1)), fail

    def forward(self, batch):
        if self.fail:
            raise RuntimeError
        return torch.full((len(batch.labels), 1), 1.0 if self.training else 2.0)


def test_a_module_is_in_evaluation_mode_meanwhile(jets_of):
    module = Switch()
    assert (apply_module(module, jets_of(5)) == 2).all()
    assert module.training
    with pytest.raises(RuntimeError):
        apply_module(broken := Switch(fail=True), jets_of(5))
    assert broken.training


def test_a_batch_holds_the_jets_in_the_order_of_its_layout(batch_jets):
    data = batch_jets([2, 7, 4])
    layout = arrange(data.offsets[:-1], data.lengths, pad_to=8)
    batch = make_batch(data, layout, data.labels, LIKE)
    assert batch.labels.tolist() == data.labels[[0, 2, 1]].tolist()
    tokens = batch.values.view(3, 8, 7)
    for place, jet in enumerate([0, 2, 1]):
        own = data.values[data.offsets[jet] : data.offsets[jet + 1]]
        assert (tokens[place, : len(own)].numpy() == own).all()
    (view,) = batch.views
    assert view.mean.sum(1).tolist() == pytest.approx([1, 1, 1])
    assert (view.bias == 0).sum(1).tolist() == [2, 4, 7]


def test_a_batch_has_the_kind_of_numbers_asked_for(batch_jets):
    batch = batch_of(batch_jets([3, 5]), LIKE.double())
    assert {batch.values.dtype, batch.views[0].mean.dtype} == {torch.float64}


def test_scaling_maps_the_mean_to_0_and_one_scale_above_to_1():
    shift, scale = scaling_of([FeatureInput(name="x", mean=3.0, scale=2.0)])
    values = torch.tensor([3.0, 5.0])
    assert (shift + scale * values).tolist() == [0, 1]
