"""Trials on real Ray Tune and Train, and failures as values."""

from operator import attrgetter
from types import SimpleNamespace

import pytest

from jetscale.compute import trials
from jetscale.compute.connect import count
from jetscale.errors import Failure, MissingExtra, StorageError, TrainingError


def fail(error):
    """The work of a trial whose job is the error it ends with."""
    raise error


@pytest.mark.integration
@pytest.mark.filterwarnings("ignore")
def test_what_fails_on_a_worker_is_a_value_and_is_not_tried_again(small_ray, tmp_path, capfd):
    errors = (StorageError("cannot write x: the disk is full"), MissingExtra("h5py", "formats"))
    jobs = {f"trial-{i}": error for i, error in enumerate(errors)}
    found = trials.train("small", jobs, fail, str(tmp_path), count({"CPU": 2.0}, local=True))
    assert sorted(found, key=attrgetter("kind")) == [
        Failure(kind="MissingExtra", reason=str(errors[1])),
        Failure(kind="StorageError", reason="cannot write x: the disk is full"),
    ]
    assert "Traceback" not in capfd.readouterr().err


@pytest.fixture
def trainer(monkeypatch):
    """A stand-in for TorchTrainer: what it was made with, and what its ``fit`` does."""
    found = SimpleNamespace(fit=lambda: SimpleNamespace(return_value={"trained": 3}), names=set())

    def make(function, *, train_loop_config, scaling_config, run_config):
        found.names.add(run_config.name)
        found.scaling, found.failures = scaling_config, run_config.failure_config
        return found

    monkeypatch.setattr("ray.train.torch.TorchTrainer", make)
    return found


def on_workers(tmp_path, resources=None):
    return trials.train_on_workers("job", fail, "trial-1", tmp_path, resources or {"CPU": 1.0})


def test_a_trial_has_one_worker_a_name_of_its_own_and_bounded_retries(trainer, tmp_path):
    assert on_workers(tmp_path) == {"trained": 3}
    assert (trainer.scaling.num_workers, trainer.scaling.use_gpu) == (1, False)
    assert (trainer.failures.max_failures, trainer.failures.controller_failure_limit) == (3, 3)
    on_workers(tmp_path, {"CPU": 1.0, "GPU": 1.0})
    assert trainer.scaling.use_gpu
    assert len(trainer.names) == 2  # a name that was used would silently resume


@pytest.mark.parametrize("who", ["worker", "controller"])
def test_what_ends_training_is_a_failure_by_its_own_kind(trainer, tmp_path, who):
    from ray.train import ControllerError, WorkerGroupError

    cause = TrainingError("run x diverged")
    error = WorkerGroupError("text", {0: cause}) if who == "worker" else ControllerError(cause)

    def fit():
        raise error

    trainer.fit = fit
    expected = {"kind": "TrainingError", "reason": "run x diverged"}
    assert on_workers(tmp_path) == {"failure": expected}
