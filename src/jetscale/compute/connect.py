"""Starting Ray on this machine, or joining a cluster, silently, and counting what it offers."""

import os
import re
import secrets
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from jetscale.compute.capacity import Capacity, count
from jetscale.compute.leftovers import free_leftovers
from jetscale.errors import JetscaleError, SweepError
from jetscale.executor import Executor, process_pool
from jetscale.machines import cores

_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_SCHEDULER_EVENTS": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C is ours
}
_ANSWER = 60.0  # seconds in which a node must say whether it sees the results
_SOCKET_PATH = 107  # bytes, the limit of Unix sockets
_BELOW_TEMPORARY = 75  # bytes of /ray/session_DATE_TIME_MICROSECONDS_PID/sockets/plasma_store
_TOKEN = secrets.token_hex(32)  # of private sessions: Ray reads it once per process


@contextmanager
def connection(
    address: str | None,
    home: Path,
    device: str | None = None,
    per_gpu: int = 1,
    check: Callable[[], None] | None = None,
) -> Iterator[Capacity]:
    """A connection to Ray for the length of the block.

    ``address`` is the cluster to join; None joins the one of ``RAY_ADDRESS``, or starts Ray on this
    machine. ``device`` is what to train on, by default GPUs where there is one. All nodes must see
    the results folder ``home``, or pass ``check`` where results are elsewhere.

    Raises SweepError where the address does not answer, Ray cannot start, the cluster is too small,
    or a node does not see the results.
    """
    address = named_cluster(address)
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    if match := re.fullmatch(r"(?:ray://)?([^:/]+):(\d+)", address or ""):
        try:  # Ray itself would try for many minutes
            socket.create_connection((match[1], int(match[2])), timeout=10).close()
        except OSError as error:
            raise SweepError(
                f"Ray on {address} does not answer: {error.strerror or error}; check --address"
            ) from error
    with private_folder(local=address is None) as folder, ExitStack() as stack:
        import ray

        stack.enter_context(_no_notes())
        try:
            with quiet_start():
                ray.init(**init_arguments(address, folder))
        except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            raise SweepError(
                f"Ray on {address or 'this machine'} does not answer: {reason}"
            ) from error
        try:
            protect_token()
            capacity = count(ray.nodes(), local=address is None, device=device, per_gpu=per_gpu)
            if address is not None:
                free_leftovers()
            if check is not None or address is not None:
                _check_shared(home, check)
            yield replace(capacity, problem=partial(problem_of, home=home, check=check))
        finally:
            ray.shutdown()


@contextmanager
def executor(address: str | None, home: Path, workers: int | None = None) -> Iterator[Executor]:
    """The cluster if one is named, else processes of this machine; raises as `connection`.

    ``workers`` calls run at the same time, one for every core if it is None.
    """
    if named_cluster(address) is None:
        with process_pool(workers or cores()) as pool:
            yield pool
        return
    with connection(address, home):
        from jetscale.compute.tasks import RayExecutor

        yield RayExecutor(workers)


def named_cluster(address: str | None) -> str | None:
    """The cluster to join: the one asked for, else that of ``RAY_ADDRESS``, else None."""
    return address or os.environ.get("RAY_ADDRESS") or None


def init_arguments(address: str | None, folder: Path | None) -> dict[str, Any]:
    """Arguments of `ray.init`: a cluster is joined as it is, this machine is set up here."""
    quiet = {"log_to_driver": False, "logging_level": "CRITICAL"}
    if address is not None:
        return {"address": address, **quiet}
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "address": "local",  # not a cluster that happens to run on this machine
        # one CPU more than there are cores: drivers and data tasks need a share while workers train
        "num_cpus": cores() + 1,
        "include_dashboard": False,
        # jets stream through in pieces of some MB; Ray's default is a third of the memory
        "object_store_memory": min(max(memory // 10, 200_000_000), 8_000_000_000),
        "_temp_dir": str(folder) if folder else None,
        **quiet,
    }


@contextmanager
def private_folder(*, local: bool) -> Iterator[Path | None]:
    """A folder for Ray's session, token and home, where the usual places do not serve; else None.

    The path of sockets, below RAY_TMPDIR or TMPDIR, may be too long; HOME, where the token lies,
    may not be writable (a container) or not exist (an unknown user).
    """
    usual = Path(os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp")
    short = len(os.fsencode(usual)) + _BELOW_TEMPORARY <= _SOCKET_PATH
    try:
        (Path.home() / ".ray").mkdir(exist_ok=True)
        homely = os.access(Path.home() / ".ray", os.W_OK)
    except (OSError, RuntimeError):
        homely = False
    if not local or (short and homely and os.access(usual, os.W_OK)):
        yield None
        return
    for place in ("/tmp", "/var/tmp", "/dev/shm", "."):
        with suppress(OSError):
            folder = TemporaryDirectory(prefix="js-", dir=place, ignore_cleanup_errors=True)
            break
    else:
        raise SweepError(
            "Ray finds no folder for its sockets: set RAY_TMPDIR to a writable folder whose path "
            f"has at most {_SOCKET_PATH - _BELOW_TEMPORARY} characters"
        )
    with folder as name:
        if homely:
            yield Path(name).resolve()
            return
        token = Path(name) / "token"
        token.touch(mode=0o600)
        token.write_text(_TOKEN)
        user = os.environ.get("USER", "jetscale")  # asked for where the user has no name
        changes = {"HOME": name, "RAY_AUTH_TOKEN_PATH": str(token), "USER": user}
        before = {key: os.environ[key] for key in changes if key in os.environ}
        os.environ |= changes
        try:
            yield Path(name).resolve()
        finally:
            for key in changes:
                del os.environ[key]
            os.environ |= before


@contextmanager
def quiet_start() -> Iterator[None]:
    """Start Ray in the block: nothing reaches standard error, and SIGTERM keeps its meaning.

    Without a network Ray's core warns, before any log level holds, that it cannot tell its address.
    On SIGTERM it would end the process with code 15 while it starts, later print its stack and
    abort with code 134.
    """
    terminate, told = signal.getsignal(signal.SIGTERM), False
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    except SystemExit as error:
        told = error.code == signal.SIGTERM
        if not told:
            raise
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, terminate)
    if told:
        signal.raise_signal(signal.SIGTERM)
        raise SystemExit(128 + signal.SIGTERM)  # where it is ignored: Ray has not started


@contextmanager
def _no_notes() -> Iterator[None]:
    """Keep Ray's notes on dead workers and nodes off standard output in the block."""
    from ray._private import worker

    printing, worker.print_to_stdstream = worker.print_to_stdstream, lambda *_, **__: None
    try:
        yield
    finally:
        worker.print_to_stdstream = printing


def protect_token() -> None:
    """Make Ray's token readable for its owner alone: it opens the cluster to whoever has it."""
    with suppress(OSError, RuntimeError):
        token = os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token"
        Path(token).chmod(0o600)


def _check_shared(home: Path, check: Callable[[], None] | None = None) -> None:
    """Every node must see the results, or records written there would be lost."""
    import ray

    for node in (node for node in ray.nodes() if node["Alive"]):
        if reason := problem_of(node, home, check):
            raise SweepError(f"node {node['NodeManagerAddress']} {reason}")


def problem_of(node: Mapping[str, Any], home: Path, check: Callable[[], None] | None = None) -> str:
    """Why a node, as `ray.nodes` tells it, cannot keep results of ``home``; empty if it can."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    @ray.remote(num_cpus=0)  # type: ignore[untyped-decorator]
    def problem(path: str) -> str:
        try:
            if check is not None:
                check()
            elif not Path(path).is_dir():
                return (
                    f"does not see {path}: set JETSCALE_HOME to a folder on a file system that all "
                    "nodes share"
                )
        except JetscaleError as error:
            return str(error)
        return ""

    strategy = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
    told = problem.options(scheduling_strategy=strategy).remote(str(home.resolve()))
    try:
        return str(ray.get(told, timeout=_ANSWER))
    except ray.exceptions.RayError as error:
        return f"does not answer: {type(error).__name__}"
