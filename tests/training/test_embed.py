import numpy as np
import pytest
import torch

from jetscale.errors import TrainingError
from jetscale.jets.schema import FEATURE_SETS
from jetscale.models.batch import batch_of
from jetscale.models.inputs import feature_inputs
from jetscale.models.transformer.model import Trunk
from jetscale.store.checkpoints import save_trunk
from jetscale.study import Controls, ModelSize
from jetscale.training.embed import pooled_vectors
from jetscale.training.order import Seeds

SIZE = ModelSize(width=8, layers=1, heads=2)
CONTROLS = Controls(pretraining_jets=1, validation_jets=1, test_jets=1, features="kin")
KIN = feature_inputs(FEATURE_SETS["kin"])
DESCRIPTION = {"size": SIZE.name, "features": "kin", "architecture": "transformer"}


@pytest.fixture
def jets(jets_of):
    return jets_of(30)


def test_vectors_are_those_of_the_trunk_in_the_order_of_the_jets(jets):
    trunk = Trunk(SIZE, KIN, Seeds.of(3).trunk)
    with torch.inference_mode():
        expected = [
            trunk(batch_of(jets.take(np.array([i])), trunk.embedding)).numpy()[0] for i in range(30)
        ]
    found = pooled_vectors(jets, SIZE, CONTROLS, KIN, seed=3)
    assert found.shape == (30, 16)
    assert found == pytest.approx(np.array(expected), abs=1e-5)


def test_the_batch_size_does_not_matter(jets):
    whole = pooled_vectors(jets, SIZE, CONTROLS, KIN, seed=1)
    assert pooled_vectors(jets, SIZE, CONTROLS, KIN, seed=1, batch=7) == pytest.approx(
        whole, abs=1e-5
    )


def test_weights_come_from_the_trunk_file(jets, tmp_path):
    save_trunk(tmp_path / "trunk.pt", Trunk(SIZE, KIN, 77).state_dict(), DESCRIPTION)
    first = pooled_vectors(jets, SIZE, CONTROLS, KIN, seed=1, trunk=tmp_path / "trunk.pt")
    second = pooled_vectors(jets, SIZE, CONTROLS, KIN, seed=2, trunk=tmp_path / "trunk.pt")
    assert (first == second).all()
    assert np.abs(first - pooled_vectors(jets, SIZE, CONTROLS, KIN, seed=1)).max() > 0.01


def test_a_trunk_of_another_size_is_refused(jets, tmp_path):
    save_trunk(tmp_path / "trunk.pt", {}, DESCRIPTION | {"size": "d16-l1-h2"})
    with pytest.raises(TrainingError, match="d16-l1-h2"):
        pooled_vectors(jets, SIZE, CONTROLS, KIN, seed=1, trunk=tmp_path / "trunk.pt")
