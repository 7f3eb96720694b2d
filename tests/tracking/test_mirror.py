import shutil
import sqlite3
import threading
import time
from dataclasses import replace

import pandas as pd
import pytest
from fixtures.mirrored import encode_as_before
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from jetscale.errors import SweepError
from jetscale.store.home import Home
from jetscale.store.record import make_table
from jetscale.tracking.mirror import HOME, KEY, Mirror
from jetscale.tracking.names import name_run
from jetscale.tracking.view import VIEW_TAG

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'mlflow.db'}"


@pytest.fixture
def mirror(database, request, tmp_path):
    return Mirror(database, request.node.name, Home(tmp_path))


@pytest.fixture
def neighbour(mirror, tmp_path):
    """Another results folder that mirrors the same study to the same place."""
    other = Home(tmp_path / "other")
    other.path.mkdir()
    return Mirror(mirror.uri, mirror.study, other)


def runs_of(mirror):
    return mirror.client.search_runs([mirror.experiment], max_results=1000)


def keys(records):
    return {record.key for record in records}


def test_every_run_becomes_one_nested_run(mirror, records):
    parent = mirror.parent("identity", {"mixtures": ["scratch", "qcd"]})
    assert mirror.sync(records, parent) == len(records)
    children = [run for run in runs_of(mirror) if run.info.run_id != parent]
    assert {run.data.tags[KEY] for run in children} == keys(records)
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent}
    assert {run.info.run_name for run in children} == {name_run(r) for r in records}
    assert {run.info.status for run in runs_of(mirror)} == {"FINISHED"}


def test_two_that_set_the_view_at_once_share_it(mirror, tmp_path, monkeypatch):
    """MLflow inserts the tag twice, and its database refuses the second."""
    mirror.client.delete_experiment_tag(mirror.experiment, VIEW_TAG)
    put, others = MlflowClient.set_experiment_tag, [True]

    def second(client, *tag):
        if others:
            put(client, *tag)
        raise MlflowException("(sqlite3.IntegrityError) UNIQUE constraint failed")

    monkeypatch.setattr(MlflowClient, "set_experiment_tag", second)
    assert Mirror(mirror.uri, mirror.study, Home(tmp_path)).experiment == mirror.experiment
    others.clear()
    mirror.client.delete_experiment_tag(mirror.experiment, VIEW_TAG)
    with pytest.raises(SweepError, match="UNIQUE constraint failed"):
        Mirror(mirror.uri, mirror.study, Home(tmp_path))


def test_two_that_make_the_experiment_at_once_share_it(mirror, tmp_path, monkeypatch):
    look, looks = MlflowClient.get_experiment_by_name, []

    def slow(client, name):  # the other one makes it between the look and the making
        looks.append(name)
        return None if len(looks) == 1 else look(client, name)

    monkeypatch.setattr(MlflowClient, "get_experiment_by_name", slow)
    assert Mirror(mirror.uri, mirror.study, Home(tmp_path)).experiment == mirror.experiment
    assert len(looks) == 2


def test_the_records_come_back_whole(mirror, records):
    mirror.sync(records, mirror.parent("identity", {}))
    pulled = mirror.pull(keys(records), curves=True)
    assert sorted(pulled, key=lambda r: r.key) == sorted(records, key=lambda r: r.key)


def test_both_tables_are_the_same_column_by_column(mirror, records):
    mirror.sync(records, mirror.parent("identity", {}))
    pulled, kept = make_table(mirror.pull(keys(records))), make_table(records)
    pd.testing.assert_frame_equal(pulled, kept, check_exact=True)


def test_only_the_keys_asked_for_are_pulled(mirror, records):
    mirror.sync(records, mirror.parent("identity", {}))
    assert keys(mirror.pull(keys(records[:3]))) == keys(records[:3])
    assert mirror.pull(set()) == []


def test_mirroring_again_adds_nothing(mirror, records):
    parent = mirror.parent("identity", {})
    assert mirror.sync(records[:2], parent) == 2
    assert mirror.sync(records, parent) == len(records) - 2
    assert mirror.sync(records, parent) == 0
    assert mirror.parent("identity", {}) == parent
    assert len(runs_of(mirror)) == len(records) + 1


def queries(mirror, monkeypatch):
    """What MLflow is asked from now on."""
    asked, search = [], mirror.client.search_runs

    def listen(*arguments, **options):
        asked.append(options.get("filter_string"))
        return search(*arguments, **options)

    monkeypatch.setattr(mirror.client, "search_runs", listen)
    return asked


def test_what_was_seen_is_not_looked_up_again_and_one_new_run_is_found_by_its_key(
    mirror, records, monkeypatch
):
    monkeypatch.setattr("jetscale.tracking.mirror._LOOK_UP", 1)
    parent = mirror.parent("identity", {})
    new, *old = records
    mirror.sync(old, parent)
    asked = queries(mirror, monkeypatch)
    assert mirror.sync(old, parent) == 0
    assert asked == []
    half = mirror.client.create_run(
        mirror.experiment, tags={KEY: new.key, HOME: mirror.identity}
    ).info.run_id
    assert mirror.sync(records, parent) == 1
    assert asked == [f"tags.`{KEY}` = '{new.key}'"]
    assert mirror.client.get_run(half).info.lifecycle_stage == "deleted"
    assert keys(mirror.pull(keys(records))) == keys(records)
    assert len(runs_of(mirror)) == len(records) + 1


def test_records_that_were_read_again_are_all_looked_up(mirror, records):
    parent = mirror.parent("identity", {})
    mirror.sync(records, parent)
    gone = next(run for run in runs_of(mirror) if run.info.run_id != parent)
    mirror.client.delete_run(gone.info.run_id)
    assert mirror.sync(records, parent) == 0
    assert mirror.sync([replace(record) for record in records], parent) == 1
    assert keys(mirror.pull(keys(records))) == keys(records)


def test_numbers_of_the_sweep_are_shown_on_the_parent(mirror):
    parent = mirror.parent("identity", {"mixtures": ["scratch"]})
    for seconds in (90.0, 12.0):  # a later sweep may be the shorter one
        time.sleep(0.002)
        mirror.set_metrics(parent, {"sweep_seconds": seconds})
    run = mirror.client.get_run(parent)
    assert (run.info.status, run.data.metrics["sweep_seconds"]) == ("FINISHED", 12.0)
    assert run.info.run_name.startswith("study ")


def test_a_parent_after_a_changed_recipe_says_what_changed(mirror):
    told = [{"recipe.optimiser.clip": clip, "recipe.schedule.epochs": 3} for clip in (1.0, 0.5)]
    first, second = (mirror.parent(f"recipe {i}", settings) for i, settings in enumerate(told))
    search = mirror.parent("a search", told[1] | {"search.digest": "ab"}, f"tune {mirror.study}")
    names = {run.info.run_id: run.info.run_name for run in runs_of(mirror)}
    assert names[first] == f"study {mirror.study}"
    assert names[second] == "study 2 clip=0.5"
    assert names[search] == f"tune {mirror.study}"
    assert mirror.parent("recipe 0", told[0]) == first


def test_runs_mirrored_with_the_earlier_names_give_the_same_table(mirror, records, monkeypatch):
    monkeypatch.setattr("jetscale.tracking.mirror.encode", encode_as_before)
    mirror.sync(records[: len(records) // 2], mirror.parent("identity", {}))
    monkeypatch.undo()
    assert mirror.sync(records, mirror.parent("identity", {})) == (len(records) + 1) // 2
    pulled = mirror.pull(keys(records), curves=True)
    assert sorted(pulled, key=lambda r: r.key) == sorted(records, key=lambda r: r.key)
    pd.testing.assert_frame_equal(make_table(pulled), make_table(records), check_exact=True)


def test_who_only_reads_makes_nothing(mirror, records, tmp_path):
    reader = Mirror(f"sqlite:///{tmp_path / 'new.db'}", "study", Home(tmp_path / "new"), make=False)
    assert reader.pull(keys(records)) == []
    assert not (tmp_path / "new").exists()
    assert not (tmp_path / "new.db").exists()
    other = Mirror(mirror.uri, "never run", Home(tmp_path), make=False)
    assert other.pull(keys(records)) == []
    assert mirror.client.get_experiment_by_name("never run") is None


def test_a_run_of_ours_cut_half_way_is_replaced(mirror, records):
    parent = mirror.parent("identity", {})
    tags = {KEY: records[0].key, HOME: mirror.identity}
    mirror.client.create_run(mirror.experiment, tags=tags)
    assert mirror.sync(records, parent) == len(records)
    assert len(runs_of(mirror)) == len(records) + 1


def test_a_run_of_ours_that_shows_an_older_record_is_replaced(mirror, records):
    parent = mirror.parent("identity", {})
    mirror.sync(records, parent)
    changed = [replace(records[-1], loss=9.0), *records[:-1]]
    assert mirror.sync(changed, parent) == 1
    assert max(record.loss or 0 for record in mirror.pull(keys(records))) == 9.0
    assert len(runs_of(mirror)) == len(records) + 1


def test_two_folders_never_touch_each_other_s_runs(mirror, neighbour, records):
    theirs = [replace(record, host="there", finished=2000.0) for record in records]
    parents = mirror.parent("identity", {}), neighbour.parent("identity", {})
    assert len(set(parents)) == 2
    for _ in range(2):
        mirror.sync(records, parents[0])
        neighbour.sync(theirs, parents[1])
    assert len(runs_of(mirror)) == 2 * (len(records) + 1)
    assert {record.host for record in mirror.pull(keys(records))} == {"here"}
    assert {record.host for record in neighbour.pull(keys(records))} == {"there"}


def test_a_run_that_the_neighbour_is_writing_is_left_alone(mirror, neighbour, records):
    tags = {KEY: records[0].key, HOME: neighbour.identity}
    begun = neighbour.client.create_run(neighbour.experiment, tags=tags)
    mirror.sync(records, mirror.parent("identity", {}))
    assert mirror.client.get_run(begun.info.run_id).info.lifecycle_stage == "active"


def test_a_copy_of_a_folder_finds_its_runs_there(mirror, neighbour, records):
    mirror.sync(records, mirror.parent("identity", {}))
    assert neighbour.sync(records, neighbour.parent("identity", {})) == 0
    assert keys(neighbour.pull(keys(records))) == keys(records)


def test_folders_that_write_at_once_end_with_both_tables(mirror, neighbour, records):
    theirs = [replace(record, host="there") for record in records]
    jobs = [(mirror, records), (neighbour, theirs)]
    threads = [
        threading.Thread(target=lambda m=m, r=r: m.sync(r, m.parent("identity", {})))
        for m, r in jobs
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for each, kept in jobs:
        pd.testing.assert_frame_equal(make_table(each.pull(keys(kept))), make_table(kept))


def test_texts_are_artifacts_in_the_folder_of_the_ui(mirror, tmp_path):
    parent = mirror.parent("identity", {})
    mirror.attach(parent, {"report.html": "<p>one</p>", "figures/a.json": "{}"})
    with pytest.raises(SweepError, match="surrogates"):
        mirror.attach(parent, {"report.html": "half\ud800"})
    location = mirror.client.get_run(parent).info.artifact_uri
    folder = tmp_path / "artifacts" / location.removeprefix("mlflow-artifacts:/")
    assert (folder / "report.html").read_text() == "<p>one</p>", "whole, or as before"
    mirror.attach(parent, {"report.html": "<p>two</p>"}, "1. What?\n   a  b")
    note = mirror.client.get_run(parent).data.tags["mlflow.note.content"]
    page = f"#/experiments/{mirror.experiment}/runs/{parent}/artifacts/report.html"
    link, text = note.split("\n\n", 1)
    assert link == f"In full: [report.html]({page}?workflowType=machine_learning)"
    assert text == "```text\n1. What?\n   a  b\n```"
    assert (folder / "report.html").read_text() == "<p>two</p>"
    assert (folder / "figures" / "a.json").read_text() == "{}"


def test_the_database_holds_no_absolute_path(records, tmp_path):
    database = tmp_path / "mlflow.db"
    mirror = Mirror(f"sqlite:///{database}", "study", Home(tmp_path))
    mirror.sync(records, mirror.parent("identity", {}))
    mirror.attach(mirror.parent("identity", {}), {"report.html": "x"})
    with sqlite3.connect(database) as connection:
        dump = "\n".join(connection.iterdump())
    connection.close()
    assert records[0].key in dump
    assert str(tmp_path) not in dump


def test_mirrors_that_meet_no_database_make_one(records, tmp_path):
    uri, found = f"sqlite:///{tmp_path / 'mlflow.db'}", []

    def mirror(study):
        made = Mirror(uri, study, Home(tmp_path))
        made.sync(records, made.parent("identity", {}))
        found.append(made)

    threads = [threading.Thread(target=mirror, args=(f"study{i}",)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    again = [Mirror(uri, each.study, Home(tmp_path)) for each in found]
    assert [len(each.pull(keys(records))) for each in again] == [len(records)] * 3


def test_an_experiment_of_version_0_1_is_set_aside(records, tmp_path):
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    client = Mirror(uri, "another", Home(tmp_path)).client
    old = client.create_experiment("study", artifact_location=(tmp_path / "x").as_uri())
    client.create_run(old, tags={KEY: records[0].key})
    reader = Mirror(uri, "study", Home(tmp_path), make=False)
    assert reader.pull(keys(records)) == []
    mirror = Mirror(uri, "study", Home(tmp_path))
    assert mirror.experiment != old
    assert client.get_experiment(old).name == f"study (version 0.1, {old})"
    assert len(client.search_runs([old])) == 1
    assert Mirror(uri, "study", Home(tmp_path)).experiment == mirror.experiment


def test_a_folder_with_an_odd_name_works(records, tmp_path, monkeypatch):
    from jetscale.tracking.address import tracking_uri

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    home = Home(tmp_path / "my%20 runs #1" / "home")
    home.path.mkdir(parents=True)
    mirror = Mirror(tracking_uri(home), "study", home)
    mirror.sync(records, mirror.parent("identity", {}))
    assert home.database.is_file()
    assert keys(mirror.pull(keys(records))) == keys(records)
    assert list(tmp_path.iterdir()) == [home.path.parent]


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("sqlite:////proc/nowhere/mlflow.db", "MLflow at sqlite:.* failed: "),
        (
            "http://me:secret@127.0.0.1:9",
            r"MLflow at http://me:\*\*\*@127.0.0.1:9 does not answer$",
        ),
        ("postgresql+nodriver://me:secret@127.0.0.1/x", r"postgresql\+nodriver://me:\*\*\*@"),
    ],
)
def test_mlflow_that_does_not_answer_is_one_line_without_passwords(tmp_path, uri, message):
    with pytest.raises(SweepError, match=message) as caught:
        Mirror(uri, "s", Home(tmp_path))
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("name", ["acc@1%", "..", "", "/", "a//b", ".", "x" * 300, "ä", "a\nb"])
def test_a_score_may_have_any_name(mirror, records, name):
    odd = replace(records[-1], scores={name: 0.5, "deep": {name: 1, "fine": 0.25}})
    mirror.sync([odd, *records[:-1]], mirror.parent("identity", {}))
    found = {record.key: record for record in mirror.pull(keys(records), curves=True)}
    assert found[odd.key] == odd
    assert len(found) == len(records)
    [run] = [run for run in runs_of(mirror) if run.data.tags.get(KEY) == odd.key]
    assert run.data.metrics["scores/deep/fine"] == 0.25


def test_a_record_that_mlflow_refuses_stops_no_other(mirror, records):
    from mlflow.exceptions import MlflowException

    log, parent = mirror.client.log_batch, mirror.parent("identity", {})

    def refuse(run, metrics, params):
        if any(param.value == records[0].key for param in params):
            raise MlflowException.invalid_parameter_value("no such thing")
        log(run, metrics=metrics, params=params)

    mirror.client.log_batch = refuse
    for _ in range(2):
        with pytest.raises(
            SweepError, match=rf"1 records, the first: {records[0].key} \(.*no such"
        ):
            mirror.sync(records, parent)
        assert {run.info.status for run in runs_of(mirror)} == {"FINISHED"}
        assert keys(mirror.pull(keys(records))) == keys(records[1:])
    mirror.client.log_batch = log
    assert mirror.sync(records, parent) == 1


def test_a_copy_at_the_same_place_leaves_the_runs_of_the_first(database, records, tmp_path):
    first = Home(tmp_path / "runs")
    mine = Mirror(database, "same place", first)
    mine.sync(records, mine.parent("identity", {}))
    shutil.copytree(first.path, tmp_path / "copy")
    first.path.rename(tmp_path / "moved")
    (tmp_path / "copy").rename(first.path)
    copy = Mirror(database, "same place", first)
    theirs = [replace(record, host="there") for record in records]
    copy.sync(theirs, copy.parent("identity", {}))
    moved = Mirror(database, "same place", Home(tmp_path / "moved"))
    assert moved.identity == mine.identity != copy.identity
    assert {record.host for record in moved.pull(keys(records))} == {"here"}
    assert {record.host for record in copy.pull(keys(records))} == {"there"}


@pytest.mark.parametrize("uri", ["sqlite://", "sqlite:///", "sqlite:///:memory:"])
def test_a_database_in_memory_is_refused(tmp_path, monkeypatch, uri):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SweepError, match="a database in memory keeps nothing; name a file"):
        Mirror(uri, "s", Home(tmp_path))
    assert list(tmp_path.iterdir()) == []
