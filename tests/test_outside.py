"""An architecture, an objective and a corpus from outside of the package, from plan to law.

Nothing inside is edited: the files below lie beside the sweep file of a user.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from jetscale.errors import StudyError
from jetscale.executor import in_process
from jetscale.mixtures.assemble import prepare_in_process
from jetscale.mixtures.inputs import ensure_shards, stream_plans
from jetscale.models import protocol as models
from jetscale.objectives import protocol as objectives
from jetscale.objectives.classify import CLASSIFY
from jetscale.planning import plan_runs
from jetscale.planning.identity import recipe_of
from jetscale.scaling import UNSEARCHED, fit
from jetscale.store.home import Home
from jetscale.store.records import RecordStore
from jetscale.study.load import load_study
from jetscale.sweep.launch import run_study
from jetscale.sweep.runs import RunSource, load_runs
from jetscale.sweep.worker import Job, run_job
from jetscale.tracking.address import tracking_uri

MODEL = """
from torch import nn

VERSION = "first"

class Trunk(nn.Module):
    def __init__(self, width, inputs):
        super().__init__()
        self.embedding = nn.Linear(inputs, width)
        self.mix = nn.Linear(width, width)

    def forward(self, x, mask):
        x = self.mix(self.embedding(x).relu()).relu() * mask[:, :, None]
        return x.sum(1) / mask.sum(1, keepdim=True)

class DeepSets(nn.Module):
    def __init__(self, width, inputs, outputs):
        super().__init__()
        self.trunk = Trunk(width, inputs)
        self.head = nn.Linear(width, outputs)

    def forward(self, x, mask):
        return self.head(self.trunk(x, mask))

def build(size, features, outputs):
    return DeepSets(size.width, len(features), outputs)
"""
OBJECTIVE = '''
import numpy as np
from torch.nn import functional

class Smooth:
    """Cross-entropy with a tenth of every label spread over all classes."""

    name, version, needs_labels = "smooth", 1, True

    def outputs(self, classes):
        return classes

    def loss(self, outputs, batch):
        return functional.cross_entropy(
            outputs, batch.labels, label_smoothing=0.1, reduction="sum"
        )

    def scores(self, outputs, labels, classes):
        log_p = outputs - np.logaddexp.reduce(outputs, axis=1, keepdims=True)
        picked = log_p[np.arange(len(labels)), labels]
        loss = -(0.9 * picked + 0.1 * log_p.mean(axis=1)).mean()
        return {"loss": float(loss), "right": float((outputs.argmax(1) == labels).mean())}

SMOOTH = Smooth()
'''
SWEEP = """
import numpy as np
import pyarrow as pa
from jetscale.study import *

FEATURES = (Feature(name="u", mean=0.0, scale=1.0), Feature(name="v", mean=1.0, scale=2.0))

def points(classes, rows, seed):
    rng = np.random.default_rng(seed)
    label = rng.integers(0, len(classes), rows)
    counts = rng.integers(2, 7, rows)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    u = rng.normal(size=offsets[-1]) + np.repeat(label, counts)
    v = rng.normal(size=offsets[-1])
    lists = [pa.ListArray.from_arrays(offsets, pa.array(x)) for x in (u, v)]
    yield pa.table({"u": lists[0], "v": lists[1], "label": label})

def corpus(name):
    return Corpus(name=name, classes=("a", "b", "c"), features=FEATURES, simulate=points,
                  noun="cloud")

def study():
    return Study(
        name="outside",
        source=Declared(downstream=corpus("clouds"), train_examples=80,
                        pretraining=(corpus("mist"),)),
        mixtures=(Mixture(name="scratch"), Mixture(name="mist", parts={"mist": 1.0})),
        ladder=tuple(ModelSize(width=w, layers=1, heads=1) for w in (4, 8, 16)),
        data_sizes=(20, 40, 80), seeds=(1, 2),
        recipe=Recipe(
            data=Data(pretraining_jets=60, features="all", constituents=8),
            model=Model(architecture=ARCHITECTURE, objective=OBJECTIVE),
            evaluation=Evaluation(validation_jets=30, test_jets=60)),
    )
"""


@pytest.fixture
def write(tmp_path, monkeypatch):
    """A function that writes the sweep with the names of an architecture and an objective."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "clouds_model.py").write_text(MODEL)
    (tmp_path / "clouds_objective.py").write_text(OBJECTIVE)

    def sweep(architecture: str, objective: str) -> Path:
        names = f"ARCHITECTURE, OBJECTIVE = {architecture!r}, {objective!r}\n"
        path = tmp_path / "clouds.py"
        path.write_text(names + SWEEP)
        return path

    return sweep


def check(study, home):
    """Every run has a record with what came from outside, and the laws are fitted."""
    runs = plan_runs(study)
    records = RecordStore.open(study, home, runs).read_all(run.key for run in runs)
    assert set(records) == {run.key for run in runs}
    for run in runs:
        record = records[run.key]
        assert (record.params, record.steps) == (run.params, run.steps)
        assert record.recipe["model"]["architecture"] == study.recipe.model.architecture
        assert record.flops > 0
        assert run.kind == "pretrain" or set(record.scores) == {"loss", "right"}
    frame, warnings = load_runs(study, home, tracking_uri(home), RunSource.RECORDS)
    assert warnings == [UNSEARCHED]
    assert len(frame) == 2 * 3 * 3 * 2
    assert frame.groupby("mixture")["pretraining_examples"].max().to_dict() == {
        "mist": 60,
        "scratch": 0,
    }
    laws = fit(frame)
    assert set(laws.mixtures) == {"scratch", "mist"}
    return records


@pytest.mark.long
def test_registered_names_plan_train_record_and_fit(write, tmp_path):
    class Wide:
        """The transformer of the package under another name and twice as wide."""

        name, version = "wide", "2026"

        def __init__(self, inner):
            self.inner = inner

        def parameters(self, size, features, outputs):
            return self.inner.parameters(self.double(size), features, outputs)

        def training_flops(self, size, features, outputs, **sums):
            return self.inner.training_flops(self.double(size), features, outputs, **sums)

        def build(self, size, features, outputs, **seeds):
            return self.inner.build(self.double(size), features, outputs, **seeds)

        @staticmethod
        def double(size):
            return type(size)(width=2 * size.width, layers=size.layers, heads=size.heads)

    class Right:
        """Classification that reports its loss and the share of right answers alone."""

        name, version, needs_labels = "right", 3, True
        outputs, loss = staticmethod(CLASSIFY.outputs), staticmethod(CLASSIFY.loss)

        def scores(self, outputs, labels, classes):
            right = float((outputs.argmax(1) == labels).mean())
            return {"loss": CLASSIFY.scores(outputs, labels, classes)["loss"], "right": right}

    models.register(Wide(models.architecture_named("transformer")))
    objectives.register(Right())
    study = load_study(write("wide", "right"))
    home = Home(tmp_path / "runs")
    shards = ensure_shards(study, home.path, in_process, lambda *_: None)
    runs = plan_runs(study)
    job = Job(
        study=study,
        folder=home.study(study),
        streams=prepare_in_process(stream_plans(study, shards), home.streams),
        recipe=recipe_of(study),
        runs=runs,
    )
    assert run_job(job) == {"trained": len(runs), "failed": 0}
    records = check(study, home)
    assert {r.recipe["model"]["architecture_version"] for r in records.values()} == {"2026"}
    assert {r.recipe["model"]["objective_version"] for r in records.values()} == {3}


def test_a_model_for_jets_is_refused_elsewhere_before_anything_runs(write):
    study = load_study(write("part", "classify"))
    with pytest.raises(StudyError, match="'part' is for jets: the inputs lack part_pt_log") as told:
        plan_runs(study)
    assert "\n" not in str(told.value)


@pytest.mark.long
@pytest.mark.integration
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_references_travel_to_ray_workers(write, tmp_path):
    path = write("clouds_model:build", "clouds_objective:SMOOTH")
    study = load_study(path)
    home = Home(tmp_path / "runs")
    outcome = run_study(study, home, tracking=tracking_uri(home))
    assert (outcome.done, outcome.failed, outcome.failures) == (len(plan_runs(study)), 0, ())
    records = check(study, home)
    losses = [record.loss for record in records.values() if record.loss is not None]
    assert np.isfinite(losses).all()
    assert len(set(losses)) == len(losses)
    before = {run.key for run in plan_runs(study)}
    (tmp_path / "clouds_model.py").write_text(MODEL.replace('"first"', '"second"'))
    code = (
        "import sys, jetscale\nfrom jetscale.planning import plan_runs\n"
        "print(*[run.key for run in plan_runs(jetscale.load_study(sys.argv[1]))])"
    )
    command = [sys.executable, "-c", code, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert not before & set(done.stdout.split())  # another version is another recipe
