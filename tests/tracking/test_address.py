import json
import shutil
import threading
from pathlib import Path

import pytest

from jetscale.store.home import Home
from jetscale.tracking.address import (
    database_of,
    has_results,
    hide_password,
    identify_home,
    is_server,
    tracking_uri,
)


def test_the_tracking_address_can_be_set(monkeypatch, tmp_path):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    own = f"sqlite:///{tmp_path}/mlflow.db"
    assert tracking_uri(Home(tmp_path)) == own
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    assert tracking_uri(Home(tmp_path)) == "http://127.0.0.1:5000"
    for empty in ("", "  "):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", empty)
        assert tracking_uri(Home(tmp_path)) == own


@pytest.mark.parametrize("name", ["my%20runs", "my runs", "a?b#c", "x+y", "100%"])
def test_any_folder_name_makes_an_address_that_leads_back(monkeypatch, tmp_path, name):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    uri = tracking_uri(Home(tmp_path / name))
    assert database_of(uri) == tmp_path / name / "mlflow.db"
    assert not has_results(uri)
    (tmp_path / name).mkdir()
    (tmp_path / name / "mlflow.db").touch()
    assert has_results(uri)


def test_servers_have_results_of_their_own():
    assert has_results("http://host:1")
    assert database_of("postgresql://u@h/db") is None
    assert [is_server(u) for u in ("http://h", "https://h", "postgresql://h", "sqlite:///x")] == [
        True,
        True,
        False,
        False,
    ]


def test_passwords_are_never_shown():
    text = "no answer: http://me:s3cret@host:5000/x and postgresql+psycopg2://u:p%40ss@db/m"
    shown = hide_password(text)
    assert "s3cret" not in shown
    assert "p%40ss" not in shown
    assert "http://me:***@host:5000/x" in shown
    assert hide_password("http://host:5000/a:b@c") == "http://host:5000/a:b@c"


def test_a_folder_knows_itself_and_a_copy_is_another(tmp_path):
    server = "http://127.0.0.1:5000"
    first = Home(tmp_path / "a")
    first.path.mkdir()
    name = identify_home(first, server)
    assert identify_home(first, server) == name
    copy = Home(tmp_path / "b")
    copy.path.mkdir()
    copy.identity.write_text(first.identity.read_text())
    assert identify_home(copy, server) != name
    assert identify_home(first, server) == name


def test_the_name_of_a_folder_holds_no_path(tmp_path):
    home = Home(tmp_path)
    identify_home(home, "http://127.0.0.1:5000")
    assert str(tmp_path) not in home.identity.read_text()
    assert set(json.loads(home.identity.read_text())) == {"id", "place"}


def test_the_database_of_a_folder_needs_no_name(monkeypatch, tmp_path):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    home = Home(tmp_path)
    assert identify_home(home, tracking_uri(home)) == "own"
    assert list(tmp_path.iterdir()) == []
    elsewhere = f"sqlite:///{Path('/tmp/elsewhere.db')}"
    assert identify_home(home, elsewhere) != "own"


@pytest.mark.parametrize("content", ["", "[]", "3", '{"place": 1}', "{", "[" * 100_000])
def test_a_damaged_name_is_drawn_again(tmp_path, content):
    home, server = Home(tmp_path), "http://127.0.0.1:5000"
    home.identity.write_text(content)
    name = identify_home(home, server)
    assert identify_home(home, server) == name
    kept = json.loads(home.identity.read_text())
    home.identity.write_text(json.dumps(kept | {"id": [1]}))
    assert len(identify_home(home, server)) == 32


def test_a_moved_folder_keeps_its_name_and_a_copy_in_its_place_does_not(tmp_path):
    home, server = Home(tmp_path / "a"), "http://127.0.0.1:5000"
    name = identify_home(home, server)
    shutil.copytree(home.path, tmp_path / "copy")
    home.path.rename(tmp_path / "b")
    (tmp_path / "copy").rename(home.path)
    assert identify_home(Home(tmp_path / "b"), server) == name
    assert identify_home(home, server) != name


@pytest.mark.parametrize("name", ["x' OR 1 = 1", "0" * 31, "G" * 32, "0" * 32 + "\n", 7])
def test_a_name_that_nobody_drew_is_drawn_again(tmp_path, name):
    home, server = Home(tmp_path), "http://127.0.0.1:5000"
    identify_home(home, server)
    home.identity.write_text(json.dumps(json.loads(home.identity.read_text()) | {"id": name}))
    drawn = identify_home(home, server)
    assert len(drawn) == 32
    assert drawn != name
    assert identify_home(home, server) == drawn


def test_many_that_begin_at_once_draw_one_name(tmp_path):
    home, gate, drawn = Home(tmp_path), threading.Barrier(8), []

    def begin():
        gate.wait()
        drawn.append(identify_home(home, "http://127.0.0.1:5000"))

    threads = [threading.Thread(target=begin) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(drawn), len(set(drawn))) == (8, 1)


def test_an_address_is_one_home_for_all_machines(monkeypatch, tmp_path):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    here, there = (Home(tmp_path / name, "s3://bucket/runs") for name in ("here", "there"))
    server = "http://127.0.0.1:5000"
    assert identify_home(here, server) == identify_home(there, server)
    other = Home(tmp_path / "here", "s3://bucket/other")
    assert identify_home(here, server) != identify_home(other, server)
    assert identify_home(here, tracking_uri(here)) == "own"
    assert tracking_uri(here) == f"sqlite:///{tmp_path}/here/mlflow.db"
    assert not here.identity.exists()
