"""What every storage must do; another one joins by a line in STORAGES."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetscale.errors import StorageError
from jetscale.store.storage import LocalStorage, Storage


class MemoryStorage:
    """A storage in memory: what a class outside of the package has to offer."""

    def __init__(self, folder):
        self.files = {}

    def read(self, name):
        return self.files.get(name)

    def write(self, name, content):
        self.files[name] = bytes(content)

    def delete(self, name):
        self.files.pop(name, None)

    def names(self, folder):
        return sorted(name for name in self.files if name.rpartition("/")[0] == folder)


STORAGES = {"local": LocalStorage, "memory": MemoryStorage}


@pytest.fixture(params=STORAGES)
def storage(request, tmp_path) -> Storage:
    return STORAGES[request.param](tmp_path)


def test_a_file_comes_back_and_goes(storage):
    assert storage.read("records/a.json") is None
    storage.write("records/a.json", b"one")
    storage.write("records/a.json", b"two")
    assert storage.read("records/a.json") == b"two"
    storage.delete("records/a.json")
    storage.delete("records/a.json")
    assert storage.read("records/a.json") is None


def test_names_are_those_of_one_folder_in_order(storage):
    for name in ("records/b.json", "records/a.json", "failures/c.json"):
        storage.write(name, b"x")
    assert storage.names("records") == ["records/a.json", "records/b.json"]
    assert storage.names("running") == []


@given(st.binary(max_size=200))
def test_any_bytes_are_kept(tmp_path_factory, content):
    for kind in STORAGES.values():
        storage = kind(tmp_path_factory.mktemp("s"))
        storage.write("records/a", content)
        assert storage.read("records/a") == content


def test_half_written_files_are_not_listed(tmp_path):
    (tmp_path / "records" / ".a.json.x1").mkdir(parents=True)
    assert LocalStorage(tmp_path).names("records") == []


def test_refusals_of_the_system_are_one_line(tmp_path, monkeypatch):
    def refuse(*_args, **_kwargs):
        raise PermissionError(13, "Permission denied")

    storage = LocalStorage(tmp_path)
    monkeypatch.setattr("jetscale.store.storage.Path.iterdir", refuse)
    monkeypatch.setattr("jetscale.store.storage.Path.unlink", refuse)
    with pytest.raises(StorageError, match=r"cannot read .*records: Permission denied"):
        storage.names("records")
    with pytest.raises(StorageError, match="no permission to write there"):
        storage.delete("records/a.json")


def test_what_cannot_be_read_is_one_line(tmp_path):
    (tmp_path / "records").mkdir()
    (tmp_path / "records" / "a.json").mkdir()
    with pytest.raises(StorageError, match=r"cannot read .*a.json: Is a directory"):
        LocalStorage(tmp_path).read("records/a.json")
