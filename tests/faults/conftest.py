"""A small sweep with a gate, and the numbers it has when nothing goes wrong."""

import json
import os
import subprocess
import sys
from contextlib import contextmanager

import pytest
import torch
from fixtures.sweeps import sweep_text, write_roles

from jetscale.executor import in_process
from jetscale.mixtures.assemble import prepare_in_process
from jetscale.mixtures.inputs import ensure_shards, stream_plans
from jetscale.planning import plan_runs
from jetscale.planning.identity import recipe_of
from jetscale.store.home import Home
from jetscale.store.records import RecordStore
from jetscale.study.load import load_study
from jetscale.sweep.worker import Job, run_job


@pytest.fixture
def sweep(tmp_path, make_jets, gate, monkeypatch):
    """The file of the sweep, on jets of its own."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    root, path = write_roles(tmp_path, make_jets, train=100, qcd=140), tmp_path / "faults.py"
    settings = {"pretraining_jets": 130, "epochs": 4, "batch_size": 16}
    grid = {"name": "faults", "data_sizes": (50, 90)}
    path.write_text(sweep_text(root, **grid, **settings, objective=gate.objective))
    return path


class Sweep:
    """A sweep, its results folder and its records."""

    def __init__(self, path):
        self.path = path
        self.study = load_study(path)
        self.planned = plan_runs(self.study)
        self.home = Home(path.parent / "runs")
        self.store = RecordStore.open(self.study, self.home, self.planned)
        self.records = self.store.folder.path / "records"
        self.log = path.parent / "log"

    @contextmanager
    def driving(self, *options, command="run"):
        """``jetscale run`` in a process of its own, killed at the end whatever happened."""
        call = [sys.executable, "-m", "jetscale", command, str(self.path), *options]
        environment = os.environ | {"JETSCALE_HOME": str(self.home.path)}
        with self.log.open("wb") as log:
            driver = subprocess.Popen(call, env=environment, stdout=log, stderr=log)
        try:
            yield driver
        finally:
            driver.kill()
            driver.wait()

    def numbers(self):
        """What must not depend on when and where a run ran, to the last bit."""
        self.store.refresh()
        return numbers_of(self.store)

    def states(self):
        """State of every run."""
        return [row.state.value for row in self.store.status(self.planned)]


def numbers_of(store):
    records = store.read_all(store.keys()).values()
    return {
        r.key: json.dumps([r.loss, r.scores, r.curve, r.flops, r.tokens, r.streams, r.steps])
        for r in records
    }


@pytest.fixture
def faulty(sweep):
    """The sweep, to be disturbed."""
    return Sweep(sweep)


@pytest.fixture
def undisturbed(faulty):
    """The numbers of the same sweep trained in this process, on one thread as workers do."""
    study, folder = faulty.study, Home(faulty.path.parent / "undisturbed")
    plans = stream_plans(study, ensure_shards(study, folder.path, in_process, lambda *_: None))
    streams = prepare_in_process(plans, folder.streams)
    store = RecordStore.open(study, folder, faulty.planned)
    store.prepare()
    job = Job(
        study=study,
        folder=folder.study(study),
        streams=streams,
        recipe=recipe_of(study),
        runs=faulty.planned,
    )
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        assert run_job(job) == {"trained": len(faulty.planned), "failed": 0}
    finally:
        torch.set_num_threads(threads)
    return numbers_of(store)
