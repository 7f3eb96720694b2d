"""Training state and trunks on disk: written atomically, read without running code.

A file holds tensors and plain values only. A checkpoint that cannot be read, or is of another run,
counts as absent: the run starts again, which is always right. A trunk that cannot be used is an
error, since fine-tuning from random weights instead would be wrong without a sign.
"""

import io
import pickle
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from jetscale.errors import TrainingError
from jetscale.store.local import atomic_path

FORMAT = 2  # changes with the content of a checkpoint; another format counts as absent

_UNREADABLE = (
    OSError, EOFError, RuntimeError, ValueError, KeyError, TypeError, AttributeError,
    pickle.UnpicklingError,
)  # fmt: skip


def _write(path: Path, value: dict[str, Any]) -> None:
    # Into memory first: torch reports a full disk as RuntimeError, the file system as OSError.
    buffer = io.BytesIO()
    torch.save(value, buffer)
    with atomic_path(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def _read(path: Path) -> dict[str, Any] | None:
    try:
        with warnings.catch_warnings():  # torch warns of odd pickles that it then refuses
            warnings.simplefilter("ignore")
            value = torch.load(path, map_location="cpu", weights_only=True)
    except _UNREADABLE:
        return None
    return value if isinstance(value, dict) else None


def save_checkpoint(path: Path, identity: str, state: dict[str, Any]) -> None:
    """Replace the checkpoint at ``path``; raises StorageError if it cannot be written."""
    _write(path, {"identity": identity, "format": FORMAT, "state": state})


def load_checkpoint(path: Path, identity: str) -> dict[str, Any] | None:
    """The state of run ``identity``, or None when there is none that can be used."""
    value = _read(path)
    if value is None or (value.get("identity"), value.get("format")) != (identity, FORMAT):
        return None
    state: dict[str, Any] | None = value.get("state")
    return state


def save_trunk(path: Path, trunk: dict[str, Tensor], description: dict[str, Any]) -> None:
    """Write a trunk's weights with ``description``, what a model must share to use them."""
    _write(path, {"description": description, "trunk": trunk})


def load_trunk(path: Path, description: dict[str, Any]) -> dict[str, Tensor]:
    """Weights written by `save_trunk`; TrainingError if damaged or not of this description."""
    value = _read(path)
    if value is None:
        raise TrainingError(
            f"trunk {path}: missing or damaged; delete it and run the pretraining again"
        )
    # Files say what there was to choose when they were written, at first the size and features.
    first = {"architecture": "transformer", "parametrization": "standard"}
    stored = first | value.get("description", {})
    for name, mine in description.items():
        if stored.get(name) != mine:
            raise TrainingError(
                f"trunk {path}: its {name} is {stored.get(name)!r}, this run needs {mine!r}; "
                "pretrain a trunk of that kind"
            )
    trunk: dict[str, Tensor] = value["trunk"]
    return trunk
