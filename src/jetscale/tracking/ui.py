"""The MLflow UI on loopback, for one results folder."""

import os
import socket
import subprocess
import sys

from jetscale.errors import StorageError, SweepError
from jetscale.tracking.mirror import has_database


def check_port(port: int) -> None:
    """Raise StorageError if something on this machine already listens on the port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise StorageError(
                f"port {port} on 127.0.0.1 cannot be opened ({error.strerror}); choose another "
                "with --port"
            ) from error


def serve(uri: str, port: int) -> int:
    """Run the MLflow UI until it is stopped; returns its exit code.

    Raises
    ------
    StorageError
        The port is taken, or there are no results.
    SweepError
        The results are on a tracking server, which has a UI of its own.
    """
    if uri.startswith(("http://", "https://")):
        raise SweepError(f"MLflow runs as a server at {uri}: open that address in a browser")
    if not has_database(uri):
        raise StorageError(
            f"no results at {uri.removeprefix('sqlite:///')}: start a sweep with `jetscale run`, "
            "or set JETSCALE_HOME to the folder that holds one"
        )
    check_port(port)
    print(f"MLflow UI for {uri}: http://127.0.0.1:{port} (stop with Ctrl-C)", flush=True)
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", uri]
    environment = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true"}
    try:
        done = subprocess.run([*command, "--port", str(port)], check=False, env=environment)
    except KeyboardInterrupt:
        return 0
    return done.returncode
