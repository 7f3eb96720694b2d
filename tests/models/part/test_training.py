"""Batch norm keeps numbers that are no weights: they must survive as the weights do."""

from dataclasses import asdict

import pytest
import torch

from jetscale.errors import StudyError
from jetscale.models.build import build_model
from jetscale.store.checkpoints import Checkpoint
from jetscale.training.embed import pooled_vectors
from jetscale.training.loop import train_run

pytestmark = pytest.mark.slow


class StopError(Exception):
    pass


@pytest.fixture
def data(jets_of):
    return jets_of(43), jets_of(30, seed=1), jets_of(30, seed=2)


def plain(result):
    values = asdict(result)
    del values["timings"], values["jets_per_second"], values["peak_memory"]
    return values


def weights_in(file):
    return torch.load(file, weights_only=True)["trunk"]


@pytest.mark.long
@pytest.mark.parametrize("stop", [1, 7, 12])
@pytest.mark.parametrize("average", [0.0, 0.3])
def test_resumed_equals_uninterrupted_bit_for_bit(spec_of, data, tmp_path, stop, average):
    def interrupt(step, _):
        if step == stop:
            raise StopError

    spec = spec_of(architecture="part", average=average)
    files = [tmp_path / "whole.pt", tmp_path / "resumed.pt"]
    whole = train_run(spec, *data, save_trunk=files[0])
    checkpoint = Checkpoint(tmp_path / "checkpoint.pt")
    with pytest.raises(StopError):
        train_run(spec, *data, checkpoint=checkpoint, checkpoint_seconds=0, on_step=interrupt)
    resumed = train_run(
        spec, *data, checkpoint=checkpoint, checkpoint_seconds=1e9, save_trunk=files[1]
    )
    assert plain(resumed) == plain(whole)
    first, second = map(weights_in, files)
    assert {"embedding.0.running_mean", "pair_embedding.embed.0.running_var"} <= first.keys()
    assert int(first["embedding.0.num_batches_tracked"]) == whole.steps
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.long
def test_a_trunk_brings_its_running_statistics(spec_of, data, tmp_path):
    spec, file = spec_of(architecture="part"), tmp_path / "trunk.pt"
    train_run(spec, *data, save_trunk=file)
    shape = (data[2], spec.size, spec.recipe, spec.features)
    vectors = pooled_vectors(*shape, seed=1, trunk=file)
    kept = weights_in(file)
    kept["embedding.0.running_mean"] += 1
    model, _ = build_model(
        spec.recipe.model, spec.size, spec.features, 1, trunk_seed=3, head_seed=4
    )
    model.trunk.load_state_dict(kept)
    moved = tmp_path / "moved.pt"
    torch.save(torch.load(file, weights_only=True) | {"trunk": model.trunk.state_dict()}, moved)
    assert vectors.shape == (30, 8)
    assert abs(vectors - pooled_vectors(*shape, seed=1, trunk=moved)).max() > 0.01


@pytest.mark.long
def test_it_learns(spec_of, jets_of):
    result = train_run(
        spec_of(architecture="part", epochs=4), jets_of(200), test=jets_of(200, seed=2)
    )
    assert result.test["auc"] > 0.75


def test_complete_is_refused_in_one_line(spec_of, data):
    with pytest.raises(StudyError, match=r"'part': .*use 'standard'"):
        train_run(
            spec_of(architecture="part", parametrization="complete", width_exponent=0.0), *data
        )
