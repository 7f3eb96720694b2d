"""An architecture and an objective from outside the package."""

import numpy as np
import pytest
import torch
from torch import nn

from jetscale.errors import StudyError, TrainingError
from jetscale.models.protocol import (
    ARCHITECTURES,
    Architecture,
    Parameters,
    architecture_named,
    register,
)
from jetscale.models.transformer import TRANSFORMER
from jetscale.training.loop import train_run


class SumOfJets:
    """Sums the constituents of a jet: a linear trunk and a linear head."""

    name = "sum"
    version = "a"

    def parameters(self, size, features, outputs):
        trunk, head = len(features) * size.width, size.width * outputs
        return Parameters(total=trunk + head, non_embedding=trunk, head=head)

    def training_flops(self, size, features, outputs, *, jets, constituents, constituents_squared):
        return 4 * len(features) * size.width * constituents + 6 * size.width * outputs * jets

    def build(self, size, features, outputs, *, trunk_seed, head_seed):
        return Sum(size.width, len(features), outputs, trunk_seed, head_seed)


class Sum(nn.Module):
    def __init__(self, width, inputs, outputs, trunk_seed, head_seed):
        super().__init__()
        self.trunk, self.head = SumTrunk(inputs, width), nn.Linear(width, outputs, bias=False)
        for part, seed in ((self.trunk, trunk_seed), (self.head, head_seed)):
            generator = torch.Generator().manual_seed(seed)
            for p in part.parameters():
                p.data.normal_(0, 0.1, generator=generator)

    def forward(self, batch):
        return self.head(self.trunk(batch))


class SumTrunk(nn.Module):
    def __init__(self, inputs, width):
        super().__init__()
        self.linear = nn.Linear(inputs, width, bias=False)

    def forward(self, batch):
        tokens = self.linear(batch.values)
        pieces = torch.split(tokens, [view.jets * view.length for view in batch.views])
        return torch.cat(
            [
                (piece.view(view.jets, view.length, -1) * view.mean[:, :, None]).sum(1)
                for piece, view in zip(pieces, batch.views, strict=True)
            ]
        )


SUM = SumOfJets()


@pytest.fixture(autouse=True)
def _forget(monkeypatch):
    monkeypatch.setattr(ARCHITECTURES, "known", dict(ARCHITECTURES.known))


def test_the_built_in_one_fits_the_protocol():
    assert architecture_named("transformer") is TRANSFORMER
    assert isinstance(TRANSFORMER, Architecture)
    assert not isinstance(object(), Architecture)


@pytest.mark.slow
def test_a_registered_architecture_trains_and_its_trunk_is_used(spec_of, jets_of, tmp_path):
    register(SUM)
    trunk = tmp_path / "trunk.pt"
    data = jets_of(200)
    first = train_run(spec_of(architecture="sum"), data, save_trunk=trunk)
    assert first.params == 7 * 8 + 8 * 3
    assert first.flops == SUM.training_flops(
        spec_of().size,
        range(7),
        3,
        jets=400,
        constituents=first.constituents,
        constituents_squared=0,
    )
    second = train_run(spec_of(architecture="sum", seed=2), data, test=data, trunk=trunk)
    assert second.loss < np.log(3)
    scratch = train_run(spec_of(architecture="sum", seed=2), data, test=data)
    assert second.curve["training_loss"][0] != scratch.curve["training_loss"][0]
    with pytest.raises(TrainingError, match="its architecture is 'sum', this run needs 'transfo"):
        train_run(spec_of(), data, trunk=trunk)


def test_an_instance_is_found_by_reference(tmp_path, monkeypatch):
    (tmp_path / "outside_sum.py").write_text(
        "from jetscale.models.transformer import Transformer\n"
        "class Mine(Transformer):\n    name = 'mine'\n    version = 7\n"
        "MINE = Mine()\nNUMBER = 3\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert architecture_named("outside_sum:MINE").version == 7
    with pytest.raises(StudyError, match=r"'outside_sum:Mine' is <class .*name an Architecture"):
        architecture_named("outside_sum:Mine")
    with pytest.raises(StudyError, match="'outside_sum:NUMBER' is 3; name an Architecture"):
        architecture_named("outside_sum:NUMBER")


def test_an_unknown_name_shows_the_nearest():
    with pytest.raises(StudyError, match="unknown architecture 'transfomer'; did you mean 'transf"):
        architecture_named("transfomer")


def test_models_without_trunk_and_head_are_refused(spec_of, jets_of):
    class Flat(SumOfJets):
        name = "flat"

        def build(self, *_, **__):
            return nn.Linear(2, 3)

    register(Flat())
    with pytest.raises(TrainingError, match="'flat': its models need modules trunk and head"):
        train_run(spec_of(architecture="flat"), jets_of(20))
