"""The MLflow UI on loopback, for one results folder."""

import os
import socket
import subprocess
import sys

from jetscale.errors import StorageError, SweepError
from jetscale.store.home import Home
from jetscale.tracking.address import database_of, has_results, hide_password, is_server

_QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "PYTHONWARNINGS": "ignore",
}


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


def addresses(uri: str, port: int) -> dict[str, str]:
    """Where the UI shows the runs of each study, by its name.

    MLflow's own first page is about traces of language models; this is its view of trained ones.
    None of a database that MLflow refuses: the UI itself says why.
    """
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient
    from sqlalchemy.exc import SQLAlchemyError

    base, view = f"http://127.0.0.1:{port}/#/experiments", "runs?workflowType=machine_learning"
    try:
        experiments = MlflowClient(uri).search_experiments()
    except (MlflowException, SQLAlchemyError):
        return {}
    mine = [one for one in experiments if one.name != "Default"]
    return {one.name: f"{base}/{one.experiment_id}/{view}" for one in mine}


def serve(uri: str, home: Home, port: int) -> int:
    """Run the MLflow UI until it is stopped; returns its exit code.

    Artifacts are served from the results folder, wherever that lies now.

    Raises:
        StorageError: The port is taken, or there are no results.
        SweepError: The results are on a tracking server, which has a UI of its own.
    """
    shown = hide_password(uri)
    if is_server(uri):
        raise SweepError(f"MLflow runs as a server at {shown}: open that address in a browser")
    if not has_results(uri):
        raise StorageError(
            f"no results at {database_of(uri)}: start a sweep with `jetscale run`, "
            "or set JETSCALE_HOME to the folder that holds one"
        )
    check_port(port)
    print(f"MLflow UI for {shown}: http://127.0.0.1:{port} (stop with Ctrl-C)", flush=True)
    for study, address in addresses(uri, port).items():
        print(f"  {study}: {address}", flush=True)
    # loopback whatever MLFLOW_HOST says: the UI asks nobody for a password
    command = [sys.executable, "-m", "mlflow", "ui", "--host", "127.0.0.1"]
    command += ["--uvicorn-opts", "--log-level warning"]
    if database_of(uri) is not None:
        command += ["--artifacts-destination", home.artifacts.resolve().as_uri()]
    # every user of the machine can read a command line, the environment is private
    environment = _QUIET | os.environ | {"MLFLOW_BACKEND_STORE_URI": uri}
    try:
        done = subprocess.run([*command, "--port", str(port)], check=False, env=environment)
    except KeyboardInterrupt:
        return 0
    return done.returncode
