"""cluster/*.sh, run with stub commands in a home folder of their own."""

import re
import subprocess
from pathlib import Path

import pytest

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


class TestMlflowServer:
    @pytest.fixture
    def results(self, home):
        home.stub("python", '#!/bin/bash\n[ -f "$HOME/up" ]\n')
        home.stub("setsid", '#!/bin/bash\nexec "$@"\n')
        home.stub("sleep", "#!/bin/bash\nexec /bin/sleep 0.05\n")
        return home.folder / "runs"

    def test_one_local_process_on_the_shared_database(self, home, results):
        home.stub("mlflow", '#!/bin/bash\necho "mlflow $*" >> "$STUB_LOG"\ntouch "$HOME/up"\n')
        done = home.run(MLFLOW, JETSCALE_HOME=str(results))
        assert done.returncode == 0, done.stderr
        (call,) = home.calls("mlflow")
        assert "server --host 127.0.0.1 --port 5000 --workers 1" in call
        assert f"--backend-store-uri sqlite:///{results}/mlflow.db" in call
        assert (results / "mlflow.host").read_text() == home.run("hostname").stdout

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


class TestSlurm:
    @pytest.fixture
    def job(self, home):
        submit = home.folder / "project"
        (submit / "sweeps").mkdir(parents=True)
        (submit / "sweeps" / "quickstart.py").touch()
        (submit / ".venv" / "bin").mkdir(parents=True)
        (submit / ".venv" / "bin" / "activate").write_text("export IN_VENV=1\n")
        (submit / ".venv" / "bin" / "ray").symlink_to(home.bin / "ray")
        home.stub("hostname", "#!/bin/bash\necho fe80::1 10.1.2.3 192.168.0.9\n")
        home.stub("srun", '#!/bin/bash\necho "$RAY_AUTH_MODE|$IN_VENV|$JETSCALE_HOME|$*"\n')
        return {
            "SLURM_JOB_ID": "7",
            "SLURM_SUBMIT_DIR": str(submit),
            "SLURM_JOB_NUM_NODES": "2",
            "SLURM_CPUS_PER_TASK": "16",
            "SLURM_GPUS_ON_NODE": "1",
        }

    def test_one_command_on_every_node(self, home, job):
        done = home.run("bash ~/jetscale/cluster/slurm.sh sweeps/quickstart.py", **job)
        assert done.returncode == 0, done.stderr
        mode, venv, results, command = done.stdout.strip().split("|")
        assert (mode, venv) == ("token", "1")
        assert results == f"{job['SLURM_SUBMIT_DIR']}/runs"
        assert command == (
            "--nodes=2 --ntasks=2 --ntasks-per-node=1 "
            "ray symmetric-run --address 10.1.2.3:6379 --min-nodes 2 "
            "--num-cpus=16 --num-gpus=1 --dashboard-host=127.0.0.1 "
            "-- jetscale run sweeps/quickstart.py --address auto"
        )
        assert home.calls("ray") == ["get-auth-token --generate"]
        assert (home.folder / ".ray" / "auth_token").stat().st_mode & 0o777 == 0o600

    def test_job_without_gpus(self, home, job):
        del job["SLURM_GPUS_ON_NODE"]
        done = home.run("bash ~/jetscale/cluster/slurm.sh sweeps/quickstart.py", **job)
        assert "--num-gpus=0 " in done.stdout

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
