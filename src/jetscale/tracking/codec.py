"""A record as an MLflow run and back, without loss.

What a run is told (strings and the numbers that name it) becomes parameters, what it measured
metrics, mappings tags of JSON. MLflow keeps a metric as a double, so floats come back bit for bit
and integers up to 2^53. A field that is None is left out.
"""

import json
import posixpath
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from jetscale.planning.identity import flatten
from jetscale.store.local import read_json
from jetscale.store.record import TYPES, Record, parse_record

PREFIX = "jetscale."
CURVE = "curve/"
_NAME_LENGTH = 250  # longest name of a metric that MLflow takes
_TAG_LENGTH = 4000
"""Characters of a mapping kept in one tag; MLflow's own limits are above this."""
_PARAMS = (
    "key", "study", "kind", "mixture", "width", "layers", "heads", "seed", "subset", "epochs",
    "trunk", "trunk_sha256", "params", "params_non_embedding", "examples", "pretraining_examples",
    "recipe_digest", "device", "host", "ranks", "schema",
)  # fmt: skip
_METRICS = tuple(
    name
    for name, kind in TYPES.items()
    if name not in _PARAMS and kind in (int, float, int | None, float | None)
)
_MAPPINGS = ("parts", "scores", "validation_scores", "recipe", "streams", "timings", "versions")


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """What MLflow keeps of one record."""

    params: Mapping[str, str]
    metrics: Mapping[str, float]
    points: tuple[tuple[str, float, int], ...]
    """(name, value, step) of the curves and of the scores, for charts."""
    tags: Mapping[str, str]


def encode(record: Record) -> Encoded:
    """What MLflow is to keep of a record.

    Scores and seconds are metrics as well, for charts; they are read back from their tags.
    """
    params = {name: getattr(record, name) for name in _PARAMS}
    metrics = {name: getattr(record, name) for name in _METRICS}
    tags: dict[str, str] = {}
    for name in _MAPPINGS:
        text = json.dumps(getattr(record, name), allow_nan=False)
        for i in range(0, len(text), _TAG_LENGTH):
            part = f".{i // _TAG_LENGTH}" if i else ""
            tags[f"{PREFIX}{name}{part}"] = text[i : i + _TAG_LENGTH]
    points = [
        (f"{CURVE}{name}", float(value), int(step))
        for name, curve in record.curve.items()
        for step, value in curve
    ]
    shown = flatten({"scores": record.scores, "timings": record.timings}, join="/")
    points += [
        (chart, float(v), record.steps)
        for name, v in shown.items()
        if isinstance(v, int | float) and (chart := _chart_name(name))
    ]
    return Encoded(
        params={name: str(value) for name, value in params.items() if value is not None},
        metrics={name: float(value) for name, value in metrics.items() if value is not None},
        points=tuple(points),
        tags=tags,
    )


def _chart_name(name: str) -> str:
    """The name as MLflow takes it for a metric, other characters as ``_``; empty for no name.

    >>> _chart_name("scores/acc@1%"), _chart_name("scores/..")
    ('scores/acc_1_', '')
    """
    quoted = re.sub(r"[^/0-9A-Za-z_. :-]", "_", name)
    good = posixpath.normpath(quoted) == quoted and len(quoted) <= _NAME_LENGTH
    return quoted if good else ""


def decode(
    params: Mapping[str, str],
    metrics: Mapping[str, float],
    tags: Mapping[str, str],
    curve: Mapping[str, list[list[float]]],
    name: str,
) -> Record:
    """The record that `encode` was given; messages call it ``name``.

    MLflow gives the points of a ``curve`` one name at a time, and a run table needs none. Raises
    StorageError where a field is missing or of another type: somebody edited the run.
    """
    values: dict[str, Any] = {"curve": dict(curve)}
    for field, kind in TYPES.items():
        if field in _MAPPINGS:
            parts = [f"{PREFIX}{field}"]
            while f"{PREFIX}{field}.{len(parts)}" in tags:
                parts.append(f"{PREFIX}{field}.{len(parts)}")
            values[field] = read_json("".join(tags.get(part, "") for part in parts))
        elif field != "curve":
            found: Any = params.get(field) if field in _PARAMS else metrics.get(field)
            # of optional fields the first alternative is the type
            convert = kind if isinstance(kind, type) else kind.__args__[0]
            values[field] = found
            if found is not None:
                with suppress(ValueError, OverflowError):  # what was edited is refused below
                    values[field] = convert(found)
    return parse_record(values, name)
