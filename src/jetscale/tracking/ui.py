"""The MLflow UI on loopback, for one results folder.

MLflow's own command starts some 17 processes, most of them for traces of language models, and
leaves them where its parent is killed. Here its server runs in this process, which ends with it.
"""

import os
import socket
import warnings
from contextlib import suppress

from jetscale.errors import StorageError, SweepError
from jetscale.store.home import Home
from jetscale.tracking.address import database_of, has_results, hide_password, is_server
from jetscale.tracking.view import NOTE, VIEW, VIEW_TAG, address_in, address_of, set_view

_HOST = "127.0.0.1"  # whatever MLFLOW_HOST says: the UI asks nobody for a password


def check_port(port: int) -> None:
    """Raise StorageError if something on this machine already listens on the port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except OSError as error:
            raise StorageError(
                f"port {port} on {_HOST} cannot be opened ({error.strerror}); choose another "
                "with --port"
            ) from error


def addresses(uri: str, port: int) -> dict[str, str]:
    """Where the UI shows the runs of each study, by its name, and what its last report says.

    Studies mirrored by an earlier version get the view that the address names, where the database
    may be written. Raises SweepError for one that MLflow refuses.
    """
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient
    from sqlalchemy.exc import SQLAlchemyError

    try:
        client = MlflowClient(uri)
        base, found = f"http://{_HOST}:{port}", dict[str, str]()
        for one in client.search_experiments():
            if one.name == "Default":
                continue
            viewed = one.tags.get(VIEW_TAG) == VIEW
            if not viewed:
                with suppress(MlflowException, SQLAlchemyError):
                    set_view(client, one.experiment_id)
                    viewed = True
            found[one.name] = address_of(base, one.experiment_id, viewed)
            told = client.search_runs([one.experiment_id], f"tags.`{NOTE}` != ''", max_results=1)
            for run in told:
                page = address_in(one.experiment_id, run.info.run_id)
                found[f"{one.name}, answers"] = f"{base}/{page}"
    except (MlflowException, SQLAlchemyError) as error:
        line = hide_password(str(error).splitlines()[0])[:200]
        raise SweepError(f"MLflow at {hide_password(uri)} failed: {line}") from error
    return found


def serve(uri: str, home: Home, port: int) -> None:
    """Run the MLflow UI until it is stopped.

    Artifacts are served from the results folder, wherever that lies now.

    Raises:
        StorageError: The port is taken, or there are no results.
        SweepError: The results are on a tracking server, which has a UI of its own, or MLflow
            refuses the database.
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
    print(f"MLflow UI for {shown} starts on port {port}; stop it with Ctrl-C", flush=True)
    try:
        _serve(uri, home, port)
    except KeyboardInterrupt:
        return


def _serve(uri: str, home: Home, port: int) -> None:
    """Load MLflow's server, which reads its settings from the environment, and run it."""
    warnings.simplefilter("ignore")
    os.environ |= {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_LOGGING_LEVEL": "ERROR",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "_MLFLOW_SERVER_FILE_STORE": uri,
        "_MLFLOW_SERVER_REGISTRY_STORE": uri,
        "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
        "_MLFLOW_SERVER_ARTIFACT_DESTINATION": home.artifacts.resolve().as_uri(),
        "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
    }
    import uvicorn  # before the server, which sets up its checks of host names where it is loaded

    found = addresses(uri, port)
    from mlflow.server.fastapi_app import app

    for study, address in found.items():
        print(f"  {study}: {address}", flush=True)
    uvicorn.run(app, host=_HOST, port=port, log_level="warning")
