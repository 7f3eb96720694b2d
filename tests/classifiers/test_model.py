"""A model from its file: what fits is used, everything else is one line."""

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from fixtures import stars
from fixtures.kept import train
from fixtures.sweeps import sweep_text

import jetscale as js
from jetscale.cli import main
from jetscale.errors import DataError, StorageError, StudyError, TrainingError
from jetscale.planning import plan_runs
from jetscale.store import checkpoints
from jetscale.store.home import Home
from jetscale.store.models import kept_keys
from jetscale.study import Declared, Mixture
from jetscale.study.load import load_study

OWN = """
from torch import nn

class Trunk(nn.Module):
    def __init__(self, width, inputs):
        super().__init__()
        self.embedding, self.norm = nn.Linear(inputs, width), nn.LayerNorm(width)

    def forward(self, x, mask):
        x = self.norm(self.embedding(x)).relu() * mask[:, :, None]
        return x.sum(1) / mask.sum(1)[:, None]

class Net(nn.Module):
    def __init__(self, width, inputs, outputs):
        super().__init__()
        self.trunk, self.head = Trunk(width, inputs), nn.Linear(width, outputs)

    def forward(self, x, mask):
        return self.head(self.trunk(x, mask))

def build(size, features, outputs):
    return Net(size.width, len(features), outputs)
"""


@pytest.fixture(scope="module")
def exported(kept_sweep, tmp_path_factory):
    """The best model of the study, as a torch file."""
    path = tmp_path_factory.mktemp("exported") / "model.pt"
    js.export(kept_sweep, out=path, home=kept_sweep.parent / "runs")
    return path


def changed(path, tmp_path, change):
    """A copy of a model's file with another description."""
    description, weights = checkpoints.load_model(path)
    change(description)
    checkpoints.save_model(tmp_path / "other.pt", weights, description)
    return tmp_path / "other.pt"


@pytest.mark.long
def test_a_file_describes_itself_and_needs_no_code(exported, kept_sweep):
    told = torch.load(exported, weights_only=True)["description"]
    assert told["record"]["key"] == told["key"]
    assert told["record"]["recipe"] == told["recipe"]
    assert told["classes"] == list(load_study(kept_sweep).classes)
    assert [f["name"] for f in told["features"]][:2] == ["part_pt_log", "part_e_log"]
    assert told["recipe"]["optimiser"]["average"] == 0.2
    assert "curve" not in told["record"]


@pytest.mark.slow
def test_everything_that_differs_is_named(exported, tmp_path):
    def older(description):
        description["recipe"]["data"]["version"] = 0
        description["recipe"]["model"]["architecture_version"] = 99

    with pytest.raises(TrainingError) as told:
        js.load_model(changed(exported, tmp_path, older))
    assert "its architecture_version is 99, the code here has 1" in str(told.value)
    assert "its version of the inputs is 0, the code here has 1" in str(told.value)


@pytest.mark.slow
def test_weights_of_another_shape_or_a_damaged_description_are_refused(exported, tmp_path):
    def wider(description):
        description["size"]["width"] = 16

    with pytest.raises(TrainingError, match="its weights are not those of architecture"):
        js.load_model(changed(exported, tmp_path, wider))
    with pytest.raises(TrainingError, match=r"damaged \(KeyError: 'features'\); export it again"):
        js.load_model(changed(exported, tmp_path, lambda d: d.pop("features")))


def test_what_is_no_model_is_one_line(tmp_path, capsys):
    for name, content in (("none.pt", None), ("text.pt", b"no"), ("zip.pt", b"PK\3\4")):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(SystemExit) as ended:
            main(["predict", str(tmp_path / name), str(tmp_path)])
        assert ended.value.code == 2
        lines = capsys.readouterr().err.strip().splitlines()
        assert lines[-1].startswith(f"jetscale: model {tmp_path / name}: ")
    torch.save({"format": 9, "description": {}, "weights": {}}, tmp_path / "later.pt")
    with pytest.raises(TrainingError, match="format 9, this version reads 1"):
        js.load_model(tmp_path / "later.pt")


def test_a_file_does_not_choose_which_code_is_run(exported, tmp_path, monkeypatch, capsys):
    def foreign(description):
        description["recipe"]["model"]["architecture"] = "trap_of_a_file:build"

    (tmp_path / "trap_of_a_file.py").write_text("raise SystemExit('run')\n")
    path = changed(exported, tmp_path, foreign)
    monkeypatch.setattr("sys.path", sys.path.copy())
    for asked, told in (
        ([], "names code of its own"),
        (["--trust"], "with SystemExit: run"),
    ):
        with pytest.raises(SystemExit):  # the module lies beside the model
            main(["predict", str(path), str(tmp_path), *asked])
        assert told in capsys.readouterr().err
    with pytest.raises(TrainingError, match="names code of its own, trap_of_a_file:build, which"):
        js.load_model(path)
    with pytest.raises(StudyError, match="importing 'trap_of_a_file' failed with SystemExit"):
        js.load_model(path, trust=True)


@pytest.mark.long
def test_a_module_of_ones_own_comes_out_in_both_forms(kept_sweep, tmp_path, monkeypatch):
    (tmp_path / "deep_of_a_user.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    text = sweep_text(kept_sweep.parent, name="own", test_jets=90, seeds=(1,), data_sizes=(50,))
    (tmp_path / "own.py").write_text(text)
    study = load_study(tmp_path / "own.py")
    model = replace(study.recipe.model, architecture="deep_of_a_user:build")
    study = replace(study, recipe=replace(study.recipe, model=model))
    store, home = train(study, Home(tmp_path / "runs")), tmp_path / "runs"
    found = js.export(study, out=tmp_path / "own.pt", home=home)
    with pytest.raises(TrainingError, match="trust=True"):
        js.predict(tmp_path / "own.pt", kept_sweep.parent / "test")
    told = js.predict(tmp_path / "own.pt", kept_sweep.parent / "test", trust=True)
    assert told.scores["loss"] == pytest.approx(store.read(found.key).loss, abs=1e-6)
    assert "trust=True" in (tmp_path / "own.pt.md").read_text()
    pytest.importorskip("onnxscript")
    assert js.export(study, to="onnx", out=tmp_path / "own.onnx", home=home).difference < 1e-5


@pytest.mark.long
@pytest.mark.parametrize("to", ["torch", "onnx"])
def test_the_model_of_another_field_takes_its_examples(study, tmp_path, to):
    if to == "onnx":
        pytest.importorskip("onnxscript")
    recipe = study.recipe.change(features="all", test_jets=30)
    source = Declared(downstream=stars.corpus(), train_examples=50)
    one = {"data_sizes": (40,), "seeds": (1,), "mixtures": (Mixture(name="scratch"),)}
    study = replace(study, name="sky", source=source, recipe=recipe, **one)
    home = Home(tmp_path / "runs")
    store = train(study, home)
    found = js.export(study, to=to, out=tmp_path / f"sky.{to}", home=home.path)
    if to == "onnx":
        assert found.difference < 1e-5
        assert found.compared_on.endswith("test stars")
        return
    (folder,) = (f for f in (home.path / "shards").iterdir() if "test" in f.name)
    told = js.predict(tmp_path / "sky.torch", folder)
    assert told.scores["loss"] == pytest.approx(store.read(found.key).loss, abs=1e-6)
    assert str(told).startswith("30 stars by scratch")


@pytest.mark.slow
def test_a_run_without_weights_is_told_what_to_do(kept_study, kept_sweep, capsys):
    home = Home.at()
    planned = plan_runs(kept_study)
    there = kept_keys(train(kept_study, home))
    (lost, *_) = [r for r in planned if r.kind == "finetune" and r.key not in there]
    with pytest.raises(StorageError) as told:
        js.export(kept_study, lost.name)
    for words in (lost.key, "kept are 2: ", "remove its record", f"records/{lost.key}.json"):
        assert words in str(told.value)
    wider = replace(kept_study, seeds=(1, 2, 9))
    new = next(r for r in plan_runs(wider) if r.seed == 9 and r.kind == "finetune")
    with pytest.raises(StudyError, match=r"it has not finished; see `jetscale status`"):
        js.export(wider, new.key)
    with pytest.raises(StudyError, match="has no finished runs"):
        js.export(kept_study, home=kept_sweep.parent / "nowhere")
    with pytest.raises(StudyError, match="unknown format 'tensorflow'"):
        js.export(kept_study, to="tensorflow")
    with pytest.raises(SystemExit) as ended:
        main(["export", "nobody", str(kept_sweep)])
    assert ended.value.code == 2
    assert "unknown run 'nobody'" in capsys.readouterr().err


def test_weights_of_another_recipe_under_the_key_are_refused(kept_study, kept_sweep, tmp_path):
    runs = tmp_path / "runs"
    shutil.copytree(kept_sweep.parent / "runs", runs)
    store = train(kept_study, Home(runs))
    key = sorted(kept_keys(store))[0]
    path = store.folder.model(key, best=True)
    description, weights = checkpoints.load_model(path)
    description["recipe"]["optimiser"]["clip"] = 9.0
    description["recipe"]["schedule"]["epochs"] = 7
    sha256 = checkpoints.save_model(path, weights, description)
    store.write(replace(store.read(key), model_sha256=sha256))
    with pytest.raises(TrainingError) as told:
        js.export(kept_study, key, home=runs)
    assert "its optimiser.clip is 9.0, run" in str(told.value)
    assert "schedule.epochs is 7, run" in str(told.value)


def test_shards_of_another_kind_are_refused(exported, tmp_path, kept_sweep):
    from jetscale.jets.shards import write_shards

    corpus = stars.corpus()
    tables = list(stars.light_curves(stars.KINDS, 9, 1))
    how = {"corpus": "stars", "role": "test", "classes": stars.KINDS, "schema": corpus.schema}
    write_shards(tmp_path / "stars", tables, **how)
    with pytest.raises(
        DataError, match="its noun is 'star', the model needs 'jet', its columns is"
    ):
        js.predict(exported, tmp_path / "stars")
    file = next((kept_sweep.parent / "test").glob("*.parquet"))
    with pytest.raises(
        DataError, match="is a file, not a shard folder; make one with `jetscale ing"
    ):
        js.predict(exported, file)
    with pytest.raises(DataError, match="no shards are given"):
        js.predict(exported, [])
    test = kept_sweep.parent / "test"
    with pytest.raises(DataError, match="test is given 2 times; name it once"):
        js.predict(exported, [test, test / ".." / "test"])


@pytest.mark.slow
def test_jets_whose_labels_the_model_does_not_know_get_no_scores(exported, kept_sweep, make_jets):
    told = js.predict(exported, [kept_sweep.parent / "qcd", kept_sweep.parent / "test"])
    assert (told.examples, told.scored) == (210, 90)
    alone = js.predict(exported, kept_sweep.parent / "test")
    assert told.scores == alone.scores
    frame = told.to_frame()
    assert frame["label"].iloc[0].startswith("QCD_")
    assert frame.iloc[120:].reset_index(drop=True).equals(alone.to_frame())
    other = js.predict(exported, kept_sweep.parent / "qcd")
    assert other.scores is None
    assert "no scores: none of the jets has a label that the model knows" in str(other)


def test_a_table_needs_no_label(exported, kept_sweep):
    model = js.load_model(exported)
    table = pq.read_table(next((kept_sweep.parent / "test").glob("*.parquet")))
    bare = table.drop_columns(["jet_label"])
    assert np.array_equal(model.probabilities(bare), model.probabilities(table))


@pytest.mark.long
def test_weights_lie_at_the_address_and_are_fetched(tmp_path, kept_study, kept_sweep, monkeypatch):
    monkeypatch.setenv("JETSCALE_CACHE", str(tmp_path / "one"))
    address = f"memory://{tmp_path.name}/runs"
    store = train(replace(kept_study, seeds=(1,)), home := Home.at(address))
    there = {Path(name).stem for name in store.storage.names("best")}
    assert len(there) == 2
    shutil.rmtree(home.path)
    monkeypatch.setenv("JETSCALE_CACHE", str(tmp_path / "two"))
    found = js.export(replace(kept_study, seeds=(1,)), out=tmp_path / "m.pt", home=address)
    assert found.key in there


@pytest.mark.long
def test_the_particle_transformer_comes_out_for_torch(kept_sweep, tmp_path):
    text = sweep_text(
        kept_sweep.parent, name="part", test_jets=90, seeds=(1,), data_sizes=(50,),
        architecture="part", features="kin",
    )  # fmt: skip
    (tmp_path / "part.py").write_text(text)
    study, home = load_study(tmp_path / "part.py"), Home(tmp_path / "runs")
    store = train(study, home)
    found = js.export(study, out=tmp_path / "part.pt", home=home.path)
    told = js.predict(tmp_path / "part.pt", kept_sweep.parent / "test")
    assert told.scores["loss"] == pytest.approx(store.read(found.key).loss, abs=1e-6)
    pytest.importorskip("onnxscript")
    with pytest.raises(TrainingError, match=r"'part' cannot be an ONNX graph: .*; use --to torch"):
        js.export(study, to="onnx", out=tmp_path / "part.onnx", home=home.path)
    assert not (tmp_path / "part.onnx").exists()
