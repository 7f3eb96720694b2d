from dataclasses import replace

import pytest
from jetscale.sweep.results import attach, results

from jetscale.digests import digest
from jetscale.errors import StudyError
from jetscale.plan import plan_runs
from jetscale.store.records import RecordStore, study_folder


@pytest.fixture
def store(study, tmp_path, records):
    store = RecordStore(study_folder(study, tmp_path))
    for record in records:
        store.write(record)
    return store


def database(tmp_path):
    return f"sqlite:///{tmp_path / 'mlflow.db'}"


@pytest.mark.integration
def test_records_are_mirrored_and_pulled(study, store, tmp_path):
    frame, warnings = results(study, tmp_path, database(tmp_path))
    assert warnings == []
    assert list(frame["mixture"].unique()) == ["scratch", "qcd"]
    assert len(frame) == 8


@pytest.mark.integration
def test_runs_of_an_older_sweep_file_are_left_out(study, store, tmp_path):
    fewer = replace(study, seeds=(1,))
    assert len(results(fewer, tmp_path, database(tmp_path))[0]) == 4
    more = replace(study, seeds=(1, 2, 3))
    frame, warnings = results(more, tmp_path, database(tmp_path))
    assert len(frame) == 8
    assert warnings == ["4 of 12 runs are not done yet"]
    other = replace(study, recipe=study.recipe.change(epochs=5))
    with pytest.raises(StudyError, match=r"has no finished runs \(10 with other settings"):
        results(other, tmp_path, database(tmp_path))


def test_asking_before_the_first_run_leaves_no_database(study, tmp_path):
    with pytest.raises(StudyError, match="has no finished runs"):
        results(study, tmp_path, database(tmp_path))
    assert not (tmp_path / "mlflow.db").exists()


@pytest.mark.integration
def test_a_report_is_kept_with_the_parent_run(study, store, tmp_path):
    uri = database(tmp_path)
    assert attach(study, tmp_path, uri, {"report.html": "<p>text</p>"}) == ""
    kept = list((study_folder(study, tmp_path) / "artifacts").rglob("report.html"))
    assert [path.read_text() for path in kept] == ["<p>text</p>"]


def test_without_mlflow_a_report_is_a_warning(study, store, tmp_path):
    line = attach(study, tmp_path, "sqlite:////proc/nowhere/mlflow.db", {"a": "b"})
    assert line.startswith("MLflow at sqlite:")
    assert line.endswith("the report is not in MLflow")


def test_without_mlflow_the_records_answer(study, store, tmp_path):
    frame, warnings = results(study, tmp_path, "sqlite:////proc/nowhere/mlflow.db")
    assert len(frame) == 8
    assert "using the record files instead" in warnings[0]


def test_runs_with_other_controls_are_refused(study, store, tmp_path, records):
    other = {"epochs": 9, "architecture": "a"}
    store.write(replace(records[-1], controls=other, controls_digest=digest(other)))
    assert records[-1].key == plan_runs(study)[-1].key
    with pytest.raises(StudyError, match=r"epochs: .* against"):
        results(study, tmp_path, "sqlite:////proc/nowhere/mlflow.db")
