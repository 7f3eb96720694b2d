"""MLflow absent, dying, read-only, malformed or hanging: the table is that of a calm sweep."""

import json
import shutil
import sqlite3
import threading
from dataclasses import replace

import pandas as pd
import pytest
from fixtures.faults import call, read_only, start
from fixtures.waiting import wait_until

from jetscale.planning import plan_runs
from jetscale.scaling import UNSEARCHED
from jetscale.store.home import Home
from jetscale.store.records import RecordStore
from jetscale.study.load import load_study
from jetscale.sweep import follow
from jetscale.sweep.follow import LiveMirror, following, sync_study
from jetscale.sweep.runs import attach, load_runs
from jetscale.tracking.mirror import HOME, KEY, Mirror

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    home = Home(tmp_path / "runs")
    home.path.mkdir()
    return home


@pytest.fixture
def undisturbed(study, records, tmp_path):
    """The run table of the records where nothing is wrong with MLflow."""
    home = Home(tmp_path / "undisturbed")
    keep(study, records, home)
    uri = f"sqlite:///{home.path / 'mlflow.db'}"
    sync_study(study, home, uri)
    frame, warnings = load_runs(study, home, uri)
    assert not [line for line in warnings if "MLflow" in line]
    return frame


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(follow, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(follow, "MIRROR_SECONDS", 0.1)


def keep(study, records, home):
    for record in records:
        RecordStore(home.study(study)).write(record)


def shown(uri, name, home):
    """Keys of the finished runs that MLflow shows, one for each run."""
    mirror = Mirror(uri, name, home)
    runs = mirror.client.search_runs([mirror.experiment], max_results=1000)
    assert {run.info.status for run in runs} <= {"FINISHED"}
    return sorted(run.data.tags[KEY] for run in runs if KEY in run.data.tags)


def check_table(study, home, uri, undisturbed, problem):
    """The table is the undisturbed one, and one short line says what is wrong."""
    frame, warnings = load_runs(study, home, uri)
    pd.testing.assert_frame_equal(frame, undisturbed, check_exact=True)
    lines = [line for line in warnings if "using the record files instead" in line]
    assert len(lines) == 1
    assert problem in lines[0]
    assert "\n" not in lines[0]
    assert len(lines[0]) < 500


def test_a_server_absent_from_the_start(study, planned, records, home, undisturbed, quick):
    uri = "http://127.0.0.1:9"
    live = LiveMirror(study, home, planned, uri)
    with following(live, planned, lambda *_: None):
        keep(study, records, home)
        wait_until(lambda: live.behind, "no sign of the missing server")
    assert live.behind.startswith(f"MLflow at {uri} does not answer; records are kept")
    check_table(study, home, uri, undisturbed, "does not answer")


@pytest.mark.long
def test_a_server_killed_in_the_middle_and_started_again(
    study, planned, records, home, undisturbed, quick, server
):
    live = LiveMirror(study, home, planned, server.uri)
    with following(live, planned, lambda *_: None):
        keep(study, records[:4], home)
        mirror = Mirror(server.uri, study.name, home)
        wait_until(lambda: len(mirror.pull(live.keys)) == 4, "no mirrored records")
        server.kill()
        keep(study, records[4:], home)
        wait_until(lambda: live.behind, "no sign of the missing server")
        server.up()
        wait_until(lambda: not live.behind, "no end of the trouble")
    live.push()
    assert shown(server.uri, study.name, home) == sorted(record.key for record in records)
    frame, warnings = load_runs(study, home, server.uri)
    pd.testing.assert_frame_equal(frame, undisturbed, check_exact=True)
    assert not [line for line in warnings if "MLflow" in line]


@pytest.mark.long
def test_a_server_gone_for_good_and_a_sync_later(small_sweep, server, tmp_path):
    path, homes = (
        small_sweep(epochs=20),
        [Home(tmp_path / name / "runs") for name in ("calm", "gone")],
    )
    for home in homes:
        home.path.mkdir(parents=True)
    assert call("run", path, home=homes[0].path)[0] == 0
    log, store = tmp_path / "log", RecordStore(homes[1].study(load_study(path)))
    driver = start("run", path, home=homes[1].path, log=log, MLFLOW_TRACKING_URI=server.uri)
    try:
        wait_until(lambda: store.keys() or driver.poll() is not None, "no records")
        server.kill()
        assert driver.wait() == 0
    finally:
        driver.kill()
        driver.wait()
    assert log.read_text().count("does not answer") == 1
    assert "View " not in log.read_text()

    tables = [load_runs(load_study(path), home, server.uri)[0] for home in homes]
    same = ["key", "mixture", "params", "examples", "seed", "loss", "validation_loss", "flops"]
    pd.testing.assert_frame_equal(*(table[same] for table in tables), check_exact=True)

    study = load_study(path)
    keys = sorted(run.key for run in plan_runs(study))
    code, said = call("sync", path, home=homes[1].path, MLFLOW_TRACKING_URI=server.uri)
    assert code == 2
    assert said.splitlines()[-1].startswith(f"jetscale: MLflow at {server.uri} does not answer")
    server.up()
    before = len(shown(server.uri, "small", homes[1]))
    told = [call("sync", path, "--json", "--tracking", server.uri, home=homes[1].path)]
    told += [call("sync", path, "--json", home=homes[1].path, MLFLOW_TRACKING_URI=server.uri)]
    assert [code for code, _ in told] == [0, 0]
    first, second = (json.loads(said) for _, said in told)
    assert (first["added"], second["added"]) == (len(keys) - before, 0)
    assert first["records"] == len(keys)
    assert shown(server.uri, "small", homes[1]) == keys


def test_two_syncs_at_once_add_nothing_twice(study, records, home, server):
    keep(study, records, home)
    study = replace(study, name="at-once")
    kept = [replace(record, study=study.name) for record in records]
    keep(study, kept, home)
    added, gate = [], threading.Barrier(3)

    def sync():
        gate.wait()
        added.append(sync_study(study, home, server.uri)[0])

    threads = [threading.Thread(target=sync) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(added) == len(records)
    assert shown(server.uri, study.name, home) == sorted(record.key for record in kept)


def test_a_folder_never_touches_the_runs_of_another(study, records, home, tmp_path, server):
    """Pushes of two people take turns; run ids, contents and order of theirs stay as they were."""
    study, other = replace(study, name="shared"), Home(tmp_path / "other")
    mine = [replace(record, study="shared", host="here") for record in records]
    theirs = [replace(record, study="shared", host="there") for record in records]
    client = Mirror(server.uri, "shared", home).client
    [experiment] = [e.experiment_id for e in client.search_experiments() if e.name == "shared"]

    def runs_of(folder):
        identity = Mirror(server.uri, "shared", folder).identity
        runs = client.search_runs([experiment], f"tags.`{HOME}` = '{identity}'", max_results=1000)
        return {run.info.run_id: run.to_dictionary() for run in runs}

    for half in (mine[:5], mine):
        keep(study, half, home)
        before = runs_of(other)
        sync_study(study, home, server.uri)
        assert runs_of(other) == before
        keep(study, theirs[: len(half)], other)
        before = runs_of(home)
        sync_study(study, other, server.uri)
        assert runs_of(home) == before
    # a run of theirs that is being written, and one that shows what nobody keeps any more
    tags = {KEY: mine[0].key, HOME: Mirror(server.uri, "shared", other).identity}
    client.create_run(experiment, tags=tags)
    shutil.rmtree(other.study(study).path / "records")
    before = runs_of(other)
    keep(study, [replace(mine[0], loss=3.0)], home)
    assert sync_study(study, home, server.uri)[0] == 1
    assert runs_of(other) == before
    assert len(runs_of(home)) == len(runs_of(other)) - 1 == len(records) + 1


def test_a_database_that_is_read_only(study, planned, records, home, undisturbed, tmp_path):
    place = tmp_path / "database"
    uri = f"sqlite:///{place / 'mlflow.db'}"
    Mirror(uri, study.name, home).parent("another", {})
    keep(study, records, home)
    with read_only(place):
        check_table(study, home, uri, undisturbed, "does not show 10 of 10 records")
    sync_study(study, home, uri)
    assert shown(uri, study.name, home) == sorted(record.key for record in records)


def test_a_results_folder_that_is_read_only(study, records, home, undisturbed):
    keep(study, records, home)
    uri = f"sqlite:///{home.database}"
    with read_only(home.path):
        frame, warnings = load_runs(study, home, uri)  # which writes nothing
        pd.testing.assert_frame_equal(frame, undisturbed, check_exact=True)
        assert warnings == [UNSEARCHED]
    assert sync_study(study, home, uri)[0] == len(records)


@pytest.mark.parametrize("content", ["garbage", "zeros", "cut", "foreign", "later"])
def test_a_database_that_is_malformed(study, records, home, undisturbed, tmp_path, content):
    keep(study, records, home)
    whole = (tmp_path / "undisturbed" / "mlflow.db").read_bytes()
    home.database.write_bytes(
        {
            "garbage": b"\x93NUMPY" * (len(whole) // 6),
            "zeros": whole[:4096] + bytes(len(whole) - 4096),
            "cut": whole[: len(whole) // 3],
            "foreign": b"",
            "later": whole,
        }[content]
    )
    statements = {  # something else's table of that name; a version of MLflow to come
        "foreign": "CREATE TABLE experiments (words TEXT)",
        "later": "UPDATE alembic_version SET version_num = 'ffffffffffff'",
    }
    if content in statements:
        with sqlite3.connect(home.database) as connection:
            connection.execute(statements[content])
        connection.close()
    check_table(study, home, f"sqlite:///{home.database}", undisturbed, "failed: ")
    home.database.unlink()
    # MLflow keeps a connection to every address: a process that starts anew has another one
    moved = Home(home.path.rename(tmp_path / "moved"))
    uri = f"sqlite:///{moved.database}"
    assert sync_study(study, moved, uri)[0] == len(records)
    assert shown(uri, study.name, moved) == sorted(record.key for record in records)


def test_a_server_that_hangs_costs_one_request(
    study, planned, records, home, undisturbed, quick, listener, monkeypatch
):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    hanging = listener()
    live = LiveMirror(study, home, planned, hanging.uri)
    with following(live, planned, lambda *_: None):
        keep(study, records, home)
        wait_until(lambda: live.behind, "no sign of the hanging server")
    live.push({"sweep_seconds": 1.0})
    assert live.behind.startswith(f"MLflow at {hanging.uri} does not answer; records are kept")
    check_table(study, home, hanging.uri, undisturbed, "does not answer")
    assert "does not answer" in attach(study, home, hanging.uri, {"report.html": "x"})
    assert len(hanging.connections) == 1


def test_training_goes_on_while_a_server_hangs(study, planned, records, home, quick, listener):
    hanging = listener()
    keep(study, records[:1], home)
    live = LiveMirror(study, home, planned, hanging.uri)
    with following(live, planned, lambda *_: None):
        wait_until(lambda: hanging.connections, "no push that hangs")
        keep(study, records[1:], home)  # the block goes on though nobody answered
        assert live.behind == ""
        hanging.drop()
        wait_until(lambda: live.behind, "no end of the push")
    assert len(live.store.keys()) == len(records)


_PAGE = b"<html>no such page</html>"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 25\r\n\r\n" + _PAGE,
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n[]",
        b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 25\r\n\r\n" + _PAGE,
        b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"",
    ],
    ids=["page", "object", "list", "error", "password", "ssh", "closed"],
)
def test_a_server_that_is_no_mlflow(study, records, home, undisturbed, listener, answer):
    keep(study, records, home)
    check_table(study, home, listener(answer).uri, undisturbed, "MLflow at http://127.0.0.1")
