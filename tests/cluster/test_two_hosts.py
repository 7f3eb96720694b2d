"""`ray up` and what follows, as cluster/README.md writes it, on two emulated hosts.

The file is the shipped cluster/onprem.yaml with its SET_MEs filled in. Only the Python environment
of the hosts is prepared beforehand, since they have no network.
"""

import hashlib
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from fixtures.hosts import MEETING, Host, Hosts, child_of, install
from fixtures.waiting import PATIENCE, wait_until

from jetscale.jets.shards import write_shards
from jetscale.planning import plan_runs
from jetscale.store.home import Home
from jetscale.store.records import RecordStore
from jetscale.study.load import load_study
from jetscale.sweep.work import work

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
FILLED = {  # every SET_ME of the file
    "SET_ME_HEAD": "10.77.0.1",
    "SET_ME_WORKER_1, SET_ME_WORKER_2": "10.77.0.2",
    "ssh_user: SET_ME": "ssh_user: root",
}
SWEEP = '''
"""A study of seconds; ``python tiny.py`` runs it, too."""

from jetscale.cli import run_script
from jetscale.study import Controls, Folders, Mixture, ModelSize, Study

def study():
    root = {root!r}
    return Study(
        name="tiny",
        source=Folders(train=root + "/train", validation=root + "/validation",
                       test=root + "/test", pretrain={{"qcd": root + "/qcd"}}),
        mixtures=(Mixture(name="scratch"), Mixture(name="qcd", parts={{"qcd": 1}})),
        ladder=(ModelSize(width=8, layers=1, heads=1), ModelSize(width=16, layers=1, heads=2)),
        data_sizes=(50, 100, 200), seeds=(1, 2),
        controls=Controls(pretraining_jets=300, validation_jets=50, test_jets=80,
                          constituents=16, epochs=20, learning_rate=0.01,
                          objective={objective!r}),
    )

if __name__ == "__main__":
    run_script(__file__)
'''


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """The hosts after `ray up`, the checkout on the laptop, and the results."""

    hosts: Hosts
    results: Path

    def ray(self, command: str) -> str:
        """What a `ray` command says on the laptop; asserts that it succeeds."""
        done = self.hosts.laptop.run(f"cd ~/project && ray {command}")
        assert done.returncode == 0, f"ray {command}: {done.stdout[-4000:]}"
        return done.stdout

    def on_head(self, command: str) -> str:
        """What a command says through `ray exec`; asserts that it succeeds."""
        return self.ray(f"exec cluster/onprem.yaml '{command}'")


@pytest.fixture(scope="module")
def sweep(two_hosts: Hosts, make_jets) -> Path:
    root = two_hosts.shared / "jets"
    for i, (role, jets) in enumerate([("train", 300), ("validation", 60), ("test", 90)]):
        write_shards(root / role, [make_jets(jets, range(10), i)], corpus="jetclass", role=role)
    qcd = make_jets(320, range(161, 188), 9)
    write_shards(root / "qcd", [qcd], corpus="jetclass2", role="pretrain")
    path = two_hosts.shared / "tiny.py"
    met = two_hosts.shared / "met"
    met.mkdir()
    # in the file itself: `ray submit` sends nothing else
    meeting = MEETING.format(place=str(met), patience=PATIENCE)
    path.write_text(meeting + SWEEP.format(root=str(root), objective="tiny:MEETING"))
    return path


@pytest.fixture(scope="module")
def cluster(two_hosts: Hosts, sweep: Path) -> Cluster:
    """Both hosts up, by the commands of the README."""
    project = two_hosts.laptop.outside / "project"
    for name in ("src", "cluster", "sweeps"):
        shutil.copytree(ROOT / name, project / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "constraints.txt", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, project / name)
    shutil.copy(sweep, project / "sweeps")
    file, results = project / "cluster" / "onprem.yaml", two_hosts.shared / "jetscale" / "runs"
    text = file.read_text()
    for blank, value in (FILLED | {"/SET_ME/jetscale": str(results.parent)}).items():
        assert text.count(blank) == 1
        text = text.replace(blank, value)
    settings = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    assert "SET_ME" not in "\n".join(settings)
    file.write_text(text)
    locks = [(project / name).read_bytes() for name in ("pyproject.toml", "constraints.txt")]
    stamp = f"{hashlib.sha256(b''.join(locks)).hexdigest()}  -[simulate]"
    install(two_hosts, two_hosts.home / "jetscale", stamp)
    found = Cluster(hosts=two_hosts, results=results)
    found.ray("get-auth-token --generate > /dev/null && chmod 600 ~/.ray/auth_token")
    found.ray("up -y cluster/onprem.yaml")
    wait_until(
        lambda: "2 local.cluster.node" in found.on_head("ray status"), "the worker did not join"
    )
    return found


@pytest.fixture(scope="module")
def trained(cluster: Cluster, sweep: Path) -> str:
    """What `jetscale run` said on the head."""
    return cluster.on_head("cd ~/jetscale && jetscale run sweeps/tiny.py --address auto")


def test_the_files_and_the_token_went_to_both_hosts(cluster):
    token = (cluster.hosts.laptop.outside / ".ray" / "auth_token").read_text()
    for host in (cluster.hosts.head, cluster.hosts.worker):
        copied = host.outside / ".ray" / "auth_token"
        assert copied.read_text() == token
        assert copied.stat().st_mode & 0o777 == 0o600
        assert (host.outside / "jetscale" / "src" / "jetscale" / "__init__.py").is_file()
        assert str(cluster.results) in (host.outside / ".jetscale_env").read_text()
        code = "import jetscale; print(jetscale.__file__)"
        told = host.run(f"~/jetscale-venv/bin/python -c '{code}'").stdout
        assert told.strip() == f"{cluster.hosts.home}/jetscale/src/jetscale/__init__.py"


def test_both_hosts_train_and_the_losses_are_those_of_one_machine(cluster, trained, sweep):
    study = load_study(sweep)
    planned = plan_runs(study)
    assert f"{len(planned)} of {len(planned)} runs done" in trained
    records = RecordStore(Home(cluster.results).study(study)).read_all(r.key for r in planned)
    assert {record.host for record in records.values()} == {"head", "worker"}
    alone = Home(cluster.hosts.shared / "alone")
    work(study, alone)
    expected = RecordStore(alone.study(study)).read_all(run.key for run in planned)
    assert len(expected) == len(planned)
    for key, record in expected.items():
        other = records[key]
        assert (other.loss, other.curve, other.flops) == (record.loss, record.curve, record.flops)


def test_a_sweep_file_is_submitted_and_nothing_is_trained_twice(cluster, trained):
    said = cluster.ray("submit cluster/onprem.yaml sweeps/tiny.py -- --address auto")
    assert "28 of 28 runs done, 0 trained now" in said


def test_status_report_and_fetching_it(cluster, trained):
    status = cluster.on_head("cd ~/jetscale && jetscale status sweeps/tiny.py")
    assert "28 done" in status
    cluster.on_head("cd ~/jetscale && jetscale report sweeps/tiny.py --out ~/report.html")
    cluster.ray('rsync-down cluster/onprem.yaml "~/report.html" report.html')
    page = (cluster.hosts.laptop.outside / "project" / "report.html").read_text()
    assert "</html>" in page
    assert "tiny" in page


def test_dashboard_and_mlflow_listen_on_loopback_alone(cluster):
    ports = cluster.hosts.head.listening()
    assert ports[8265] == ports[5000] == {"127.0.0.1"}
    assert not {8265, 5000} & cluster.hosts.worker.listening().keys()
    laptop = cluster.hosts.laptop
    for port in (8265, 5000):
        assert laptop.run(f"echo > /dev/tcp/10.77.0.1/{port}").returncode != 0
    assert laptop.run("echo > /dev/tcp/10.77.0.1/6379").returncode == 0


@pytest.mark.parametrize(
    ("line", "port", "path", "answer"),
    [
        ("ray dashboard cluster/onprem.yaml", 8265, "/", "Ray Dashboard"),
        ("ray attach cluster/onprem.yaml --port-forward 5000", 5000, "/version", r"^3\."),
    ],
)
def test_pages_reach_the_laptop_through_ssh(cluster, line, port, path, answer):
    laptop = cluster.hosts.laptop
    fetch = f"import urllib.request as u; print(u.urlopen('http://localhost:{port}{path}').read())"
    with staying(laptop, f"cd ~/project && exec {line}"):
        code = f'python -c "{fetch}"'
        wait_until(lambda: laptop.run(code).returncode == 0, f"no answer: {line}")
        found = laptop.run(code).stdout.removeprefix("b'")
    assert re.search(answer, found)


@contextmanager
def staying(host: Host, line: str) -> Iterator[None]:
    """A command that stays, as it does at a terminal that nobody types at."""
    process = subprocess.Popen(
        host.command(line),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
    )
    try:
        yield
    finally:
        host.run("pkill ssh; pkill -f 'ray (dashboard|attach)'")
        process.wait()
        process.stdin.close()


def test_mlflow_shows_the_runs(cluster, trained):
    code = (
        "import mlflow; runs = mlflow.search_runs(search_all_experiments=True); "
        "print(sorted(runs['tags.jetscale.key'].dropna()).__len__(), 'keys')"
    )
    (cluster.hosts.head.outside / "count.py").write_text(code)
    assert "28 keys" in cluster.on_head("python ~/count.py")


@pytest.mark.parametrize(
    ("settings", "welcome"),
    [
        ({"RAY_AUTH_MODE": "token"}, True),
        ({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64}, False),
        ({"RAY_AUTH_MODE": "disabled"}, False),
    ],
)
def test_who_has_no_token_is_refused(cluster, settings, welcome):
    done = cluster.hosts.laptop.run("ray status --address 10.77.0.1:6379", **settings)
    assert (done.returncode == 0) == welcome, done.stdout
    assert ("2 local.cluster.node" in done.stdout) == welcome
    assert ("InvalidAuthToken" in done.stdout) != welcome


NEXT = """
from pathlib import Path
from jetscale.compute.connect import connection

with connection("auto", Path.home()) as capacity:
    print(capacity.cpus, "CPUs")
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_driver_that_is_killed_leaves_nothing_reserved(cluster, sweep, number):
    """The next sweep on a standing cluster finds all of it free; each signal after another."""
    text = sweep.read_text().replace('"tiny"', '"long"').replace("epochs=20", "epochs=50_000")
    (cluster.hosts.laptop.outside / "project" / "sweeps" / "long.py").write_text(text)
    cluster.ray('rsync-up cluster/onprem.yaml sweeps/ "~/jetscale/sweeps/"')
    beats = cluster.results / "long" / "running"
    shutil.rmtree(beats, ignore_errors=True)
    line = "jetscale run sweeps/long.py --address auto"
    with (cluster.hosts.shared / "driver.log").open("wb") as log:
        driver = subprocess.Popen(
            cluster.hosts.head.command(f". ~/.jetscale_env && cd ~/jetscale && exec {line}"),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        wait_until(lambda: len(list(beats.glob("*.json"))) >= 2, "two runs were not begun")
        assert "reserved in placement groups" in cluster.on_head("ray status")
    finally:
        os.kill(child_of(driver), number)
        driver.wait()
    # Ray itself forgets a group that was being made when the driver died
    (cluster.hosts.head.outside / "next.py").write_text(NEXT)
    free = re.compile(r"^ 0\.0/4\.0 CPU\s*$", flags=re.MULTILINE)

    def freed() -> bool:
        assert "4 CPUs" in cluster.on_head("python ~/next.py")
        return bool(free.search(cluster.on_head("ray status")))

    wait_until(freed, "CPUs are still reserved")


def test_nothing_stays_behind(cluster):
    """The last test of the module: it ends the cluster."""
    cluster.on_head("bash ~/jetscale/cluster/mlflow_server.sh stop")
    cluster.ray("down -y cluster/onprem.yaml")
    for host in (cluster.hosts.head, cluster.hosts.worker):
        wait_until(lambda: host.processes() == [], f"{host.name} still runs")  # noqa: B023
        assert host.processes() == []
