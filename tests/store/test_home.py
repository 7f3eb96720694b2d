from pathlib import Path
from uuid import uuid4

import pytest

from jetscale.errors import StorageError
from jetscale.store.home import Home, StudyFolder


def test_every_name_lies_in_the_results_folder(study):
    home = Home(Path("runs"))
    for path in (home.shards, home.streams, home.database, home.artifacts, home.identity):
        assert path.parent == Path("runs")
    assert home.study(study) == StudyFolder(Path("runs/tiny"))


def test_every_name_of_a_study_is_its_own(study):
    folder = Home(Path("runs")).study(study)
    names = [
        folder.measures,
        folder.map,
        folder.driver_lock,
        folder.mirror_lock,
        folder.ray,
        folder.checkpoint("k"),
        folder.trunk("k"),
    ]
    assert len(set(names)) == len(names)
    assert all(path.is_relative_to(folder.path) for path in names)


@pytest.mark.parametrize(
    ("given", "wanted"), [("~", ""), ("~/x", "x"), (" ", None), ("", None), (None, None)]
)
def test_a_home_may_be_given_as_in_a_shell(monkeypatch, tmp_path, given, wanted):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("JETSCALE_HOME", raising=False)
    expected = Path("runs") if wanted is None else tmp_path / wanted
    assert Home.at(given).path == expected
    if given is not None:
        monkeypatch.setenv("JETSCALE_HOME", given)
    assert Home.at().path == expected
    assert Home.at(" ").path == expected


def test_the_home_of_nobody_is_one_line():
    with pytest.raises(StorageError, match="results folder ~no-such-user/x: no such user"):
        Home.at("~no-such-user/x")


def test_a_home_may_be_an_address(monkeypatch, tmp_path, study):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("JETSCALE_CACHE", raising=False)
    monkeypatch.setenv("JETSCALE_HOME", " s3://bucket/name/ ")
    home, folder = Home.at(), Home.at().study(study)
    assert (home.where, home.address) == ("s3://bucket/name", "s3://bucket/name")
    assert home.path.parent == tmp_path / ".cache" / "jetscale"
    assert (folder.where, folder.path) == ("s3://bucket/name/tiny", home.path / "tiny")
    assert folder.shown(folder.trunk("k")) == "s3://bucket/name/tiny/trunks/k.pt"
    assert Home.at("s3://bucket/other").path != home.path
    monkeypatch.setenv("JETSCALE_CACHE", str(tmp_path / "fast disk"))
    assert Home.at().path == tmp_path / "fast disk" / home.path.name


def test_a_file_address_is_a_folder(study):
    home = Home.at("file:///data/runs")
    assert (home.path, home.address, home.where) == (Path("/data/runs"), "", "/data/runs")
    assert home.study(study).shown(home.path / "tiny" / "x") == "/data/runs/tiny/x"


def test_files_go_to_the_address_and_come_from_there(tmp_path):
    address = f"memory://{uuid4().hex}/runs"
    here, there = (Home(tmp_path / name, address) for name in ("here", "there"))
    here.path.mkdir()
    here.database.write_bytes(b"x")
    assert not there.fetch(there.database)
    assert here.put(here.database) == f"{address}/mlflow.db"
    assert there.fetch(there.database)
    assert there.database.read_bytes() == b"x"
    local = Home(tmp_path / "here")
    assert local.put(local.database) == str(local.database)
    assert not local.fetch(local.database)
