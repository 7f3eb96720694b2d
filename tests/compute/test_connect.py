"""Connecting to Ray: what it offers, where it puts its files, and what goes wrong."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from jetscale.compute import connect
from jetscale.compute.connect import (
    connection,
    executor,
    init_arguments,
    named_cluster,
    private_folder,
)
from jetscale.errors import SweepError
from jetscale.executor import ProcessPool
from jetscale.machines import cores
from jetscale.store.copies import storage_check
from jetscale.store.home import Home
from jetscale.sweep.stop import Stopped, stopping


def test_ray_gets_a_tenth_of_the_memory_within_bounds(monkeypatch):
    for gigabytes, expected in ((1, 0.2), (16, 1.6), (1000, 8)):
        pages = int(gigabytes * 1e9 / 4096)
        sizes = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": pages}
        monkeypatch.setattr("os.sysconf", sizes.get)
        found = init_arguments(None, Path("/tmp/x"))
        assert found["object_store_memory"] == pytest.approx(expected * 1e9, rel=1e-3)
        assert found["_temp_dir"] == "/tmp/x"


def test_a_cluster_is_joined_not_configured():
    arguments = init_arguments("auto", None)
    assert arguments["address"] == "auto"
    assert "num_cpus" not in arguments


def test_an_address_that_does_not_answer_is_one_line(tmp_path):
    with (
        pytest.raises(SweepError, match=r"Ray on 127.0.0.1:1 does not answer") as caught,
        connection("127.0.0.1:1", tmp_path),
    ):
        pass
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("asked", "environment", "joined"),
    [
        (None, "10.0.0.1:6379", "10.0.0.1:6379"),
        ("auto", "10.0.0.1:6379", "auto"),
        (None, "", None),
        ("", "", None),
        (None, None, None),
    ],
)
def test_the_cluster_this_process_was_started_in_is_joined(monkeypatch, asked, environment, joined):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    if environment is not None:
        monkeypatch.setenv("RAY_ADDRESS", environment)
    assert named_cluster(asked) == joined


def test_without_a_cluster_the_executor_is_a_pool(tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "")
    with executor(None, tmp_path, 3) as found:
        assert isinstance(found, ProcessPool)
        assert found.slots == 3
    with executor(None, tmp_path) as found:
        assert found.slots == cores()


@pytest.fixture
def places(tmp_path, monkeypatch):
    """A short temporary folder and a writable home, as Ray wants them."""
    home = tmp_path / "home"
    home.mkdir()
    for name in ("RAY_TMPDIR", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TMPDIR", "/tmp")
    monkeypatch.setenv("HOME", str(home))
    return home


def test_where_the_usual_places_serve_nothing_is_changed(places):
    before = dict(os.environ)
    with private_folder(local=True) as folder:
        assert folder is None
        assert dict(os.environ) == before


@pytest.mark.parametrize("name", ["TMPDIR", "RAY_TMPDIR"])
def test_a_long_temporary_path_is_replaced_by_a_short_one(places, tmp_path, monkeypatch, name):
    monkeypatch.setenv(name, str(tmp_path / ("x" * 90)))
    with private_folder(local=True) as folder:
        assert len(str(folder)) < 30
        assert folder.is_dir()
        assert os.environ["HOME"] == str(places)
    assert not folder.exists()
    with private_folder(local=False) as folder:
        assert folder is None


@pytest.mark.parametrize("home", ["/proc/nowhere", None])
def test_a_home_that_cannot_hold_the_token(places, monkeypatch, home):
    if home:
        monkeypatch.setenv("HOME", home)
    else:
        monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("no home")))
    before = dict(os.environ)
    with private_folder(local=True) as folder:
        token = Path(os.environ["RAY_AUTH_TOKEN_PATH"])
        assert token.parent == folder
        assert token.stat().st_mode & 0o777 == 0o600
        assert len(token.read_text()) == 64
        assert os.environ["HOME"] == str(folder)
    assert dict(os.environ) == before
    assert not folder.exists()


def test_no_folder_at_all_is_one_line(places, monkeypatch):
    monkeypatch.setenv("TMPDIR", "/tmp/" + "x" * 90)

    def refused(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(connect, "TemporaryDirectory", refused)
    with (
        pytest.raises(SweepError, match=r"set RAY_TMPDIR to .* at most 32 characters") as caught,
        private_folder(local=True),
    ):
        pass
    assert "\n" not in str(caught.value)


def test_the_token_is_for_its_owner_alone(tmp_path, monkeypatch):
    token = tmp_path / "token"
    token.write_text("secret")
    token.chmod(0o644)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(token))
    connect.protect_token()
    assert token.stat().st_mode & 0o777 == 0o600
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "absent"))
    connect.protect_token()


def test_standard_error_is_silent_in_the_block_and_back_after_it(capfd):
    with connect.quiet_start():
        os.write(2, b"unwanted\n")
    os.write(2, b"wanted\n")
    assert capfd.readouterr().err == "wanted\n"


USE_RAY = """
import os, signal, sys
from pathlib import Path
from jetscale.compute.connect import connection
from jetscale.compute.tasks import RayExecutor

def double(x):
    return 2 * x

before = signal.getsignal(signal.SIGTERM)
with connection(None, Path(".")) as capacity:
    assert capacity.local
    print(sorted(RayExecutor().map(double, [1, 2, 3])), flush=True)
    assert signal.getsignal(signal.SIGTERM) is before
    if "--term" in sys.argv:
        os.kill(os.getpid(), signal.SIGTERM)
"""


def use_ray(tmp_path, *arguments, prefix=(), **environment):
    script = tmp_path / "use_ray.py"
    script.write_text(USE_RAY)
    variables = {k: v for k, v in (os.environ | environment).items() if v is not None}
    return subprocess.run(
        [*prefix, sys.executable, script, *arguments],
        env=variables,
        capture_output=True,
        text=True,
    )


@pytest.mark.long
@pytest.mark.integration
@pytest.mark.parametrize(
    "environment",
    [
        {"TMPDIR": "/tmp/" + "x" * 90, "RAY_ADDRESS": ""},
        {"HOME": "/proc/nowhere", "RAY_ADDRESS": None},
    ],
)
def test_ray_works_and_is_silent_where_its_usual_places_do_not_serve(tmp_path, environment):
    done = use_ray(tmp_path, **environment)
    assert (done.returncode, done.stdout, done.stderr) == (0, "[2, 4, 6]\n", "")


@pytest.mark.integration
@pytest.mark.skipif(os.getuid() != 0, reason="needs root to be somebody else")
def test_ray_works_for_a_user_without_a_name_and_a_home(monkeypatch):
    """A container that is run with an arbitrary user id."""
    user = ("setpriv", "--reuid", "23456", "--regid", "23456", "--clear-groups")
    if subprocess.run([*user, "sh", "-c", f"exec {sys.executable} -c ''"], check=False).returncode:
        pytest.skip(f"others may not run {sys.executable}")
    monkeypatch.delenv("TMPDIR", raising=False)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        nameless = {"HOME": None, "USER": None, "LOGNAME": None, "PYTHONDONTWRITEBYTECODE": "1"}
        done = use_ray(Path(folder), prefix=user, **nameless)
    assert (done.returncode, done.stdout) == (0, "[2, 4, 6]\n"), done.stderr


@pytest.mark.long
@pytest.mark.integration
@pytest.mark.skipif(os.getuid() != 0, reason="needs root for a network of its own")
def test_without_a_network_nothing_is_printed(tmp_path):
    done = use_ray(tmp_path, prefix=("unshare", "-n", "sh", "-c", 'ip link set lo up; "$0" "$@"'))
    if "unshare" in done.stderr or "ip:" in done.stderr:
        pytest.skip("no network of its own here")
    assert (done.returncode, done.stdout, done.stderr) == (0, "[2, 4, 6]\n", "")


def test_sigterm_while_ray_starts_keeps_its_meaning():
    def start():
        with stopping(), connect.quiet_start():
            signal.signal(signal.SIGTERM, lambda number, _: sys.exit(number))  # as ray.init does
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(Stopped) as told:
        start()
    assert told.value.number == signal.SIGTERM


@pytest.mark.long
@pytest.mark.integration
def test_sigterm_ends_without_a_stack_of_ray(tmp_path):
    done = use_ray(tmp_path, "--term")
    assert done.returncode == -signal.SIGTERM
    assert (done.stdout, done.stderr) == ("[2, 4, 6]\n", "")


@pytest.mark.integration
@pytest.mark.filterwarnings("ignore")
def test_every_node_is_asked_whether_it_reaches_the_results(small_ray, tmp_path):
    connect._check_shared(tmp_path)
    with pytest.raises(SweepError, match=r"node \S+ does not see .*nothing: set JETSCALE_HOME"):
        connect._check_shared(tmp_path / "nothing")
    with storage_check(Home(tmp_path)) as check:
        connect._check_shared(tmp_path, check)
    # what one process has in memory is nowhere else
    with storage_check(Home(tmp_path, "memory://results")) as check:
        check()
        told = r"node \S+ cannot read memory://results/check/\S+: it is not the same storage here"
        with pytest.raises(SweepError, match=told):
            connect._check_shared(tmp_path, check)
