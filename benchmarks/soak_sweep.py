"""The sweep of `soak.py`: its file, its jets, its numbers where nothing happens, and MLflow."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from scale import tables

from jetscale.executor import in_process
from jetscale.jets.shards import write_shards
from jetscale.mixtures.assemble import prepare_in_process
from jetscale.mixtures.inputs import ensure_shards, stream_plans
from jetscale.planning import plan_runs
from jetscale.planning.identity import recipe_of
from jetscale.store.home import Home
from jetscale.store.records import RecordStore
from jetscale.study.load import load_study
from jetscale.sweep.worker import Job, run_job

PATIENCE = 1800.0  # seconds that the server may take to answer
SWEEP = """
from jetscale.study import Controls, Folders, Mixture, ModelSize, Study

def study():
    root = {root!r}
    return Study(
        name="soak",
        source=Folders(train=root + "/train", validation=root + "/validation",
                       test=root + "/test", pretrain={{"qcd": root + "/qcd"}}),
        mixtures=(Mixture(name="scratch"), Mixture(name="qcd", parts={{"qcd": 1}})),
        ladder=(ModelSize(width=8, layers=1, heads=1),),
        data_sizes=(100, 160), seeds=tuple(range(1, 1 + {seeds})),
        controls=Controls(pretraining_jets=130, validation_jets=100, test_jets=200, epochs={epochs},
                          pretraining_epochs={epochs}, constituents=8, features="kin",
                          batch_size=16, objective="counted:COUNTED"),
    )
"""
OBJECTIVE = """
import mmap
import os
from pathlib import Path
from uuid import uuid4

from jetscale.objectives.classify import Classify

FOLDER = Path({folder!r})


class Counted(Classify):
    name, version = "counted", 1
    steps = None

    def loss(self, outputs, batch):
        if self.steps is None:  # eight bytes of a file that outlive the process, however it ends
            path = FOLDER / uuid4().hex
            path.write_bytes(bytes(8))
            with path.open("r+b") as file:
                self.steps = memoryview(mmap.mmap(file.fileno(), 8)).cast("q")
        self.steps[0] += 1
        return super().loss(outputs, batch)


COUNTED = Counted()
"""


def labelled(rows: int, labels: range, seed: int) -> pa.Table:
    """Made-up jets with these labels."""
    table = next(tables(rows))
    drawn = pa.array(np.random.default_rng(seed).choice(labels, rows).astype(np.int32))
    return table.set_column(table.schema.get_field_index("jet_label"), "jet_label", drawn)


def make_sweep(folder: Path, seeds: int, epochs: int) -> Path:
    """The sweep file of five runs per seed, and what lies beside it."""
    for i, (role, rows) in enumerate((("train", 200), ("validation", 120), ("test", 240))):
        write_shards(folder / role, [labelled(rows, range(10), i)], corpus="jetclass", role=role)
    qcd = [labelled(150, range(161, 188), 9)]
    write_shards(folder / "qcd", qcd, corpus="jetclass2", role="pretrain")
    (folder / "steps").mkdir()
    (folder / "counted.py").write_text(OBJECTIVE.format(folder=str(folder / "steps")))
    path = folder / "soak.py"
    path.write_text(SWEEP.format(root=str(folder), seeds=seeds, epochs=epochs))
    return path


def numbers_of(store: RecordStore) -> dict[str, str]:
    """What must not depend on when and where a run ran, to the last bit."""
    store.refresh()
    return {
        r.key: json.dumps(
            [r.loss, r.validation_loss, r.scores, r.curve, r.flops, r.tokens, r.streams, r.steps]
        )
        for r in store.read_all(store.keys()).values()
    }


def train_undisturbed(path: Path) -> dict[str, str]:
    """The numbers of the sweep trained in this process, without Ray, below its folder."""
    torch.set_num_threads(1)  # as workers do
    sys.path.insert(0, str(path.parent))
    home = Home(path.parent / "undisturbed")
    home.path.mkdir()
    vars(import_module("counted"))["FOLDER"] = home.path  # not the steps of the sweep
    study = load_study(path)
    runs, folder = plan_runs(study), home.study(study)
    plans = stream_plans(study, ensure_shards(study, home.path, in_process, lambda *_: None))
    streams = prepare_in_process(plans, home.streams)
    store = RecordStore.open(study, home, runs)
    store.prepare()
    job = Job(study=study, folder=folder, streams=streams, recipe=recipe_of(study), runs=runs)
    counts = run_job(job)
    if counts != {"trained": len(runs), "failed": 0}:
        raise RuntimeError(f"undisturbed, {counts} of {len(runs)} runs")
    return numbers_of(store)


class Server:
    """An MLflow server that can be killed and started again on its database."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.folder, self.uri = folder, f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def up(self) -> None:
        """Start it unless it runs."""
        if self.process is not None:
            return
        command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--host"]
        command += ["127.0.0.1", "--port", str(self.port), "--backend-store-uri"]
        command += [f"sqlite:///{self.folder / 'server.db'}", "--artifacts-destination"]
        command += [str(self.folder / "artifacts")]
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)

    def wait(self) -> None:
        """Return once it answers."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            with suppress(urllib.error.URLError, OSError):
                urllib.request.urlopen(f"{self.uri}/health", timeout=60).close()
                return
            time.sleep(0.2)
        raise SystemExit(f"the MLflow server does not answer: {self.folder / 'server.log'}")

    def kill(self) -> None:
        """End it and its workers at once."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None
