"""Faults made for real: servers that die or hang, disks that are full or read-only."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from jetscale.jets.shards import write_shards

PATIENCE = 900  # seconds; others may want the machine


def wait_for(condition: Callable[[], object], what: str) -> None:
    """Wait until a condition holds, as long as that takes on a busy machine."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"no {what} in {PATIENCE} s"
        time.sleep(0.05)


class Server:
    """A real `mlflow server` that can be killed and started again on the same database."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def up(self) -> "Server":
        """Start it unless it runs, and wait until it answers."""
        if self.process is None:
            command = [sys.executable, "-m", "mlflow", "server", "--workers", "1"]
            command += ["--host", "127.0.0.1", "--port", str(self.port)]
            command += ["--backend-store-uri", f"sqlite:///{self.folder / 'server.db'}"]
            command += ["--artifacts-destination", str(self.folder / "artifacts")]
            with (self.folder / "log").open("ab") as log:
                self.process = subprocess.Popen(
                    command,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    env=os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true"},
                )
        wait_for(self._answers, "MLflow server")
        return self

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.uri}/health", timeout=60):
                return True
        except (urllib.error.URLError, OSError):
            assert self.process is None or self.process.poll() is None, "the server ended"
            return False

    def kill(self) -> None:
        """End it and its workers at once, as a lost machine does."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None


@pytest.fixture(scope="module")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server of a module; a test that kills it need not start it again."""
    server = Server(tmp_path_factory.mktemp("server"))
    yield server
    server.kill()


@pytest.fixture
def server(mlflow_server: Server) -> Server:
    """A server that answers."""
    return mlflow_server.up()


class Listener:
    """A server that accepts every connection and gives each the same answer, or none."""

    def __init__(self, answer: bytes | None = None) -> None:
        self.answer = answer
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.uri = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        self.connections: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                connection, _ = self.socket.accept()
                if self.answer is not None:
                    connection.recv(65536)
                    connection.sendall(self.answer)
                    connection.close()
                self.connections.append(connection)

    def drop(self) -> None:
        """Close the connections that wait for an answer."""
        for connection in list(self.connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def close(self) -> None:
        """Close everything."""
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.drop()


@pytest.fixture
def listener() -> Iterator[Callable[..., Listener]]:
    """A function that opens a `Listener`."""
    made: list[Listener] = []

    def make(answer: bytes | None = None) -> Listener:
        made.append(Listener(answer))
        return made[-1]

    yield make
    for one in made:
        one.close()


@contextmanager
def mounted(folder: Path, *options: str) -> Iterator[Path]:
    """The folder as a mount; skips the test where this user may not mount."""
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(["mount", *options, str(folder)], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"cannot mount: {done.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """A folder that nobody can write to for the length of the block."""
    if os.geteuid() == 0:  # permissions do not hold root up, a read-only file system does
        with mounted(folder, "--bind", str(folder)):
            subprocess.run(["mount", "-o", "remount,ro,bind", str(folder)], check=True)
            yield
        return
    places = [folder, *folder.rglob("*")]
    modes = {place: place.stat().st_mode for place in places}
    try:
        for place in reversed(places):
            place.chmod(0o555 if place.is_dir() else 0o444)
        yield
    finally:
        for place in places:
            place.chmod(modes[place])


SWEEP = """
from jetscale.study import Controls, Folders, Mixture, ModelSize, Study

def study():
    root = {root!r}
    return Study(
        name="small",
        source=Folders(train=root + "/train", validation=root + "/validation",
                       test=root + "/test", pretrain={{"qcd": root + "/qcd"}}),
        mixtures=(Mixture(name="scratch"), Mixture(name="qcd", parts={{"qcd": 1}})),
        ladder=(ModelSize(width=8, layers=1, heads=1),),
        data_sizes=(50, 100), seeds=(1, 2),
        controls=Controls(pretraining_jets=100, validation_jets=50, test_jets=80,
                          constituents=16, epochs={epochs}, learning_rate=0.01),
    )
"""


@pytest.fixture(scope="session")
def shards(tmp_path_factory: pytest.TempPathFactory, make_jets: Callable[..., object]) -> Path:
    """Shard folders of every role, and a part to pretrain on."""
    root = tmp_path_factory.mktemp("shards")
    for i, (role, jets) in enumerate([("train", 120), ("validation", 60), ("test", 90)]):
        write_shards(root / role, [make_jets(jets, range(10), i)], corpus="jetclass", role=role)
    qcd = make_jets(120, range(161, 188), 9)
    write_shards(root / "qcd", [qcd], corpus="jetclass2", role="pretrain")
    return root


@pytest.fixture
def sweep(tmp_path: Path, shards: Path) -> Callable[..., Path]:
    """A function that writes a sweep file: 8 fine-tuning runs and a pretraining run for 4."""

    def write(root: Path = shards, epochs: int = 2) -> Path:
        path = tmp_path / "small.py"
        path.write_text(SWEEP.format(root=str(root), epochs=epochs))
        return path

    return write


def start(
    *arguments: str | Path, home: Path, log: Path, **environment: str
) -> subprocess.Popen[bytes]:
    """A `jetscale` command in a process of its own, everything it says in a file."""
    given = {k: v for k, v in os.environ.items() if k != "MLFLOW_TRACKING_URI"}
    given |= {"JETSCALE_HOME": str(home), "COLUMNS": "200"} | environment
    command = [sys.executable, "-m", "jetscale", *map(str, arguments)]
    with log.open("wb") as file:
        return subprocess.Popen(command, env=given, stdout=file, stderr=file)


def call(*arguments: str | Path, home: Path, **environment: str) -> tuple[int, str]:
    """Exit code and words of a `jetscale` command in a process of its own."""
    log = home.parent / f"log-{arguments[0]}"
    process = start(*arguments, home=home, log=log, **environment)
    try:
        return process.wait(PATIENCE), log.read_text()
    finally:
        process.kill()
        process.wait()
