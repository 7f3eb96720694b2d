"""A model file in MLflow's registry: kept with the run that trained it, under a name and version.

A torch file is loaded by jetscale, a graph by onnxruntime alone; neither is a pickle.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from jetscale.store.local import sha256_of
from jetscale.tracking.mirror import Mirror

_EXISTS = "RESOURCE_ALREADY_EXISTS"
_LOADER = "jetscale.classifiers.served"
_FOLDER = "model"  # among the artifacts of the run, with the beginning of the file's SHA-256


def register_model(mirror: Mirror, key: str, file: Path, name: str) -> str:
    """Register a file of the run with this key, which MLflow shows; ``models:/NAME/VERSION``.

    Raises SweepError where MLflow refuses.
    """
    from mlflow.exceptions import MlflowException

    with _packed(file) as folder, mirror.refusals():
        run, place = mirror.run_of(key), f"{_FOLDER}-{str(sha256_of(file))[:12]}"
        mirror.keep_folder(run, folder, place)  # earlier versions go on serving what they did
        try:
            mirror.client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != _EXISTS:
                raise
        source = f"{mirror.client.get_run(run).info.artifact_uri}/{place}"
        made = mirror.client.create_model_version(name, source, run_id=run)
    return f"models:/{name}/{made.version}"


@contextmanager
def _packed(file: Path) -> Iterator[Path]:
    """The folder of a model in MLflow's own form."""
    import mlflow

    with TemporaryDirectory(prefix="jetscale-") as place:
        folder = Path(place) / _FOLDER
        how: dict[str, Any] = {"path": str(folder), "pip_requirements": ["jetscale"]}
        if file.suffix == ".onnx":
            import mlflow.onnx
            import onnx

            how["pip_requirements"] = ["onnxruntime"]
            mlflow.onnx.save_model(onnx.load(str(file)), **how)
        else:
            import mlflow.pyfunc

            mlflow.pyfunc.save_model(loader_module=_LOADER, data_path=str(file), **how)
        yield folder
