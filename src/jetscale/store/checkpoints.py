"""Training state, trunks and models on disk: written atomically, read without running code.

A file holds tensors and plain values only. A checkpoint that cannot be read, or is of another run,
counts as absent: the run goes on from the one before, or starts again, which is always right. A
trunk that cannot be used is an error, since fine-tuning from random weights instead would be wrong
without a sign.
"""

import hashlib
import io
import pickle
import warnings
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from jetscale.errors import TrainingError
from jetscale.store.local import atomic_path, storage_error
from jetscale.store.storage import Storage

FORMAT = 3  # changes with the content of a checkpoint; another format counts as absent
MODEL_FORMAT = 1  # changes with the content of a file of a model; another one is refused

_UNREADABLE = (
    OSError, EOFError, RuntimeError, ValueError, KeyError, TypeError, AttributeError,
    pickle.UnpicklingError,
)  # fmt: skip


def _to_bytes(value: dict[str, Any]) -> bytes:
    # Into memory first: torch reports a full disk as RuntimeError, the file system as OSError.
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def _parse(content: bytes) -> dict[str, Any] | None:
    try:
        with warnings.catch_warnings():  # torch warns of odd pickles that it then refuses
            warnings.simplefilter("ignore")
            value = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except _UNREADABLE:
        return None
    return value if isinstance(value, dict) else None


class Checkpoint:
    """The state of an unfinished run: the last one written, and the one before it.

    They lie beside ``path`` in two files, ``KEY.0.pt`` and ``KEY.1.pt``, written in turn. A file
    begins with the SHA-256 of the rest, so that a torn or altered one is noticed and the other is
    used. With a ``storage`` every file is put there, in a folder of the same name, too, and a run
    that another machine began goes on from there.
    """

    def __init__(self, path: Path, storage: Storage | None = None) -> None:
        self.files = tuple(path.with_name(f"{path.stem}.{i}{path.suffix}") for i in (0, 1))
        self.storage = storage
        self._written: int | None = None  # number of the last one

    def save(self, identity: str, state: dict[str, Any]) -> None:
        """Write a state over the older file; raises StorageError if that is refused."""
        if self._written is None:
            self.load(identity)
        number = (self._written or 0) + 1
        value = {"identity": identity, "format": FORMAT, "number": number, "state": state}
        content, file = _to_bytes(value), self.files[number % 2]
        with atomic_path(file) as temporary:
            temporary.write_bytes(hashlib.sha256(content).digest() + content)
        if self.storage is not None:
            self.storage.put(_name_of(file), file)
        self._written = number

    def load(self, identity: str) -> dict[str, Any] | None:
        """The last state of run ``identity`` that is whole, or None; raises StorageError."""
        found = [value for content in self._contents() if (value := _unseal(content, identity))]
        last = max(found, key=lambda value: int(value["number"]), default=None)
        self._written = int(last["number"]) if last else 0
        state: dict[str, Any] | None = last["state"] if last else None
        return state

    def remove(self) -> None:
        """Remove both; raises StorageError where the storage refuses."""
        for file in self.files:
            try:
                file.unlink(missing_ok=True)
            except OSError as error:
                raise storage_error(file, error) from error
            if self.storage is not None:
                self.storage.delete(_name_of(file))

    def _contents(self) -> Iterator[bytes]:
        """What is in the files here and in the storage; a copy of one may be damaged."""
        for file in self.files:
            with suppress(OSError):
                yield file.read_bytes()
            if self.storage and (content := self.storage.read(_name_of(file))) is not None:
                yield content


def _name_of(file: Path) -> str:
    return f"{file.parent.name}/{file.name}"


def _unseal(content: bytes, identity: str) -> dict[str, Any] | None:
    """What `Checkpoint.save` wrote for a run; None for anything else."""
    seal, content = content[:32], content[32:]
    if hashlib.sha256(content).digest() != seal or (value := _parse(content)) is None:
        return None
    right = (value.get("identity"), value.get("format")) == (identity, FORMAT)
    return value if right and type(value.get("number")) is int else None


def save_trunk(path: Path, trunk: dict[str, Tensor], description: dict[str, Any]) -> str:
    """Write a trunk's weights with ``description``, what a model must share to use them.

    Returns the SHA-256 of the file; raises StorageError if it cannot be written.
    """
    return _write(path, {"description": description, "trunk": trunk})


def _write(path: Path, value: dict[str, Any]) -> str:
    content = _to_bytes(value)
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def load_trunk(path: Path, description: dict[str, Any]) -> dict[str, Tensor]:
    """Weights written by `save_trunk`; TrainingError if damaged or not of this description."""
    value = _parse(path.read_bytes()) if path.is_file() else None
    if value is None:
        raise TrainingError(
            f"trunk {path}: missing or damaged; delete it and run the pretraining again"
        )
    # Files say what there was to choose when they were written, at first the size and features.
    first = {"architecture": "transformer", "parametrization": "standard"}
    if text := differences(first | value.get("description", {}), description, "this run needs"):
        raise TrainingError(f"trunk {path}: its {text}; pretrain a trunk of that kind")
    trunk: dict[str, Tensor] = value["trunk"]
    return trunk


def differences(stored: Mapping[str, Any], mine: Mapping[str, Any], need: str) -> str:
    """Every field of ``mine`` that is another one in ``stored``, in words; empty if none is.

    >>> differences({"size": "d8", "features": "kin"}, {"size": "d16", "features": "kin"}, "not")
    "size is 'd8', not 'd16'"
    """
    return ", its ".join(
        f"{name} is {stored.get(name)!r}, {need} {wanted!r}"
        for name, wanted in mine.items()
        if stored.get(name) != wanted
    )


def save_model(
    path: Path, weights: Mapping[str, Mapping[str, Tensor]], description: Mapping[str, Any]
) -> str:
    """Write the ``weights`` of trunk and head with what it takes to build their model again.

    Returns the SHA-256 of the file; raises StorageError if it cannot be written.
    """
    plain = {part: dict(tensors) for part, tensors in weights.items()}
    named = {"format": MODEL_FORMAT, "description": dict(description), "weights": plain}
    return _write(path, named)


def load_model(path: Path) -> tuple[dict[str, Any], dict[str, dict[str, Tensor]]]:
    """Description and weights written by `save_model`; TrainingError for any other file."""
    value = _parse(path.read_bytes()) if path.is_file() else None
    if value is None or not {"format", "description", "weights"} <= value.keys():
        what = "not a model of jetscale, or damaged" if path.exists() else "there is no such file"
        raise TrainingError(f"model {path}: {what}; make it with `jetscale export RUN --to torch`")
    if value["format"] != MODEL_FORMAT:
        raise TrainingError(
            f"model {path}: format {value['format']!r}, this version reads {MODEL_FORMAT}; use the "
            "version that wrote it"
        )
    return value["description"], value["weights"]
