"""A model in MLflow's registry: with its run, loadable by MLflow's own client."""

import numpy as np
import pyarrow.parquet as pq
import pytest

import jetscale as js
from jetscale.errors import SweepError

pytestmark = pytest.mark.integration


@pytest.mark.long
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("to", ["torch", "onnx"])
def test_a_registered_model_is_loaded_by_mlflow(
    to, kept_study, kept_sweep, server, tmp_path, monkeypatch
):
    if to == "onnx":
        pytest.importorskip("onnxscript")
    import mlflow

    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
    where = {"torch": "m.pt", "onnx": "m.onnx"}[to]
    found = js.export(kept_study, to=to, out=tmp_path / where, register=f"tagger-{to}")
    assert found.registered == f"models:/tagger-{to}/1"
    again = js.export(kept_study, to=to, out=tmp_path / where, register=f"tagger-{to}")
    assert again.registered == f"models:/tagger-{to}/2"
    mlflow.set_tracking_uri(server.uri)
    client = mlflow.MlflowClient(server.uri)
    version = client.get_model_version(f"tagger-{to}", "1")
    assert client.get_run(version.run_id).data.tags["jetscale.key"] == found.key
    table = pq.read_table(next((kept_sweep.parent / "test").glob("*.parquet")))
    js.export(kept_study, out=tmp_path / "here.pt")
    model = js.load_model(tmp_path / "here.pt")
    loaded = mlflow.pyfunc.load_model(found.registered)
    if to == "torch":
        told = loaded.predict(table.to_pandas()).to_numpy()
    else:
        from jetscale.classifiers.graph import inputs_of

        names = ("constituents", "jets", "mask")
        told = loaded.predict(dict(zip(names, inputs_of(model).arrays(table), strict=True)))
        told = told["probabilities"]
    assert np.abs(told - model.probabilities(table)).max() < 1e-5


@pytest.mark.filterwarnings("default")
def test_in_a_folder_the_files_lie_where_the_ui_serves_them(kept_study, kept_sweep, tmp_path):
    found = js.export(kept_study, out=tmp_path / "m.pt", register="mine")
    assert found.registered.startswith("models:/mine/")
    artifacts = kept_sweep.parent / "runs" / "artifacts"
    assert len(list(artifacts.rglob("model-*/MLmodel"))) == 1
    assert len(list(artifacts.rglob("model-*/data/m.pt"))) == 1


def test_a_server_that_is_away_is_one_line(kept_study, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(SweepError, match="does not answer"):
        js.export(kept_study, out=tmp_path / "m.pt", register="mine")
    assert (tmp_path / "m.pt").is_file()
