"""Train, keep, export, predict: the numbers of the record come out again."""

import json
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from fixtures.kept import train

import jetscale as js
from jetscale.cli import main
from jetscale.errors import DataError, StudyError
from jetscale.planning import plan_runs
from jetscale.planning.feed import Listed
from jetscale.store.home import Home
from jetscale.store.records import RecordStore

pytestmark = pytest.mark.slow


def record_of(study, key):
    return RecordStore.open(study, Home.at(), plan_runs(study)).read(key)


@pytest.mark.long
def test_predict_gives_the_test_loss_of_the_record(kept_study, kept_sweep, tmp_path):
    found = js.export(kept_study, out=tmp_path / "best.pt")
    record = record_of(kept_study, found.key)
    told = js.predict(tmp_path / "best.pt", kept_sweep.parent / "test", tmp_path / "p.parquet")
    assert told.examples == told.scored == 90
    assert told.scores["loss"] == pytest.approx(record.loss, abs=1e-6)
    assert told.scores["accuracy"] == record.scores["accuracy"]
    frame = told.to_frame()
    p = frame[[f"p_{name}" for name in kept_study.classes]].to_numpy()
    assert np.allclose(p.sum(axis=1), 1)
    labels = [kept_study.classes.index(name) for name in frame["label"]]
    assert -np.log(p[np.arange(90), labels]).mean() == pytest.approx(record.loss, abs=1e-6)
    assert pq.read_table(tmp_path / "p.parquet").equals(told.table)


@pytest.mark.long
def test_a_graph_gives_the_probabilities_of_the_model(kept_study, kept_sweep, tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    found = js.export(kept_study, to="onnx", out=tmp_path / "best.onnx")
    assert found.difference < 1e-5
    assert found.compared_on == "90 test jets"
    js.export(kept_study, out=tmp_path / "best.pt")
    model = js.load_model(tmp_path / "best.pt")
    session = runtime.InferenceSession(tmp_path / "best.onnx")
    from jetscale.classifiers.graph import inputs_of

    for name, rows in (("test", 90), ("validation", 1)):  # other numbers than it was made with
        table = pq.read_table(next((kept_sweep.parent / name).glob("*.parquet"))).slice(0, rows)
        given = dict(
            zip(("constituents", "jets", "mask"), inputs_of(model).arrays(table), strict=True)
        )
        logits, probabilities = session.run(None, given)
        assert np.abs(probabilities - model.probabilities(table)).max() < 1e-5
        assert np.abs(logits - model.outputs(model.standardise(table))).max() < 1e-4
        longer = {
            k: np.pad(v, [(0, 0), (0, 7), (0, 0)][: v.ndim])
            for k, v in given.items()
            if k != "jets"
        }
        again = session.run(None, given | longer)[1]
        assert np.abs(again - probabilities).max() < 1e-6  # padding says nothing
    told = session.get_modelmeta().custom_metadata_map
    assert json.loads(told["jetscale.classes"]) == list(kept_study.classes)
    assert told["jetscale.key"] == found.key


def test_the_commands_do_the_same(kept_study, kept_sweep, tmp_path, capsys):
    out, where = str(tmp_path / "m.pt"), str(kept_sweep.parent / "test")
    with pytest.raises(SystemExit) as ended:
        main(["export", "best", str(kept_sweep), "--out", out, "--json"])
    assert ended.value.code == 0
    told = json.loads(capsys.readouterr().out)
    assert told["file"] == out
    with pytest.raises(SystemExit):
        main(["predict", out, where, "--json"])
    said = json.loads(capsys.readouterr().out)
    assert said["scores"]["loss"] == pytest.approx(
        record_of(kept_study, told["key"]).loss, abs=1e-6
    )
    with pytest.raises(SystemExit):
        main(["predict", out, where])
    words = capsys.readouterr().out
    assert "90 jets by" in words
    assert "accuracy" in words
    page = (tmp_path / "m.pt.md").read_text()
    assert told["key"] in page
    assert 'js.load_model("m.pt")' in page
    assert not (tmp_path / "m.md").exists()  # a graph m.onnx has a card of its own


def test_each_run_of_a_stack_leaves_its_own_weights(kept_study, kept_sweep, tmp_path):
    study = replace(kept_study, name="stacked", keep="all")
    runs = plan_runs(study)
    stack = tuple(run for run in runs if run.mixture.is_scratch and run.examples == 50)
    home = Home(tmp_path / "runs")
    store = train(study, home, feed=Listed((stack,)))
    for run in stack:
        assert store.read(run.key).stack == len(stack) == 2
        js.export(study, run.key, out=tmp_path / "m.pt", home=home.path)
        told = js.predict(tmp_path / "m.pt", kept_sweep.parent / "test")
        assert told.scores["loss"] == pytest.approx(store.read(run.key).loss, abs=1e-6)


def test_what_is_read_is_not_overwritten(kept_study, kept_sweep, tmp_path):
    before = kept_sweep.read_bytes()
    with pytest.raises(StudyError, match="that is the sweep file; give it another name"):
        js.export(kept_sweep, out=kept_sweep)
    assert kept_sweep.read_bytes() == before
    model = tmp_path / "best.pt"
    js.export(kept_study, out=model)
    kept = model.read_bytes()
    with pytest.raises(DataError, match="that is the model; give them another name"):
        js.predict(model, kept_sweep.parent / "test", model)
    assert model.read_bytes() == kept
