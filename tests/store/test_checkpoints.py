import pickle

import pytest
import torch

from jetscale.errors import StorageError, TrainingError
from jetscale.store.checkpoints import load_checkpoint, load_trunk, save_checkpoint, save_trunk

STATE = {"step": 3, "weights": torch.arange(50.0), "curve": [(1, 0.5)]}
KIND = {"size": "d8-l1-h1", "features": "kin"}


def test_round_trip(tmp_path):
    path = tmp_path / "deep" / "run.pt"
    save_checkpoint(path, "a", STATE)
    state = load_checkpoint(path, "a")
    assert state["step"] == 3
    assert state["curve"] == [(1, 0.5)]
    assert torch.equal(state["weights"], STATE["weights"])
    assert [p.name for p in path.parent.iterdir()] == ["run.pt"]


def test_another_run_or_format_counts_as_absent(tmp_path, monkeypatch):
    save_checkpoint(tmp_path / "run.pt", "a", STATE)
    assert load_checkpoint(tmp_path / "run.pt", "b") is None
    assert load_checkpoint(tmp_path / "none.pt", "a") is None
    monkeypatch.setattr("jetscale.store.checkpoints.FORMAT", 0)
    assert load_checkpoint(tmp_path / "run.pt", "a") is None


@pytest.mark.parametrize("keep", [0, 1, 10, 100, 500, -1])
def test_a_truncated_file_counts_as_absent(tmp_path, keep):
    path = tmp_path / "run.pt"
    save_checkpoint(path, "a", STATE)
    path.write_bytes(path.read_bytes()[:keep])
    assert load_checkpoint(path, "a") is None


def test_other_files_count_as_absent(tmp_path):
    path = tmp_path / "run.pt"
    for content in (b"hello", pickle.dumps({"identity": "a"}), bytes(1000)):
        path.write_bytes(content)
        assert load_checkpoint(path, "a") is None
    torch.save([1, 2], path)
    assert load_checkpoint(path, "a") is None


def test_code_in_a_file_is_not_run(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (tmp_path.joinpath("exploded").touch, ())

    torch.save({"identity": "a", "state": Bomb()}, tmp_path / "run.pt")
    assert load_checkpoint(tmp_path / "run.pt", "a") is None
    assert not (tmp_path / "exploded").exists()


def test_a_failed_write_keeps_the_old_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "run.pt"
    save_checkpoint(path, "a", STATE)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(StorageError, match="disk is full"):
        save_checkpoint(path, "a", {"step": 4})
    assert load_checkpoint(path, "a")["step"] == 3


def test_trunk_must_fit(tmp_path):
    path = tmp_path / "trunk.pt"
    save_trunk(path, {"norm": torch.ones(8)}, KIND)
    assert torch.equal(load_trunk(path, KIND)["norm"], torch.ones(8))
    with pytest.raises(TrainingError, match=r"trunk.pt: its features is 'kin'.*'full'"):
        load_trunk(path, KIND | {"features": "full"})
    load_trunk(path, KIND | {"parametrization": "standard"})  # written before there was another
    with pytest.raises(TrainingError, match="its parametrization is 'standard'"):
        load_trunk(path, KIND | {"parametrization": "complete"})
    with pytest.raises(TrainingError, match="missing or damaged"):
        load_trunk(tmp_path / "none.pt", KIND)
