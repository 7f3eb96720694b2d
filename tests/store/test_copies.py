"""Folders between an address and the working copies of several machines."""

import pickle
import re
from contextlib import nullcontext
from dataclasses import replace
from uuid import uuid4

import pytest

from jetscale.errors import StorageError
from jetscale.store.copies import check_storage, fetch_folder, put_folder, storage_check
from jetscale.store.home import Home
from jetscale.store.remote import RemoteStorage

INDEX = "stream.json"


@pytest.fixture(params=["memory", "s3"])
def machine(request, tmp_path):
    """A function that gives a machine of its own: the same address, another working copy."""
    if request.param == "memory":
        address = f"memory://{uuid4().hex}/runs"
    else:
        address = f"s3://{request.getfixturevalue('make_bucket')()}/runs"
    return lambda name: Home(tmp_path / name, address)


def make(home, name="train-0123"):
    folder = home.streams / name
    folder.mkdir(parents=True)
    for file in ("block-00000.arrow", "block-00001.arrow", INDEX):
        (folder / file).write_bytes(file.encode() * 1000)
    return folder


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.long
def test_a_folder_comes_to_another_machine_as_it_is(machine):
    here, there = machine("here"), machine("there")
    folder, copy = make(here), there.streams / "train-0123"
    assert not fetch_folder(there, copy, INDEX)
    assert not copy.exists()
    put_folder(here, folder, INDEX)
    assert fetch_folder(there, copy, INDEX)
    assert content(copy) == content(folder)
    # what is there is not fetched again, nor put again
    (copy / "block-00000.arrow").write_bytes(b"mine")
    assert fetch_folder(there, copy, INDEX)
    put_folder(there, copy, INDEX)
    assert content(copy)["block-00000.arrow"] == b"mine"
    (copy / INDEX).unlink()  # half of it was deleted by somebody
    assert fetch_folder(there, copy, INDEX)
    assert content(copy) == content(folder)
    third = machine("third")
    assert fetch_folder(third, third.streams / "train-0123", INDEX)
    assert content(third.streams / "train-0123") == content(folder)


@pytest.mark.slow
def test_the_index_is_put_last_and_a_folder_without_it_is_none(machine, monkeypatch):
    here, there = machine("here"), machine("there")
    folder, put = make(here), RemoteStorage.put

    def dies(self, name, path):
        if name.endswith(INDEX):
            raise StorageError("cannot write: killed here")
        put(self, name, path)

    with monkeypatch.context() as patch:
        patch.setattr(RemoteStorage, "put", dies)
        with pytest.raises(StorageError):
            put_folder(here, folder, INDEX)
    assert len(here.storage.names("streams/train-0123")) == 2
    assert not fetch_folder(there, there.streams / "train-0123", INDEX)
    put_folder(here, folder, INDEX)
    assert fetch_folder(there, there.streams / "train-0123", INDEX)


@pytest.mark.slow
def test_a_copy_that_breaks_off_leaves_nothing(machine, monkeypatch):
    here, there = machine("here"), machine("there")
    put_folder(here, make(here), INDEX)
    copy, fetch = there.streams / "train-0123", RemoteStorage.fetch

    def dies(self, name, path):
        if name.endswith("1.arrow"):
            raise StorageError("cannot read: killed here")
        return fetch(self, name, path)

    with monkeypatch.context() as patch:
        patch.setattr(RemoteStorage, "fetch", dies)
        with pytest.raises(StorageError):
            fetch_folder(there, copy, INDEX)
    assert not copy.exists()
    with monkeypatch.context() as patch:
        patch.setattr(RemoteStorage, "fetch", lambda *_: False)
        with pytest.raises(StorageError, match="gone while it was fetched"):
            fetch_folder(there, copy, INDEX)
    assert fetch_folder(there, copy, INDEX)


def test_without_an_address_nothing_is_copied(tmp_path):
    home = Home(tmp_path / "runs")
    folder = make(home)
    put_folder(home, folder, INDEX)
    assert fetch_folder(home, folder, INDEX)
    assert not fetch_folder(home, home.streams / "other", INDEX)
    assert sorted(path.name for path in home.path.iterdir()) == ["streams"]


@pytest.mark.slow
def test_a_node_that_reaches_the_storage_passes_and_leaves_nothing(machine, tmp_path):
    for home in (machine("here"), Home(tmp_path / "runs")):
        with storage_check(home) as check:
            pickle.loads(pickle.dumps(check))()
            assert len(home.storage.names("check")) == 1
        assert home.storage.names("check") == []


def test_a_node_that_sees_another_storage_is_told(tmp_path):
    home, other = Home(tmp_path / "runs"), Home(tmp_path / "another disk")
    with storage_check(home) as check:
        name = check.args[1]
        told = f"cannot read {other.where}/{name}: it is not the same storage here"
        with pytest.raises(StorageError, match=re.escape(told)):
            check_storage(other, name)


@pytest.mark.parametrize("verb", ["write", "read", "delete"])
def test_a_node_that_may_not_do_one_thing_is_told(verb, tmp_path, monkeypatch):
    home = Home(tmp_path / "here", f"memory://{uuid4().hex}/runs")
    with storage_check(home) as check:
        calls = {"write": "pipe_file", "read": "cat_file", "delete": "rm_file"}

        def refuse(*_args, **_kwargs):
            raise PermissionError("Access Denied")

        with monkeypatch.context() as patch:
            patch.setattr(type(home.storage._files), calls[verb], refuse)
            with pytest.raises(StorageError, match="no permission; check the credentials of this"):
                check()


def test_a_store_that_forgets_is_told(tmp_path, monkeypatch):
    home = Home(tmp_path / "runs")
    with storage_check(home) as check:
        seen = check.args[1]
        read = type(home.storage).read
        monkeypatch.setattr(
            type(home.storage), "read", lambda self, name: read(self, name) if name == seen else b""
        )
        with pytest.raises(StorageError, match="what was written there does not last"):
            check()


def test_a_store_that_gives_a_lock_to_two_is_told(machine, monkeypatch, tmp_path):
    for home in (machine("here"), Home(tmp_path / "runs")):
        kind = type(home.storage)
        with storage_check(home) as check, monkeypatch.context() as patch:
            patch.setattr(kind, "lock", lambda self, name, *, wait=True: nullcontext())
            with pytest.raises(StorageError, match="gives one lock to two: two sweeps could train"):
                check()


def test_other_nodes_have_a_working_copy_of_their_own(tmp_path, monkeypatch, study):
    monkeypatch.setenv("JETSCALE_CACHE", str(tmp_path / "head"))
    home = Home.at("s3://bucket/name/")
    assert (home.address, home.path.parent) == ("s3://bucket/name", tmp_path / "head")
    sent = pickle.dumps((home, home.study(study)))
    monkeypatch.setenv("JETSCALE_CACHE", str(tmp_path / "node"))
    there, folder = pickle.loads(sent)
    assert there == replace(home, path=tmp_path / "node" / home.path.name)
    assert folder == there.study(study)
    assert folder.address == "s3://bucket/name/tiny"
    local = Home(tmp_path / "runs")
    assert pickle.loads(pickle.dumps((local, local.study(study)))) == (local, local.study(study))
