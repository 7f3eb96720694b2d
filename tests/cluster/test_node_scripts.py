"""cluster/*.sh, run with stub commands in a home folder of their own."""

import re
import socket
import subprocess
from pathlib import Path

import pytest
from fixtures.hosts import wait_until

from .conftest import LOG

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted((ROOT / "cluster").glob("*.sh"))
SETUP = "bash ~/jetscale/cluster/setup_node.sh"
MLFLOW = "bash ~/jetscale/cluster/mlflow_server.sh"


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_syntax_strict_mode_and_mode_bits(script):
    subprocess.run(["bash", "-n", str(script)], check=True)
    assert "set -euo pipefail\n" in script.read_text()
    assert script.stat().st_mode & 0o100


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_services_bind_to_loopback(script):
    hosts = re.findall(r"--(?:dashboard-)?host[= ](\S+)", script.read_text())
    assert set(hosts) <= {"127.0.0.1"}
    assert "0.0.0.0" not in script.read_text()


class TestSetup:
    @pytest.fixture
    def settings(self, home):
        return {"JETSCALE_HOME": str(home.folder / "mnt" / "runs"), "JETSCALE_EXTRAS": "simulate"}

    def test_installs_under_the_constraints(self, home, settings):
        done = home.run(SETUP, **settings)
        assert done.returncode == 0, done.stderr
        (pip,) = home.calls("python")
        checkout = home.folder / "jetscale"
        assert pip.startswith("-m pip install")
        assert f"-c {checkout}/constraints.txt -e {checkout}[simulate]" in pip

    def test_without_extras(self, home, settings):
        home.run(SETUP, JETSCALE_HOME=settings["JETSCALE_HOME"])
        (pip,) = home.calls("python")
        assert pip.endswith("/jetscale")

    def test_second_run_installs_nothing_and_repeats_no_line(self, home, settings):
        home.run(SETUP, **settings)
        assert home.run(SETUP, **settings).returncode == 0
        assert len(home.calls("python")) == 1
        assert (home.folder / ".bashrc").read_text().count("jetscale_env") == 1

    def test_other_extras_install_again(self, home, settings):
        home.run(SETUP, **settings)
        home.run(SETUP, **settings | {"JETSCALE_EXTRAS": "simulate,cloud"})
        assert len(home.calls("python")) == 2

    def test_failed_install_is_not_taken_for_done(self, home, settings):
        home.stub("venv-python", "#!/bin/bash\nexit 1\n")
        assert home.run(SETUP, **settings).returncode != 0
        assert not (home.folder / "jetscale-venv" / ".installed").exists()

    def test_login_shell_gets_the_environment(self, home, settings):
        home.run(SETUP, **settings)
        shown = home.run(". ~/.bashrc; env").stdout.splitlines()
        expected = {
            "RAY_AUTH_MODE=token",
            "RAY_USAGE_STATS_ENABLED=0",
            "MLFLOW_DISABLE_TELEMETRY=true",
            f"JETSCALE_HOME={settings['JETSCALE_HOME']}",
            "IN_VENV=1",
        }
        assert expected <= set(shown)
        assert not any(line.startswith("MLFLOW_TRACKING_URI") for line in shown)

    def test_the_server_node_logs_through_the_server(self, home, settings):
        home.run(SETUP, **settings)
        home.run('. ~/.jetscale_env; hostname > "$JETSCALE_HOME/mlflow.host"')
        shown = home.run(". ~/.jetscale_env; echo $MLFLOW_TRACKING_URI").stdout
        assert shown == "http://127.0.0.1:5000\n"

    def test_mounts_the_shared_folder(self, home, settings):
        nfs = {"JETSCALE_NFS": "server:/export", "JETSCALE_NFS_OPTIONS": "nfsvers=4.1,hard"}
        done = home.run(SETUP, **settings | nfs)
        assert done.returncode == 0, done.stderr
        mount = f"-t nfs -o nfsvers=4.1,hard server:/export {home.folder}/mnt"
        assert home.calls("mount") == [mount]

    def test_mounted_folder_is_not_mounted_again(self, home, settings):
        home.stub("mountpoint", "#!/bin/bash\nexit 0\n")
        home.run(SETUP, **settings, JETSCALE_NFS="server:/export")
        assert home.calls("mount") == []

    def test_failed_mount_says_what_to_check(self, home, settings):
        home.stub("mount", "#!/bin/bash\nexit 32\n")
        done = home.run(SETUP, **settings, JETSCALE_NFS="server:/export")
        assert done.returncode == 1
        assert "cannot mount server:/export" in done.stderr
        assert home.calls("python") == []

    def test_token_is_required_and_private(self, home, settings):
        token = home.folder / ".ray" / "auth_token"
        token.chmod(0o644)
        home.run(SETUP, **settings)
        assert token.stat().st_mode & 0o777 == 0o600
        token.unlink()
        done = home.run(SETUP, **settings)
        assert done.returncode == 1
        assert "ray get-auth-token --generate" in done.stderr

    def test_home_folder_setting_is_required(self, home):
        done = home.run(SETUP)
        assert done.returncode == 1
        assert "JETSCALE_HOME is not set" in done.stderr

    def test_unsuitable_python_is_named(self, home, settings):
        home.stub("python3", "#!/bin/bash\n[ $1 = --version ] && echo Python 3.10.9\nexit 1\n")
        done = home.run(SETUP, **settings)
        assert done.returncode == 1
        assert "Python 3.10.9" in done.stderr
        assert "3.11, 3.12 or 3.13" in done.stderr


SERVER = """#!/bin/bash
echo "mlflow $* $MLFLOW_BACKEND_STORE_URI" >> "$STUB_LOG"
touch "$HOME/up"
"""


class TestMlflowServer:
    @pytest.fixture
    def results(self, home):
        home.stub("python", '#!/bin/bash\n[ -f "$HOME/up" ]\n')
        home.stub("setsid", '#!/bin/bash\nexec "$@"\n')
        home.stub("sleep", "#!/bin/bash\nexec /bin/sleep 0.05\n")
        return home.folder / "runs"

    def test_one_local_process_on_the_shared_database(self, home, results):
        home.stub("mlflow", SERVER)
        done = home.run(MLFLOW, JETSCALE_HOME=str(results))
        assert done.returncode == 0, done.stderr
        (call,) = home.calls("mlflow")
        assert "server --host 127.0.0.1 --port 5000 --workers 1" in call
        assert f"--artifacts-destination {results}/mlartifacts" in call
        assert f"sqlite:///{results}/mlflow.db" in call
        assert (results / "mlflow.host").read_text() == home.run("hostname").stdout

    def test_another_database_takes_more_processes_and_no_command_line_names_it(
        self, home, results
    ):
        home.stub("mlflow", SERVER)
        address = "postgresql://me:secret@dbhost/mlflow"
        home.run(MLFLOW, JETSCALE_HOME=str(results), JETSCALE_MLFLOW_DATABASE=address)
        (call,) = home.calls("mlflow")
        assert call.endswith(f"--artifacts-destination {results}/mlartifacts {address}")
        assert "--workers 4" in call

    def test_stop_without_a_server_says_so(self, home, results):
        done = home.run(f"{MLFLOW} stop", JETSCALE_HOME=str(results))
        assert done.returncode == 1
        assert "no server was started" in done.stderr

    def test_running_server_is_kept(self, home, results):
        home.stub("mlflow", '#!/bin/bash\necho "mlflow $*" >> "$STUB_LOG"\n')
        (home.folder / "up").touch()
        assert home.run(MLFLOW, JETSCALE_HOME=str(results)).returncode == 0
        assert home.calls("mlflow") == []

    def test_failure_shows_the_end_of_the_log(self, home, results):
        home.stub("mlflow", "#!/bin/bash\necho database is locked >&2\nexit 1\n")
        done = home.run(MLFLOW, JETSCALE_HOME=str(results))
        assert done.returncode == 1
        assert "database is locked" in done.stderr
        assert not (results / "mlflow.host").exists()


SLURM = "bash ~/jetscale/cluster/slurm.sh sweeps/quickstart.py"


class TestEndWithHead:
    @pytest.mark.slow
    def test_ray_ends_when_nobody_answers_any_more(self, home):
        home.stub("sleep", "#!/bin/bash\necho sleep >> $STUB_LOG\nexec /bin/sleep 0.05\n")
        with socket.create_server(("127.0.0.1", 0)) as head:
            port = head.getsockname()[1]
            line = f"bash ~/jetscale/cluster/end_with_head.sh 127.0.0.1 {port}"
            assert home.run(f"{line}; {line}").returncode == 0  # the second one has nothing to do
            wait_until(lambda: len(home.calls("sleep")) > 10, "it does not look")
            assert home.calls("ray") == []
        wait_until(lambda: home.calls("ray") == ["stop"], "Ray was not ended")


# What a task of the job runs goes through bash, as srun would start it, with a stub for `ray`.
SRUN = """#!/bin/bash
trap 'echo srun-ended >> "$STUB_LOG"; exit 0' TERM
echo "srun ${@:1:3} $RAY_AUTH_MODE $IN_VENV $JETSCALE_HOME" >> "$STUB_LOG"
for SLURM_PROCID in 0 1; do
    export SLURM_PROCID
    "${@:4}"
done
while :; do sleep 0.05; done
"""


# As with Ray itself, a node has joined once Ray was started there, and not before.
JOINED = """[ "$1" != status ] || grep "^ray start" "$STUB_LOG" | awk '{ print " 1 node_" NR }'
"""


class TestSlurm:
    @pytest.fixture
    def job(self, home):
        submit = home.folder / "project"
        (submit / "sweeps").mkdir(parents=True)
        (submit / "sweeps" / "quickstart.py").touch()
        (submit / ".venv" / "bin").mkdir(parents=True)
        (submit / ".venv" / "bin" / "activate").write_text("export IN_VENV=1\n")
        (submit / ".venv" / "bin" / "ray").symlink_to(home.bin / "ray")
        home.stub("hostname", "#!/bin/bash\necho fe80::1 127.0.0.1 192.168.0.9\n")
        home.stub("srun", SRUN)
        home.stub("ray", "#!/bin/bash\n" + LOG + JOINED)
        home.stub("jetscale", "#!/bin/bash\n" + LOG + "exit ${CODE:-0}\n")
        return {
            "SLURM_JOB_ID": "7000007",
            "SLURM_SUBMIT_DIR": str(submit),
            "SLURM_JOB_NUM_NODES": "2",
            "SLURM_CPUS_PER_TASK": "16",
            "SLURM_GPUS_ON_NODE": "1",
        }

    @pytest.fixture(autouse=True)
    def port(self):
        """Somebody listens where the script looks for the head: the port of job 7000007."""
        with socket.create_server(("127.0.0.1", 10021)):
            yield

    @pytest.mark.slow
    def test_ray_on_every_node_and_the_sweep_on_the_first(self, home, job):
        done = home.run(SLURM, **job)
        assert done.returncode == 0, done.stderr
        (started,) = home.calls("srun")
        results = f"{job['SLURM_SUBMIT_DIR']}/runs"
        assert started == f"--nodes=2 --ntasks=2 --ntasks-per-node=1 token 1 {results}"
        head, worker = (call for call in home.calls("ray") if call.startswith("start"))
        assert (
            "--head --node-ip-address=127.0.0.1 --port=10021 --temp-dir=/tmp/ray-7000007 " in head
        )
        assert "--dashboard-host=127.0.0.1 --dashboard-port=10022 " in head
        assert worker.endswith(" --address=127.0.0.1:10021")
        for call in (head, worker):
            assert "--block --num-cpus=16 --num-gpus=1 --min-worker-port=0" in call
        assert home.calls("jetscale") == ["run sweeps/quickstart.py --address 127.0.0.1:10021"]
        assert home.calls("srun-ended") == [""]
        assert (home.folder / ".ray" / "auth_token").stat().st_mode & 0o777 == 0o600

    @pytest.mark.slow
    def test_the_exit_code_is_that_of_the_sweep(self, home, job):
        assert home.run(SLURM, **job, CODE="1").returncode == 1
        assert home.calls("srun-ended") == [""]

    @pytest.mark.slow
    def test_jobs_have_ports_and_folders_of_their_own(self, home, job):
        home.run(SLURM, **job)
        with socket.create_server(("127.0.0.1", 10024)):
            home.run(SLURM, **job | {"SLURM_JOB_ID": "7000008"})
        first, second = (
            set(re.findall(r"(?:port|dir)=(\S+)", call)) - {"0"}
            for call in home.calls("ray")
            if "--head" in call
        )
        assert len(first) == len(second) == 4
        assert not first & second

    @pytest.mark.slow
    def test_job_without_gpus(self, home, job):
        del job["SLURM_GPUS_ON_NODE"]
        home.run(SLURM, **job)
        assert all("--num-gpus=0 " in c for c in home.calls("ray") if c.startswith("start"))

    def test_ray_that_does_not_start_fails_the_job(self, home, job):
        home.stub("srun", "#!/bin/bash\necho no such partition >&2\nexit 1\n")
        home.stub("ray", "#!/bin/bash\n" + LOG)
        done = home.run(SLURM, **job)
        assert done.returncode == 1
        assert "Ray did not start" in done.stderr
        assert home.calls("jetscale") == []

    @pytest.mark.parametrize(
        ("arguments", "drop", "message"),
        [
            ("", "", "no sweep given"),
            ("sweeps/quickstart.py", "SLURM_JOB_ID", "submit with sbatch"),
            ("sweeps/absent.py", "", "no sweep file sweeps/absent.py"),
        ],
    )
    def test_mistakes_take_one_line(self, home, job, arguments, drop, message):
        job.pop(drop, None)
        done = home.run(f"bash ~/jetscale/cluster/slurm.sh {arguments}", **job)
        assert done.returncode == 1
        assert message in done.stderr
        assert done.stderr.count("\n") == 1

    def test_missing_environment(self, home, job):
        (Path(job["SLURM_SUBMIT_DIR"]) / ".venv" / "bin" / "ray").unlink()
        done = home.run("bash ~/jetscale/cluster/slurm.sh sweeps/quickstart.py", **job)
        assert done.returncode == 1
        assert "make venv" in done.stderr
