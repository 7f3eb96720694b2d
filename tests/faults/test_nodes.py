"""Nodes that join a sweep, share a run, are cut off and are lost for good, on two emulated hosts.

The objective of the sweep waits in its eighth step while a file with the name of the host asks
for it. Whether a host is fast or slow then decides nothing.
"""

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from fixtures.hosts import ROOT, Host, Hosts, install
from fixtures.waiting import PATIENCE, wait_until

from jetscale.jets.shards import write_shards
from jetscale.planning import plan_runs
from jetscale.store.home import Home
from jetscale.store.record import Record
from jetscale.store.records import RecordStore
from jetscale.study.load import load_study
from jetscale.sweep.work import work

pytestmark = pytest.mark.integration

LOST = "a worker group died: "
CPUS = {"head": 2, "worker": 2}  # one of the head drives
OBJECTIVE = """
import socket
import time
from pathlib import Path

from jetscale.objectives.classify import Classify

FOLDER = Path({folder!r})


class Held(Classify):
    name, version = "held", 1
    calls = 0

    def loss(self, outputs, batch):
        self.calls += 1
        if self.calls >= 8:  # in the first run of a process
            wait(socket.gethostname())
        return super().loss(outputs, batch)


def wait(gate):
    while (FOLDER / gate).exists():
        (FOLDER / f"{{gate}}.held").touch()
        time.sleep(0.05)


wait(f"{{socket.gethostname()}}.start")
HELD = Held()
"""
SWEEP = """
from jetscale.study import Controls, Folders, Mixture, ModelSize, Study

def study():
    root = {root!r}
    return Study(
        name={name!r},
        source=Folders(train=root + "/train", validation=root + "/validation",
                       test=root + "/test", pretrain={{"qcd": root + "/qcd"}}),
        mixtures=(Mixture(name="scratch"), Mixture(name="qcd", parts={{"qcd": 1}})),
        ladder=(ModelSize(width=8, layers=1, heads=1),),
        data_sizes=(50, 90), seeds={seeds!r},
        controls=Controls(pretraining_jets=130, validation_jets=50, test_jets=80, constituents=16,
                          epochs=10, batch_size=16, objective="held_at_a_gate:HELD"),
    )
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """Ray on two hosts, and a gate for the workers on each."""

    hosts: Hosts
    gates: Path

    def on(self, host: Host, line: str) -> list[str]:
        """The command that runs a line in the environment that setup_node.sh writes."""
        return host.command(
            f"export PATH={self.hosts.home}/jetscale-venv/bin:$PATH; {line}",
            RAY_AUTH_MODE="token",
            RAY_USAGE_STATS_ENABLED="0",
            MLFLOW_DISABLE_TELEMETRY="true",
            JETSCALE_HOME=str(self.hosts.shared / "runs"),
            COLUMNS="200",
        )

    def ray(self, host: Host, line: str) -> str:
        """What a `ray` command says on a host; asserts that it succeeds."""
        done = subprocess.run(self.on(host, f"ray {line}"), capture_output=True, text=True)
        assert done.returncode == 0, f"ray {line}: {done.stdout}{done.stderr}"
        return done.stdout

    def alive(self) -> int:
        """Nodes that Ray counts on."""
        told = self.ray(self.hosts.head, "status").partition("Pending:")[0]
        return len(re.findall(r"^ 1 node_", told, flags=re.MULTILINE))

    def leave(self) -> None:
        """End Ray on the worker, and wait until the head knows."""
        subprocess.run(self.on(self.hosts.worker, "ray stop --force"), capture_output=True)
        wait_until(lambda: self.alive() == 1, "the head still counts on the worker")

    def join(self) -> None:
        """Start Ray on the worker unless it is there."""
        if self.alive() < 2:  # the head may not have counted itself yet
            start = f"start --address={self.hosts.head.address}:6379 --num-cpus={CPUS['worker']}"
            self.ray(self.hosts.worker, f"{start} --object-store-memory=200000000")
            wait_until(lambda: self.alive() == 2, "the worker did not join")

    def close(self, *gates: str) -> None:
        """Let workers wait: at HOST in their eighth step there, at HOST.start before any run."""
        for gate in gates:
            (self.gates / f"{gate}.held").unlink(missing_ok=True)
            (self.gates / gate).touch()

    def open(self, *gates: str) -> None:
        """Let workers go on."""
        for gate in gates:
            (self.gates / gate).unlink(missing_ok=True)


class Study:
    """A study on the cluster, its records and what its sweep said."""

    def __init__(self, cluster: Cluster, path: Path) -> None:
        self.cluster, self.path = cluster, path
        self.study = load_study(path)
        self.planned = plan_runs(self.study)
        home = Home(cluster.hosts.shared / "runs")
        self.store = RecordStore.open(self.study, home, self.planned)
        self.log = path.with_suffix(".log")

    @contextmanager
    def driving(self, *options: str) -> Iterator[subprocess.Popen[bytes]]:
        """``jetscale run`` on the head, killed at the end whatever happened."""
        head = self.cluster.hosts.head
        line = f"exec jetscale run {self.path} --address auto {' '.join(options)}"
        with self.log.open("wb") as log:
            driver = subprocess.Popen(self.cluster.on(head, line), stdout=log, stderr=log)
        try:
            yield driver
        finally:
            self.cluster.open("head", "worker", "worker.start")
            driver.kill()
            driver.wait()

    def wait_until_held(self, driver: subprocess.Popen[bytes], *gates: str) -> None:
        """Return once a worker waits at each gate."""

        def there() -> bool:
            assert driver.poll() is None, self.log.read_text()
            return all((self.cluster.gates / f"{gate}.held").exists() for gate in gates)

        wait_until(there, f"not at every gate of {gates} a worker waits")

    def records(self) -> dict[str, Record]:
        """Every record there is."""
        self.store.refresh()
        return self.store.read_all(self.store.keys())


def numbers_of(records: dict[str, Record]) -> dict[str, str]:
    """What must not depend on when and where a run ran, to the last bit."""
    return {
        key: json.dumps([r.loss, r.scores, r.curve, r.flops, r.tokens, r.streams, r.steps])
        for key, r in records.items()
    }


@pytest.fixture(scope="module")
def cluster(two_hosts: Hosts, make_jets) -> Iterator[Cluster]:
    """Ray on the head, jets on the shared folder, and the module of the objective."""
    root, gates = two_hosts.shared, two_hosts.shared / "gates"
    gates.mkdir()
    (root / "held_at_a_gate.py").write_text(OBJECTIVE.format(folder=str(gates)))
    for i, (role, jets) in enumerate([("train", 100), ("validation", 60), ("test", 90)]):
        write_shards(root / role, [make_jets(jets, range(10), i)], corpus="jetclass", role=role)
    qcd = make_jets(140, range(161, 188), 9)
    write_shards(root / "qcd", [qcd], corpus="jetclass2", role="pretrain")
    install(two_hosts, ROOT, "prepared")
    for host in (two_hosts.head, two_hosts.worker):
        (host.outside / ".ray").mkdir()
        (host.outside / ".ray" / "auth_token").write_text("0" * 64)
    found = Cluster(hosts=two_hosts, gates=gates)
    sys.path.insert(0, str(root))
    try:
        start = f"start --head --port=6379 --num-cpus={CPUS['head']} --include-dashboard=false"
        found.ray(two_hosts.head, f"{start} --object-store-memory=200000000")
        yield found
    finally:
        sys.path.remove(str(root))


@pytest.fixture(scope="module")
def write_study(cluster: Cluster) -> Callable[..., Study]:
    """A function that makes the study with a name of its own; its runs are the same ones."""

    def write(name: str, seeds: int = 12) -> Study:
        root = cluster.hosts.shared
        path = root / f"{name}.py"
        path.write_text(SWEEP.format(root=str(root), name=name, seeds=tuple(range(1, seeds + 1))))
        return Study(cluster, path)

    return write


@pytest.fixture(scope="module")
def alone(cluster: Cluster, write_study: Callable[..., Study]) -> dict[str, Record]:
    """The records of the same runs, trained in this process."""
    study, home = write_study("alone"), Home(cluster.hosts.shared / "alone")
    work(study.study, home)
    records = RecordStore(home.study(study.study)).read_all(run.key for run in study.planned)
    assert len(records) == len(study.planned)
    return records


def test_a_node_that_joins_is_used_also_after_it_vanished_while_its_groups_started(
    cluster, write_study, alone
):
    cluster.leave()
    cluster.close("head", "worker.start")
    study = write_study("elastic")
    with study.driving() as driver:
        study.wait_until_held(driver, "head")
        cluster.join()
        study.wait_until_held(driver, "worker.start")
        cluster.leave()
        cluster.open("worker.start")
        cluster.join()

        def used() -> bool:
            assert driver.poll() is None, study.log.read_text()
            return "worker" in {record.host for record in study.records().values()}

        wait_until(used, "the node that joined was not used")
        cluster.open("head")
        assert driver.wait(timeout=PATIENCE) == 0, study.log.read_text()
    assert numbers_of(study.records()) == numbers_of(alone)
    assert {record.host for record in study.records().values()} == {"head", "worker"}
    assert LOST in study.log.read_text()


def test_a_run_that_fits_no_node_is_refused(cluster, write_study):
    cluster.join()
    study = write_study("refused", seeds=1)
    with study.driving("--workers-per-run", "3") as driver:
        assert driver.wait(timeout=PATIENCE) == 2
    told = study.log.read_text().splitlines()
    assert "the largest node has CPUs for 2 workers" in told[-1]
    assert "--across-nodes" in told[-1]
    assert "Traceback" not in study.log.read_text()
    assert study.records() == {}


def test_one_run_on_both_nodes_has_the_losses_of_one_worker(cluster, write_study, alone):
    cluster.join()
    study = write_study("spanning", seeds=1)
    with study.driving("--workers-per-run", "3", "--across-nodes") as driver:
        assert driver.wait(timeout=PATIENCE) == 0, study.log.read_text()
    assert "died" not in study.log.read_text()
    records = study.records()
    assert records.keys() == {run.key for run in study.planned}
    assert {record.ranks for record in records.values()} == {3}
    for key, record in records.items():
        expected = alone[key]
        assert record.steps == expected.steps
        for name, points in expected.curve.items():
            assert np.allclose(record.curve[name], points, rtol=1e-4)
        if expected.loss is not None:
            assert record.loss == pytest.approx(expected.loss, rel=1e-4)


@pytest.mark.parametrize("given_up", [False, True], ids=["in time", "given up"])
def test_a_node_that_is_cut_off_and_comes_back_changes_no_number(
    cluster, write_study, alone, given_up
):
    """Its workers go on while they are cut off: the folder is still there for them."""
    worker = cluster.hosts.worker
    cluster.join()
    cluster.close("head", "worker")
    study = write_study("given_up" if given_up else "in_time")
    with study.driving() as driver:
        study.wait_until_held(driver, "head", "worker")
        cluster.hosts.cut(worker)
        cluster.open("head", "worker")
        if given_up:
            begun = time.monotonic()
            wait_until(lambda: cluster.alive() == 1, "Ray does not miss the node")
            print(f"Ray missed the node after {time.monotonic() - begun:.0f} s")
        cluster.hosts.mend(worker)
        assert driver.wait(timeout=PATIENCE) == 0, study.log.read_text()
    log = study.log.read_text()
    print(log)
    assert numbers_of(study.records()) == numbers_of(alone)
    assert (LOST in log) >= given_up
    assert "raylet" not in log
    assert "Worker info" not in log  # Ray's own report is many lines


def test_the_runs_of_a_node_that_is_lost_for_good_go_to_the_others(cluster, write_study, alone):
    """The last test of the module: the worker does not come back."""
    cluster.join()
    cluster.close("head", "worker")
    study = write_study("lost")
    with study.driving("--checkpoint-seconds", "100000") as driver:
        study.wait_until_held(driver, "head", "worker")
        wait_until(lambda: steps_on("worker", study) >= 5, "no word of the steps made there")
        cluster.hosts.worker.kill()
        begun = time.monotonic()
        wait_until(lambda: cluster.alive() == 1, "Ray does not miss the node")
        print(f"Ray missed the node after {time.monotonic() - begun:.0f} s")
        cluster.open("head")
        assert driver.wait(timeout=PATIENCE) == 0, study.log.read_text()
    log = study.log.read_text()
    print(log)
    assert numbers_of(study.records()) == numbers_of(alone)
    assert LOST in log
    assert float(re.search(r"evicted.*, ([\d.]+)% of the optimiser steps", log)[1]) > 0


def steps_on(host: str, study: Study) -> int:
    """Most steps that a run being trained on a host has told of."""
    names = study.store.storage.names("running")
    told = [json.loads(study.store.storage.read(name) or b"{}") for name in names]
    return max((beat["step"] for beat in told if beat.get("host") == host), default=0)
