"""Which models can be built in the parametrization that a recipe asks for."""

import pytest
import torch
from torch import nn

from jetscale.errors import StudyError
from jetscale.jets.schema import FEATURE_SETS
from jetscale.models.build import build_model
from jetscale.models.inputs import feature_inputs
from jetscale.models.own import OwnModel
from jetscale.models.parametrization import Factors
from jetscale.models.protocol import ARCHITECTURES
from jetscale.study import Model, ModelSize
from jetscale.training.loop import train_run

SIZE = ModelSize(width=32, layers=1, heads=4)
KIN = feature_inputs(FEATURE_SETS["kin"])


class Mean(nn.Module):
    def __init__(self, width, inputs):
        super().__init__()
        self.embedding = nn.Linear(inputs, width)

    def forward(self, x, mask):
        return (self.embedding(x) * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True)


class Plain(nn.Module):
    def __init__(self, width, inputs, outputs):
        super().__init__()
        self.trunk, self.head = Mean(width, inputs), nn.Linear(width, outputs, bias=False)

    def forward(self, x, mask):
        return self.head(self.trunk(x, mask))


ROLES = {
    "trunk.embedding.weight": "input",
    "trunk.embedding.bias": "input",
    "head.weight": "output",
}


class Knowing(Plain):
    roles = ROLES

    def complete(self):
        return self.roles


@pytest.fixture
def own(monkeypatch):
    """Settings of a model of one's own, whose class is given."""

    def make(kind):
        factory = OwnModel("mine:build", lambda size, f, outputs: kind(size.width, len(f), outputs))
        monkeypatch.setattr(ARCHITECTURES, "known", {**ARCHITECTURES.known, "mine:build": factory})
        return Model(architecture="mine:build", parametrization="complete")

    return make


def build(settings):
    return build_model(settings, SIZE, KIN, 3, trunk_seed=1, head_seed=2)


def test_standard_has_no_factors_and_the_weights_of_the_architecture():
    model, factors = build(Model())
    assert factors == {}
    residual = model.trunk.blocks[0].output.detach().std() * 32**0.5
    assert float(residual) == pytest.approx(0.5**0.5, rel=0.1)


def test_a_model_of_ones_own_says_what_its_weights_are(own, spec_of, jets_of):
    model, factors = build(own(Knowing))
    assert factors.keys() == dict(model.named_parameters()).keys()
    assert factors["trunk.inner.embedding.weight"] == Factors(epsilon=0.5)
    result = train_run(
        spec_of(architecture="mine:build", parametrization="complete", width_exponent=0.0),
        jets_of(40),
        test=jets_of(20),
    )
    assert torch.tensor(result.loss).isfinite()


def test_a_model_that_does_not_is_refused(own):
    with pytest.raises(StudyError, match=r"'mine:build': parametrization 'complete' needs models"):
        build(own(Plain))


@pytest.mark.parametrize(
    ("roles", "message"),
    [
        ({"head.weight": "output"}, r"gives no role for trunk\.inner\.embedding\.weight"),
        (ROLES | {"head.weight": "last"}, r"head\.weight: unknown role 'last'"),
    ],
)
def test_wrong_roles_are_refused(own, roles, message):
    kind = type("Wrong", (Knowing,), {"roles": roles})
    with pytest.raises(StudyError, match=message):
        build(own(kind))
