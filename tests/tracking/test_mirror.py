from dataclasses import replace
from pathlib import Path

import pytest

from jetscale.errors import SweepError
from jetscale.store.records import run_table
from jetscale.tracking.mirror import Mirror, default_uri, run_name

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
    return Mirror(database, request.node.name, tmp_path / "artifacts")


def runs_of(mirror):
    return mirror.client.search_runs([mirror.experiment], max_results=1000)


def test_every_run_becomes_one_nested_run(mirror, records):
    parent = mirror.parent("identity", {"mixtures": ["scratch", "qcd"]})
    assert mirror.sync(records, parent) == len(records)
    children = [run for run in runs_of(mirror) if run.info.run_id != parent]
    assert {run.data.tags["jetscale.key"] for run in children} == {r.key for r in records}
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent}
    assert {run.info.run_name for run in children} == {run_name(r) for r in records}
    run, record = children[0], None
    record = next(r for r in records if r.key == run.data.tags["jetscale.key"])
    assert run.data.metrics["loss"] == record.loss
    assert run.data.metrics["test_rejection_Hbb"] == 10.0
    assert "test_rejection_Tbl" not in run.data.metrics
    assert run.data.params["recipe.schedule.epochs"] == "2"
    history = mirror.client.get_metric_history(run.info.run_id, "training_loss")
    assert [(point.step, point.value) for point in history] == [(1, 2.3), (4, 1.9)]


def test_mirroring_again_adds_nothing(mirror, records):
    parent = mirror.parent("identity", {})
    assert mirror.sync(records[:2], parent) == 2
    assert mirror.sync(records, parent) == len(records) - 2
    assert mirror.sync(records, parent) == 0
    assert mirror.parent("identity", {}) == parent
    assert len(runs_of(mirror)) == len(records) + 1


def test_the_parent_runs_until_the_sweep_is_over(mirror):
    parent = mirror.parent("identity", {"mixtures": ["scratch"]})
    assert mirror.client.get_run(parent).info.status == "RUNNING"
    mirror.close(parent, {"sweep_seconds": 12.0})
    run = mirror.client.get_run(parent)
    assert (run.info.status, run.data.metrics["sweep_seconds"]) == ("FINISHED", 12.0)
    assert run.info.run_name.startswith("study ")


def test_a_run_cut_half_way_is_replaced(mirror, records):
    parent = mirror.parent("identity", {})
    tags = {"jetscale.key": records[0].key, "jetscale.kind": "finetune"}
    mirror.client.create_run(mirror.experiment, tags=tags)
    assert mirror.sync(records, parent) == len(records)
    assert len(runs_of(mirror)) == len(records) + 1


def test_a_run_that_shows_an_older_record_is_replaced(mirror, records):
    parent = mirror.parent("identity", {})
    mirror.sync(records, parent)
    changed = [replace(records[-1], loss=9.0), *records[:-1]]
    assert mirror.sync(changed, parent) == 1
    assert mirror.pull()["loss"].max() == 9.0
    assert len(runs_of(mirror)) == len(records) + 1


def test_the_pulled_table_is_the_table_of_the_records(mirror, records):
    mirror.sync(records, mirror.parent("identity", {}))
    frame, expected = mirror.pull(), run_table(records)
    same = ("key", "mixture", "params", "examples", "seed", "loss", "flops", "seconds", "trunk")
    for column in same:
        assert frame[column].tolist() == expected[column].tolist(), column
    assert frame["controls_digest"].nunique() == 1
    assert frame["controls"][0]["epochs"] == "2"


def test_runs_from_scratch_share_no_trunk(mirror, records):
    mirror.sync(records, mirror.parent("identity", {}))
    frame = mirror.pull()
    scratch = frame["mixture"] == "scratch"
    assert (frame.loc[scratch, "trunk"] == frame.loc[scratch, "key"]).all()
    assert not (frame.loc[~scratch, "trunk"] == frame.loc[~scratch, "key"]).any()


def test_texts_are_artifacts_of_the_parent_run(mirror):
    parent = mirror.parent("identity", {})
    mirror.attach(parent, {"report.html": "<p>one</p>", "figures/a.json": "{}"})
    mirror.attach(parent, {"report.html": "<p>two</p>"})
    assert {file.path for file in mirror.client.list_artifacts(parent)} == {
        "report.html",
        "figures",
    }
    local = mirror.client.download_artifacts(parent, "report.html")
    assert Path(local).read_text() == "<p>two</p>"


def test_an_empty_study_pulls_an_empty_table(mirror):
    assert mirror.pull().empty
    assert "loss" in mirror.pull().columns


def test_a_tracking_server_that_does_not_answer_is_one_line(tmp_path):
    with pytest.raises(SweepError, match="MLflow at sqlite:") as caught:
        Mirror("sqlite:////proc/nowhere/mlflow.db", "s", tmp_path)
    assert "\n" not in str(caught.value)


def test_the_tracking_address_can_be_set(monkeypatch, tmp_path):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert default_uri(tmp_path) == f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    assert default_uri(tmp_path) == "http://127.0.0.1:5000"
