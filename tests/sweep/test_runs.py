import json
import shutil
from dataclasses import replace

import pandas as pd
import pytest
from fixtures.mirrored import encode_as_before

from jetscale.digests import digest
from jetscale.errors import StorageError, StudyError, SweepError
from jetscale.planning import plan_runs
from jetscale.planning.identity import follow, recipe_of
from jetscale.scaling import UNSEARCHED
from jetscale.store.home import Home
from jetscale.store.local import storage_error
from jetscale.store.records import RecordStore
from jetscale.study import RateLaw, Rates, Regret
from jetscale.study.rates import STARTS
from jetscale.sweep.follow import sync_study
from jetscale.sweep.runs import RunSource, attach, load_curves, load_runs
from jetscale.tracking.address import tracking_uri
from jetscale.tracking.mirror import KEY, Mirror

NOWHERE = "sqlite:////proc/nowhere/mlflow.db"


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return Home(tmp_path / "runs")


@pytest.fixture
def store(study, home, records):
    store = RecordStore(home.study(study))
    for record in records:
        store.write(record)
    return store


@pytest.mark.integration
def test_mlflow_and_the_records_give_the_same_table(study, store, home):
    uri = tracking_uri(home)
    sync_study(study, home, uri)
    tables = []
    for source in (None, RunSource.MLFLOW, RunSource.RECORDS):
        frame, warnings = load_runs(study, home, uri, source)
        assert warnings == [UNSEARCHED]
        tables.append(frame)
    assert list(tables[0]["mixture"].unique()) == ["scratch", "qcd"]
    assert len(tables[0]) == 8
    for other in tables[1:]:
        pd.testing.assert_frame_equal(tables[0], other, check_exact=True)


@pytest.mark.integration
def test_mlflow_alone_is_enough(study, store, home, tmp_path):
    uri = tracking_uri(home)
    sync_study(study, home, uri)
    expected, _ = load_runs(study, home, uri)
    shutil.rmtree(home.path / study.name)
    frame, warnings = load_runs(study, Home(tmp_path / "new"), uri, RunSource.MLFLOW)
    assert warnings == [UNSEARCHED]
    pd.testing.assert_frame_equal(frame, expected)
    with pytest.raises(StudyError, match="has no finished runs"):
        load_runs(study, Home(tmp_path / "new"), uri)


@pytest.mark.integration
def test_two_folders_on_one_store_have_tables_of_their_own(study, store, home, tmp_path, records):
    uri, others = tracking_uri(home), (Home(tmp_path / "theirs"), Home(tmp_path / "copy"))
    few = [record for record in records if record.seed == 1]
    for other in others:  # the second is a copy, whose runs MLflow shows as those of the first
        for record in few:
            RecordStore(other.study(study)).write(replace(record, host="there"))
    for each in (home, *others):
        sync_study(study, each, uri)
    for each, host, runs in ((home, "here", 8), *((other, "there", 4) for other in others)):
        tables = [load_runs(study, each, uri, source)[0] for source in (None, *RunSource)]
        assert tables[0]["host"].tolist() == [host] * runs
        for table in tables[1:]:
            pd.testing.assert_frame_equal(tables[0], table, check_exact=True)


@pytest.mark.integration
def test_runs_of_an_older_sweep_file_are_left_out(study, store, home):
    uri = tracking_uri(home)
    sync_study(study, home, uri)
    fewer = replace(study, seeds=(1,))
    assert len(load_runs(fewer, home, uri)[0]) == 4
    more = replace(study, seeds=(1, 2, 3))
    frame, warnings = load_runs(more, home, uri)
    assert len(frame) == 8
    assert warnings == ["4 of 12 runs are not done yet", UNSEARCHED]
    other = replace(study, recipe=study.recipe.change(epochs=5))
    with pytest.raises(StudyError, match=r"has no finished runs \(10 with other settings"):
        load_runs(other, home, uri)


@pytest.mark.parametrize("source", [None, *RunSource])
def test_asking_before_the_first_run_leaves_nothing(study, home, source):
    with pytest.raises(StudyError, match="has no finished runs"):
        load_runs(study, home, tracking_uri(home), source)
    assert not home.path.exists()


@pytest.mark.integration
def test_a_moved_folder_is_read_where_it_lies(study, store, home, tmp_path):
    assert attach(study, home, tracking_uri(home), {"report.html": "<p>one</p>"}) == ""
    before, _ = load_runs(study, home, tracking_uri(home), RunSource.MLFLOW)
    moved = Home(tmp_path / "elsewhere" / "my runs")
    moved.path.parent.mkdir()
    shutil.move(home.path, moved.path)
    after, warnings = load_runs(study, moved, tracking_uri(moved), RunSource.MLFLOW)
    assert warnings == [UNSEARCHED]
    pd.testing.assert_frame_equal(before, after)
    assert attach(study, moved, tracking_uri(moved), {"report.html": "<p>two</p>"}) == ""
    kept = list(moved.artifacts.rglob("report.html"))
    assert [path.read_text() for path in kept] == ["<p>two</p>"]
    assert not home.path.exists()


@pytest.mark.integration
def test_a_copied_folder_leaves_the_original_alone(study, store, home, tmp_path, records):
    attach(study, home, tracking_uri(home), {"report.html": "mine"})
    before = {p: p.read_bytes() for p in home.path.rglob("*") if p.is_file()}
    copy = Home(tmp_path / "copy")
    shutil.copytree(home.path, copy.path)
    RecordStore(copy.study(study)).write(replace(records[-1], loss=7.0))
    assert load_runs(study, copy, tracking_uri(copy))[0]["loss"].max() == 7.0
    attach(study, copy, tracking_uri(copy), {"report.html": "yours"})
    assert {p: p.read_bytes() for p in home.path.rglob("*") if p.is_file()} == before


@pytest.mark.integration
def test_a_folder_that_may_only_be_read_answers(study, store, home, monkeypatch):
    def refuse(path, **_kwargs):
        raise storage_error(path, PermissionError(13, "Permission denied"))

    sync_study(study, home, tracking_uri(home))
    monkeypatch.setattr("jetscale.store.storage.locked", refuse)
    for source in (None, *RunSource):
        frame, warnings = load_runs(study, home, tracking_uri(home), source)
        assert (len(frame), warnings) == (8, [UNSEARCHED])


def test_without_mlflow_the_records_answer(study, store, home):
    frame, warnings = load_runs(study, home, NOWHERE)
    assert len(frame) == 8
    assert "using the record files instead" in warnings[0]
    assert load_runs(study, home, NOWHERE, RunSource.RECORDS)[1] == [UNSEARCHED]
    with pytest.raises(SweepError, match="MLflow at sqlite:"):
        load_runs(study, home, NOWHERE, RunSource.MLFLOW)


def test_without_mlflow_a_report_is_a_warning(study, store, home):
    line = attach(study, home, NOWHERE, {"a": "b"})
    assert line.startswith("MLflow at sqlite:")
    assert line.endswith("the page is not in MLflow")


def test_training_curves_come_from_the_record_files(study, store, home, records):
    assert load_curves(study, home) == []  # those of the made-up records have two points
    good = [[4 * i, 2.0 - 0.1 * i] for i in range(1, 10)]
    ours = [record for record in records if record.kind == "finetune"]
    for record, curve in zip(ours, (good, good[:7], [*good[:-1], [36, 0.0]]), strict=False):
        store.write(replace(record, curve={"training_loss": curve}))
    store.refresh()
    (found,) = load_curves(study, home)
    assert (found.mixture, found.params, found.seed) == (
        ours[0].mixture,
        ours[0].params,
        ours[0].seed,
    )
    assert found.examples == ours[0].examples
    assert found.points == [tuple(point) for point in good]
    assert found.final == good[-1][1]


def test_without_record_files_there_are_no_curves(study, home):
    assert load_curves(study, home) is None


def test_runs_with_another_recipe_are_refused(study, store, home, records):
    other = records[-1].recipe | {"data": records[-1].recipe["data"] | {"version": 9}}
    store.write(replace(records[-1], recipe=other, recipe_digest=digest(other)))
    assert records[-1].key == plan_runs(study)[-1].key
    with pytest.raises(StudyError, match=r"data.version: .* against"):
        load_runs(study, home, NOWHERE)


def test_a_device_that_varies_is_a_warning(study, store, home, records):
    store.write(replace(records[-1], device="NVIDIA H200"))
    warnings = load_runs(study, home, NOWHERE, RunSource.RECORDS)[1]
    assert [line.split(":")[0] for line in warnings] == [
        "device varies between runs",
        "learning rates were not searched",
    ]


@pytest.mark.integration
def test_results_of_version_0_1_are_mirrored_and_read(former_study, former_home, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    uri = tracking_uri(former_home)
    sync_study(former_study, former_home, uri)
    pulled, _ = load_runs(former_study, former_home, uri, RunSource.MLFLOW)
    kept, _ = load_runs(former_study, former_home, uri, RunSource.RECORDS)
    assert len(pulled) == 8
    pd.testing.assert_frame_equal(pulled, kept, check_exact=True)


@pytest.mark.parametrize("source", [None, *RunSource])
@pytest.mark.integration
def test_a_damaged_record_is_named_and_the_others_are_read(study, store, home, records, source):
    sync_study(study, home, tracking_uri(home))
    path = store.folder.path / "records" / f"{records[-1].key}.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"examples": 77}))
    frame, warnings = load_runs(study, home, tracking_uri(home), source)
    assert len(frame) == 7
    assert warnings == [f"{path}: examples is 77, needs 40; remove the file", UNSEARCHED]


def test_where_all_records_are_damaged_one_is_named(study, store, home, records):
    for record in records:
        (store.folder.path / "records" / f"{record.key}.json").write_text("{}")
    with pytest.raises(StudyError, match=r"start it with `jetscale run`; .*\.json: schema None"):
        load_runs(study, home, NOWHERE)


@pytest.mark.integration
def test_mlflow_that_is_behind_is_not_taken_for_all_there_is(study, store, home, records):
    uri = tracking_uri(home)
    sync_study(study, home, uri)
    store.write(replace(records[-1], loss=9.0))
    behind = "does not show 1 of 10 records: add them with `jetscale sync`"
    with pytest.raises(SweepError, match=behind):
        load_runs(study, home, uri, RunSource.MLFLOW)
    frame, warnings = load_runs(study, home, uri)
    assert frame["loss"].max() == 9.0
    assert warnings[0].endswith(f"{behind}; using the record files instead")
    sync_study(study, home, uri)
    pulled, warnings = load_runs(study, home, uri, RunSource.MLFLOW)
    pd.testing.assert_frame_equal(pulled, frame)
    assert warnings == [UNSEARCHED]


@pytest.mark.integration
@pytest.mark.parametrize("source", [None, *RunSource])
def test_reading_writes_nothing(study, store, home, source, records):
    uri = tracking_uri(home)
    sync_study(study, home, uri)
    store.write(replace(records[-1], loss=9.0))  # what a writer would mirror
    before = {path: path.read_bytes() for path in home.path.rglob("*") if path.is_file()}
    if source is not RunSource.MLFLOW:
        load_runs(study, home, uri, source)
    else:
        with pytest.raises(SweepError, match="does not show 1 of 10"):
            load_runs(study, home, uri, source)
    load_curves(study, home)
    other = replace(study, name="never-run")
    with pytest.raises(StudyError, match="has no finished runs"):
        load_runs(other, home, uri, source)
    assert {path: path.read_bytes() for path in home.path.rglob("*") if path.is_file()} == before


@pytest.mark.integration
def test_a_study_that_mlflow_was_not_told_of_is_read_from_its_records(study, store, home):
    uri = tracking_uri(home)
    frame, warnings = load_runs(study, home, uri)
    assert (len(frame), warnings) == (8, [UNSEARCHED])
    with pytest.raises(SweepError, match="does not show 10 of 10"):
        load_runs(study, home, uri, RunSource.MLFLOW)
    assert not home.database.exists()


@pytest.mark.integration
def test_a_database_with_the_earlier_names_gives_the_table_of_the_records(
    study, store, home, monkeypatch
):
    uri = tracking_uri(home)
    monkeypatch.setattr("jetscale.tracking.mirror.encode", encode_as_before)
    sync_study(study, home, uri)
    pulled, kept = (load_runs(study, home, uri, source)[0] for source in RunSource)
    pd.testing.assert_frame_equal(pulled, kept, check_exact=True)


@pytest.mark.integration
def test_a_run_edited_in_mlflow_is_not_believed(study, store, home, records):
    uri = tracking_uri(home)
    sync_study(study, home, uri)
    client = Mirror(uri, study.name, home).client
    [experiment] = [e for e in client.search_experiments() if e.name == study.name]
    query = f"tags.`{KEY}` = '{records[-1].key}'"
    [run] = client.search_runs([experiment.experiment_id], filter_string=query)
    client.set_tag(run.info.run_id, "jetscale.timings", "{}")
    with pytest.raises(StorageError, match=r"MLflow run .*: timings is {}, needs "):
        load_runs(study, home, uri, RunSource.MLFLOW)


def test_runs_of_a_searched_study_carry_its_search_and_regrets(study, home):
    from fixtures.studies import make_record

    laws = {s: RateLaw(learning_rate=r) for s, r in zip(STARTS, (0.02, 0.01, 0.005), strict=True)}
    regret = Regret(mixture="qcd", width=8, examples=20, regret=0.03, error=0.01)
    rates = Rates(**laws, search="f3", arms=("scratch",), regrets=(regret,))
    tuned = replace(study, recipe=study.recipe.change(rates=rates))
    runs = plan_runs(tuned)
    store = RecordStore(home.study(tuned))
    store.prepare()
    for run in runs:
        recipe = follow(recipe_of(tuned), run.recipe)
        store.write(
            make_record(tuned, run, recipe=recipe, recipe_digest=digest(recipe), peak_rate=0.1)
        )
    frame, warnings = load_runs(tuned, home, NOWHERE, RunSource.RECORDS)
    assert warnings == []
    assert dict(zip(frame["mixture"], frame["search"], strict=True)) == {"scratch": "f3", "qcd": ""}
    known = frame[frame["mixture"] == "qcd"]
    assert known[["regret", "regret_error"]].drop_duplicates().to_numpy().tolist() == [[0.03, 0.01]]
    assert frame.loc[frame["mixture"] == "scratch", "regret"].isna().all()
    # every run was told the law of its own start; held fixed are those of all
    assert set(frame["recipe_digest"]) == {digest(recipe_of(tuned))}
