import errno
import fcntl
import json
import math
import os
import shutil
import stat
from typing import Any

import pytest

from jetscale.errors import StorageError
from jetscale.store.local import (
    atomic_path,
    check_space,
    fits,
    locked,
    make_folder,
    read_json,
    write_json,
)


def test_a_finished_file_appears_under_its_name(tmp_path):
    with atomic_path(tmp_path / "new" / "a.txt") as temporary:
        temporary.write_text("all")
        assert not (tmp_path / "new" / "a.txt").exists()
    assert (tmp_path / "new" / "a.txt").read_text() == "all"
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["a.txt"]


def test_a_failure_leaves_the_old_file_and_no_rubbish(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")

    def fail():
        with atomic_path(target) as temporary:
            temporary.write_text("half")
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        fail()
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_a_folder_that_another_made_meanwhile_stays_for_its_readers(tmp_path):
    target = tmp_path / "shards"

    def write(content):
        with atomic_path(target) as temporary:
            temporary.mkdir()
            (temporary / content).write_text("")
            if content == "second":
                write("first")

    with pytest.raises(StorageError, match="shards: another process has just made it; run again"):
        write("second")
    assert [p.name for p in target.iterdir()] == ["first"]
    assert [p.name for p in tmp_path.iterdir()] == ["shards"]


def test_what_is_there_is_on_the_disk_with_its_name(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", lambda file: synced.append(os.fstat(file).st_ino))
    for target in (tmp_path / "records" / "a.json", tmp_path / "stream"):
        with atomic_path(target) as temporary:
            if target.name == "stream":
                temporary.mkdir()
                (temporary / "block").write_bytes(b"1")
            else:
                temporary.write_text("{}")
        wanted = {path.stat().st_ino for path in (*target.rglob("*"), target)}
        assert set(synced[:-1]) == wanted
        assert synced[-1] == target.parent.stat().st_ino, "its name comes last"
        synced.clear()


def test_a_file_system_that_syncs_no_folders_will_do(tmp_path, monkeypatch):
    sync = os.fsync

    def refuse(file):
        if stat.S_ISDIR(os.fstat(file).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        sync(file)

    monkeypatch.setattr(os, "fsync", refuse)
    write_json(tmp_path / "a.json", {"a": 1})
    assert read_json(tmp_path / "a.json") == {"a": 1}


def test_a_lock_whose_file_is_removed_by_who_had_it_keeps_others_out(tmp_path, monkeypatch):
    path, flock, removed = tmp_path / "run.lock", fcntl.flock, []

    def late(file, kind):
        if not removed:  # it was opened; who had it ends just now
            path.unlink()
            removed.append(path)
        flock(file, kind)

    monkeypatch.setattr(fcntl, "flock", late)
    with locked(path, wait=False), pytest.raises(BlockingIOError), locked(path, wait=False):
        pytest.fail("two have it")
    assert removed


def test_a_full_disk_is_one_line(tmp_path):
    def fill():
        with atomic_path(tmp_path / "a"):
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(StorageError, match=r"cannot write .*a: the disk is full; free some space"):
        fill()
    assert list(tmp_path.iterdir()) == []


def test_a_disk_without_room_is_told_from_one_with(tmp_path, monkeypatch):
    check_space(tmp_path)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=5000))
    with pytest.raises(StorageError, match="the disk is full"):
        check_space(tmp_path)


def test_a_file_in_the_way_of_a_folder_is_named(tmp_path):
    (tmp_path / "runs").write_text("")
    with pytest.raises(StorageError, match=r"cannot write .*runs.*: .*folder"):
        make_folder(tmp_path / "runs" / "study")
    with pytest.raises(StorageError, match="runs"):
        make_folder(tmp_path / "runs")


def test_json_refuses_what_other_programs_cannot_read(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "x.json", {"loss": float("nan")})
    assert not (tmp_path / "x.json").exists()
    write_json(tmp_path / "x.json", {"loss": None})
    assert json.loads((tmp_path / "x.json").read_text()) == {"loss": None}


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[1]", b"3", b"\xff", b'{"a": ' + b"[" * 100_000, b"9" * 5000]
)
def test_what_is_no_json_object_is_none(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    assert read_json(tmp_path / "a.json") is None
    assert read_json(content) is None


def test_no_file_is_no_json(tmp_path):
    assert read_json(tmp_path) is None
    assert read_json(tmp_path / ("x" * 300)) is None
    write_json(tmp_path / "a.json", {"a": [1, None]})
    assert read_json(tmp_path / "a.json") == {"a": [1, None]}


@pytest.mark.parametrize(
    ("value", "kind", "good"),
    [
        (1, int, True),
        (True, int, False),
        (1, float, True),
        (1.0, int, False),
        (math.nan, float, False),
        (2**63, float, False),
        (None, int | None, True),
        ("1", int | None, False),
        ({"a": [[1, 2.5]]}, dict[str, list[list[float]]], True),
        ({"a": [[1, "2"]]}, dict[str, list[list[float]]], False),
        (["a"], tuple[str, ...], True),
        ("a", tuple[str, ...], False),
        ({"a": {"b": [math.inf]}}, dict[str, Any], False),
        ({"a": {"b": [True, None, "x"]}}, dict[str, Any], True),
        ([], dict[str, int], False),
    ],
)
def test_types_of_values_from_json(value, kind, good):
    assert fits(value, kind) is good
