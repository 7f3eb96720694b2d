from pathlib import Path

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
