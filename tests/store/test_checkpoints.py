import hashlib
import io
import itertools
import pickle
from uuid import uuid4

import pytest
import torch

from jetscale.errors import StorageError, TrainingError
from jetscale.store.checkpoints import Checkpoint, load_trunk, save_trunk
from jetscale.store.remote import RemoteStorage
from jetscale.store.storage import LocalStorage

STATE = {"step": 3, "weights": torch.arange(50.0), "curve": [(1, 0.5)]}
KIND = {"size": "d8-l1-h1", "features": "kin"}


@pytest.fixture(params=["here", "there", "memory"])
def again(request, tmp_path):
    """A function that opens the checkpoint of a run anew; in a storage it is on another machine."""
    storage = None
    if request.param == "memory":
        storage = RemoteStorage(f"memory://{uuid4().hex}")
    if request.param == "there":
        storage = LocalStorage(tmp_path / "there")
    count = itertools.count()

    def open_again():
        machine = next(count) if storage else 0
        return Checkpoint(tmp_path / str(machine) / "checkpoints" / "run.pt", storage)

    return open_again


def step(number):
    return STATE | {"step": number}


def test_round_trip(again):
    assert again().load("a") is None
    again().save("a", STATE)
    state = again().load("a")
    assert state["step"] == 3
    assert state["curve"] == [(1, 0.5)]
    assert torch.equal(state["weights"], STATE["weights"])


def test_the_last_one_counts_and_two_are_kept(again):
    for number in range(1, 6):
        checkpoint = again()
        checkpoint.save("a", step(number))
        assert again().load("a")["step"] == number
    assert sum(path.is_file() for path in checkpoint.files) <= 2


def test_what_cannot_be_removed_is_told_in_one_line(tmp_path):
    checkpoint = Checkpoint(tmp_path / "a.pt")
    checkpoint.files[0].mkdir()
    with pytest.raises(StorageError, match=r"cannot write \S+a\.0\.pt: "):
        checkpoint.remove()


def test_both_are_removed_in_the_end(again):
    first = again()
    for number in (1, 2):
        first.save("a", step(number))
    first.remove()
    assert not any(file.exists() for file in first.files)
    assert again().load("a") is None
    first.remove()


def test_another_run_or_format_counts_as_absent(tmp_path, monkeypatch):
    checkpoint = Checkpoint(tmp_path / "run.pt")
    checkpoint.save("a", STATE)
    assert checkpoint.load("b") is None
    assert Checkpoint(tmp_path / "none.pt").load("a") is None
    monkeypatch.setattr("jetscale.store.checkpoints.FORMAT", 0)
    assert checkpoint.load("a") is None


def damages(content):
    """Ways in which a file may come back: cut anywhere, or with one bit of any part flipped."""
    yield from (content[:keep] for keep in (0, 1, 31, 32, 100, 500, len(content) - 1))
    for place in range(0, len(content), max(1, len(content) // 97)):
        flipped = bytearray(content)
        flipped[place] ^= 1
        yield bytes(flipped)


def test_a_torn_or_altered_one_gives_way_to_the_one_before(tmp_path):
    checkpoint = Checkpoint(tmp_path / "run.pt")
    for number in (1, 2, 3):
        checkpoint.save("a", step(number))
    contents = {file: file.read_bytes() for file in checkpoint.files}
    last = checkpoint.files[1]
    for damage in damages(contents[last]):
        last.write_bytes(damage)
        assert Checkpoint(tmp_path / "run.pt").load("a")["step"] == 2
    again = Checkpoint(tmp_path / "run.pt")
    again.save("a", step(3))  # over the damaged one
    assert checkpoint.files[0].read_bytes() == contents[checkpoint.files[0]]
    assert again.load("a")["step"] == 3
    for file in checkpoint.files:
        file.write_bytes(b"x")
    assert again.load("a") is None


def test_a_damaged_copy_gives_way_to_the_whole_one(tmp_path):
    storage = LocalStorage(tmp_path / "there")
    checkpoint = Checkpoint(tmp_path / "checkpoints" / "run.pt", storage)
    for number in (1, 2):
        checkpoint.save("a", step(number))
    here, there = checkpoint.files[0], tmp_path / "there" / "checkpoints" / "run.0.pt"
    assert here.read_bytes() == there.read_bytes()
    for file, other in ((here, there), (there, here)):
        file.write_bytes(b"torn")
        assert checkpoint.load("a")["step"] == 2
        file.write_bytes(other.read_bytes())


def test_other_files_count_as_absent(tmp_path):
    checkpoint = Checkpoint(tmp_path / "run.pt")
    for content in (b"hello", pickle.dumps({"identity": "a"}), bytes(1000)):
        for sealed in (content, hashlib.sha256(content).digest() + content):
            checkpoint.files[0].write_bytes(sealed)
            assert checkpoint.load("a") is None
    torch.save([1, 2], checkpoint.files[0])
    assert checkpoint.load("a") is None


def test_code_in_a_file_is_not_run(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (tmp_path.joinpath("exploded").touch, ())

    buffer = io.BytesIO()
    torch.save({"identity": "a", "format": 3, "number": 1, "state": Bomb()}, buffer)
    content = buffer.getvalue()
    checkpoint = Checkpoint(tmp_path / "run.pt")
    checkpoint.files[0].write_bytes(hashlib.sha256(content).digest() + content)
    assert checkpoint.load("a") is None
    assert not (tmp_path / "exploded").exists()


def test_a_failed_write_keeps_the_old_checkpoint(tmp_path, monkeypatch):
    checkpoint = Checkpoint(tmp_path / "run.pt")
    checkpoint.save("a", STATE)

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.write_bytes", full)
        with pytest.raises(StorageError, match="disk is full"):
            checkpoint.save("a", step(4))
    assert checkpoint.load("a")["step"] == 3


def test_the_digest_of_a_trunk_is_that_of_its_file(tmp_path):
    path = tmp_path / "trunk.pt"
    told = save_trunk(path, {"norm": torch.ones(8)}, KIND)
    assert told == hashlib.sha256(path.read_bytes()).hexdigest()
    assert told == save_trunk(tmp_path / "again.pt", {"norm": torch.ones(8)}, KIND)
    assert told != save_trunk(tmp_path / "other.pt", {"norm": torch.zeros(8)}, KIND)


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


def test_a_trunk_of_another_kind_is_refused_with_all_that_differs(tmp_path):
    save_trunk(tmp_path / "t.pt", {}, {"size": "d8", "features": "kin", "architecture": "a"})
    wanted = {"size": "d16", "features": "kin", "architecture": "b"}
    with pytest.raises(TrainingError) as told:
        load_trunk(tmp_path / "t.pt", wanted)
    words = "its size is 'd8', this run needs 'd16', its architecture is 'a', this run needs 'b'; "
    assert words + "pretrain a trunk of that kind" in str(told.value)
