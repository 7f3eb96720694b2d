"""Fits kept between commands: the same table, options and code are fitted once.

A file holds the fields of a `StudyFit` without its table: numbers and texts as JSON, arrays beside
them, in one ``.npz`` that is read without pickle. Its name is a digest of the table, the options,
the sources of `jetscale.scaling` and the versions of numpy and scipy, so nothing stale is found; it
is written under another name and renamed, so nobody reads half of one. Whatever cannot be read is
fitted again, and a folder that cannot be written costs only time.
"""

import hashlib
import io
import json
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, fields, is_dataclass, replace
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy

from jetscale.scaling.checked import fit
from jetscale.scaling.components import Components
from jetscale.scaling.engine.forms import Law, law_named
from jetscale.scaling.fitted import Options, StudyFit
from jetscale.scaling.outlook import Outlook
from jetscale.scaling.table import validate

_MOST = 64  # files kept; the oldest go first
_OURS = "jetscale.scaling."


def kept_fit(frame: pd.DataFrame, options: Options | None = None) -> StudyFit:
    """Return what `fit` does, from the user's cache folder where it was done before.

    The folder is ``$XDG_CACHE_HOME/jetscale/fits``, or under ``~/.cache``.
    """
    runs, asked = validate(frame), options or Options()
    home = Path(os.environ.get("XDG_CACHE_HOME", ""))
    folder = home if home.is_absolute() else Path.home() / ".cache"
    path = folder / "jetscale" / "fits" / f"{_digest(runs, asked)}.npz"
    found = None
    with suppress(Exception):  # absent, damaged or of another kind: all the same
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            found = _made(json.loads(str(file["fields"])), dict(file), runs)
        os.utime(path)
    if isinstance(found, StudyFit):
        return found
    made, arrays = fit(runs, asked), dict[str, Any]()
    with suppress(OSError, TypeError):
        arrays["fields"] = np.array(json.dumps(_plain(made, arrays)))
        _write(path, arrays)
    return made


@cache
def _sources() -> str:
    """Digest of the code that fits, and of the libraries it counts on."""
    found = hashlib.sha256(f"{np.__version__} {scipy.__version__}".encode())
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        found.update(path.read_bytes())
    return found.hexdigest()


def _digest(runs: pd.DataFrame, options: Options) -> str:
    how = json.dumps([asdict(options), runs.columns.tolist(), runs.attrs.get("notes", ())])
    found = hashlib.sha256(f"{_sources()} {how}".encode())
    found.update(pd.util.hash_pandas_object(runs, index=False).to_numpy().tobytes())
    return found.hexdigest()


def _write(path: Path, arrays: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez_compressed(file, **arrays)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    kept = sorted(path.parent.glob("*.npz"), key=lambda each: each.stat().st_mtime)
    for old in kept[:-_MOST]:
        old.unlink(missing_ok=True)


def _plain(value: Any, arrays: dict[str, Any]) -> Any:
    """A value for JSON; its arrays go into ``arrays`` and their names in their place."""
    if isinstance(value, Law):
        return {"law": value.name}
    if isinstance(value, pd.DataFrame):
        return {"runs": None}  # the table is at hand
    if isinstance(value, Components):
        return None  # the answers do not need it any more
    if isinstance(value, Outlook):
        value = replace(value, source=value.seen)
    if isinstance(value, np.ndarray):
        if value.dtype == object:
            raise TypeError("an array of objects is not kept")
        name = f"array{len(arrays)}"
        arrays[name] = value
        return {"array": name}
    if is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in fields(value) if field.init]
        held = {name: _plain(getattr(value, name), arrays) for name in names}
        return {"class": f"{type(value).__module__}:{type(value).__qualname__}", "fields": held}
    if isinstance(value, Mapping):
        kind = "" if type(value) is dict else f"{type(value).__module__}:{type(value).__qualname__}"
        return {"mapping": [[k, _plain(v, arrays)] for k, v in value.items()], "kind": kind}
    if isinstance(value, tuple | list):
        return {"items": [_plain(v, arrays) for v in value], "tuple": isinstance(value, tuple)}
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"{type(value).__name__} is not kept")


def _made(value: Any, arrays: Mapping[str, Any], runs: pd.DataFrame) -> Any:
    """The value that `_plain` took apart."""
    if not isinstance(value, dict):
        return value
    if "law" in value:
        return law_named(value["law"])
    if "runs" in value:
        return runs
    if "array" in value:
        return arrays[value["array"]]
    if "class" in value:
        held = {name: _made(v, arrays, runs) for name, v in value["fields"].items()}
        return _type(value["class"])(**held)
    if "mapping" in value:
        pairs = {k: _made(v, arrays, runs) for k, v in value["mapping"]}
        return _type(value["kind"])(pairs) if value["kind"] else pairs
    items = [_made(v, arrays, runs) for v in value["items"]]
    return tuple(items) if value["tuple"] else items


def _type(name: str) -> Any:
    module, _, kind = name.partition(":")
    if not module.startswith(_OURS):
        raise TypeError(f"{name} is no type of ours")
    return getattr(import_module(module), kind)
