"""cluster/slurm.sh on two emulated hosts, two jobs at a time, with a stand-in for srun."""

import os
import re
import shutil
import signal
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest
from fixtures.hosts import Hosts, child_of, install, write_meeting
from fixtures.waiting import wait_until

from jetscale.jets.shards import write_shards
from jetscale.planning import plan_runs
from jetscale.store.home import Home
from jetscale.store.records import RecordStore, RunState
from jetscale.study.load import load_study

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
SWEEP = """
from jetscale.study import Controls, Folders, Mixture, ModelSize, Study

def study():
    root = {root!r}
    return Study(
        name={name!r},
        source=Folders(train=root + "/train", validation=root + "/validation",
                       test=root + "/test"),
        mixtures=(Mixture(name="scratch"),),
        ladder=(ModelSize(width=8, layers=1, heads=1),),
        data_sizes=(50, 100), seeds=(1, 2, 3),
        controls=Controls(pretraining_jets=100, validation_jets=50, test_jets=80,
                          constituents=16, epochs={epochs}, learning_rate=0.01,
                          objective={objective!r}),
    )
"""


@pytest.fixture(scope="module")
def site(two_hosts: Hosts, make_jets) -> Hosts:
    """A home and a checkout that both hosts share, and an environment on each."""
    project, home = two_hosts.shared / "project", two_hosts.shared / "user"
    home.mkdir()
    shutil.copytree(two_hosts.laptop.outside / ".ssh", home / ".ssh")
    for name in ("src", "cluster"):
        shutil.copytree(ROOT / name, project / name, ignore=shutil.ignore_patterns("__pycache__"))
    install(two_hosts, project, "prepared")
    for i, (role, jets) in enumerate([("train", 200), ("validation", 60), ("test", 90)]):
        write_shards(
            project / "jets" / role, [make_jets(jets, range(10), i)], corpus="jetclass", role=role
        )
    programs = two_hosts.shared / "bin"
    programs.mkdir()
    shutil.copy(Path(__file__).with_name("srun"), programs)
    return two_hosts


def submit(hosts: Hosts, job: int, stack: ExitStack, epochs: int = 300) -> subprocess.Popen[str]:
    """Start the batch script on the first host, as `sbatch` would.

    The runs are expected to take so long that a second worker group pays: 23 s by the plan.
    """
    project, venv = hosts.shared / "project", hosts.home / "jetscale-venv"
    (project / "sweeps").mkdir(exist_ok=True)
    module = project / "sweeps" / f"meeting_of_{job}.py"
    values = {"objective": write_meeting(module, project / f"met{job}"), "epochs": epochs}
    text = SWEEP.format(root=str(project / "jets"), name=f"job{job}", **values)
    (project / "sweeps" / f"job{job}.py").write_text(text)
    environment = {
        "HOME": str(hosts.shared / "user"),
        "PATH": f"{hosts.shared / 'bin'}:/usr/sbin:/usr/bin:/sbin:/bin",
        "JETSCALE_VENV": str(venv),
        "SLURM_JOB_ID": str(job),
        "SLURM_SUBMIT_DIR": str(project),
        "SLURM_JOB_NUM_NODES": "2",
        "SLURM_CPUS_PER_TASK": "2",
        "STAND_IN_HOSTS": f"{hosts.head.address} {hosts.worker.address}",
    }
    line = f"exec bash {project}/cluster/slurm.sh sweeps/job{job}.py"
    process = subprocess.Popen(
        hosts.head.command(line, **environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    stack.callback(process.kill)
    return process


def store_of(hosts: Hosts, job: int) -> tuple[RecordStore, list]:
    project = hosts.shared / "project"
    study = load_study(project / "sweeps" / f"job{job}.py")
    planned = plan_runs(study)
    return RecordStore(Home(project / "runs").study(study)), planned


def nothing_is_left(hosts: Hosts) -> None:
    for host in (hosts.head, hosts.worker):
        wait_until(lambda: host.processes() == [], f"{host.name} still runs")  # noqa: B023
        assert not list((host.folder / "tmp").glob("ray-*"))


def test_two_jobs_on_the_same_hosts_do_not_meet(site):
    with ExitStack() as stack:
        jobs = {job: submit(site, job, stack) for job in (41, 42)}
        dashboards = {10_000 + 3 * job + 1 for job in jobs}
        wait_until(
            lambda: dashboards <= site.head.listening().keys(), "not both dashboards are there"
        )
        ports = site.head.listening()
        assert {address for port in dashboards for address in ports[port]} == {"127.0.0.1"}
        assert not dashboards & site.worker.listening().keys()
        said = {job: process.communicate(timeout=900)[0] for job, process in jobs.items()}
    for job, process in jobs.items():
        assert process.returncode == 0, f"job {job}: {said[job]}"
    for job, text in said.items():
        assert "6 of 6 runs done" in text
        store, planned = store_of(site, job)
        records = store.read_all(run.key for run in planned)
        assert {record.host for record in records.values()} == {"head", "worker"}
    token = site.shared / "user" / ".ray" / "auth_token"
    assert token.stat().st_mode & 0o777 == 0o600
    nothing_is_left(site)


def test_a_job_whose_time_is_up_keeps_its_state(site):
    with ExitStack() as stack:
        process = submit(site, 43, stack, epochs=100_000)  # minutes
        store, planned = store_of(site, 43)
        wait_until(lambda: len(store.storage.names("running")) >= 2, "no runs were begun")
        os.kill(
            child_of(process), signal.SIGTERM
        )  # to the batch script, as --signal=B:TERM asks for
        said = process.communicate(timeout=900)[0]
        assert process.returncode == 143, said
    assert re.search("jetscale: stopped; finished work is kept", said)
    states = [row.state for row in store.status(planned)]
    assert RunState.EVICTED in states
    assert RunState.FAILED not in states
    nothing_is_left(site)
