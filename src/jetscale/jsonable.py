"""One way for results to become JSON: `as_json` walks any value of jetscale.

A dataclass becomes an object with its fields in order. Three small declarations shape it:

- ``field(metadata=json_key("compute"))`` gives a field another key, ``field(metadata=HIDDEN)``
  leaves it out (arrays of replicates, the run table);
- ``json_also: ClassVar = ("identified",)`` names properties that belong to the object, also those
  of a field: ``"options.seed"`` has the key ``seed``;
- a class whose object is not its fields at all returns it from ``__json__``.
"""

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from operator import attrgetter
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

HIDDEN: Mapping[str, str | None] = MappingProxyType({"json": None})
"""Metadata of a field that is not in the JSON."""


def json_key(name: str) -> Mapping[str, str]:
    """Return the metadata of a field whose JSON key is ``name``."""
    return {"json": name}


def as_json(value: Any) -> Any:
    """Return ``value`` as dict, list, str, int, float, bool and None, ready for `json.dumps`.

    JSON has no infinity and no NaN: both become None.

    Raises:
        TypeError: The value is, or holds, something that is none of: dataclass, mapping, sequence,
            set, array, enum, path, number, text.

    >>> as_json({"sizes": np.array([1.5, np.inf]), "at": Path("runs")})
    {'sizes': [1.5, None], 'at': 'runs'}
    """
    if value is None or (isinstance(value, (bool, int, str)) and not isinstance(value, Enum)):
        return value
    if hasattr(value, "__json__"):
        return as_json(value.__json__())
    if isinstance(value, Enum):
        return as_json(value.value)
    if isinstance(value, (np.generic, np.ndarray)):
        return as_json(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Path):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        keys = {f.name: f.metadata.get("json", f.name) for f in fields(value)}
        keys |= {name: name.rpartition(".")[2] for name in getattr(value, "json_also", ())}
        return {key: as_json(attrgetter(name)(value)) for name, key in keys.items() if key}
    if hasattr(value, "_asdict"):  # a named tuple
        return as_json(value._asdict())
    if isinstance(value, Mapping):
        return {str(key): as_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        items = sorted(value) if isinstance(value, (set, frozenset)) else value
        return [as_json(item) for item in items]
    raise TypeError(f"{type(value).__name__} is no value for JSON: {value!r}")
