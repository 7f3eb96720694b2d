"""A record as an MLflow run and back, without loss.

What a run is told (strings and the numbers that name it) becomes parameters, what it measured
metrics, mappings tags of JSON. MLflow keeps a metric as a double, so floats come back bit for bit
and integers up to 2^53. A field that is None is left out.

MLflow draws a chart for each metric, in groups by what stands before the slash, in the order of the
alphabet: so the curves come first, what is one number per run follows, and no number has two names.
Losses of pretraining, which is another task, have names of their own. Runs that were mirrored when
all numbers had the bare names of their fields are read as well.
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
_WORK = "work/"  # numbers that are one per run
_LAST = f"{PREFIX}last"  # tag: the fields that are the last point of their curve
_NAME_LENGTH = 250  # longest name of a metric that MLflow takes
_TAG_LENGTH = 4000
"""Characters of a mapping kept in one tag; MLflow's own limits are above this."""
_PARAMS = (
    "key", "study", "kind", "mixture", "width", "layers", "heads", "seed", "subset", "epochs",
    "trunk", "trunk_sha256", "model_sha256", "params", "params_non_embedding", "examples",
    "pretraining_examples", "recipe_digest", "device", "host", "ranks", "stack", "schema",
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
    last = {
        name: max((step, value) for step, value in curve)[1]  # what MLflow takes for the last one
        for name, curve in record.curve.items()
        if curve
    }
    held = [name for name in last if last[name] == getattr(record, name, None)]
    values = {name: getattr(record, name) for name in (*_PARAMS, *_METRICS) if name not in held}
    values = {name: value for name, value in values.items() if value is not None}
    points = [
        (_curve_chart(name, record.kind), float(value), int(step))
        for name, curve in record.curve.items()
        for step, value in curve
    ]
    scores = {name: v for name, v in record.scores.items() if name not in ("loss", "jets")}
    shown = flatten({"scores": scores, "timings": record.timings}, join="/")
    points += [
        (chart, float(v), record.steps)
        for name, v in shown.items()
        if isinstance(v, int | float) and (chart := _chart_name(name))
    ]
    return Encoded(
        params={name: str(value) for name, value in values.items() if name in _PARAMS},
        metrics={_metric(name): float(v) for name, v in values.items() if name not in _PARAMS},
        points=tuple(points),
        tags={_LAST: ",".join(held)} | _tags(record),
    )


def _tags(record: Record) -> dict[str, str]:
    """The mappings of a record as tags of JSON, long ones in pieces."""
    tags: dict[str, str] = {}
    for name in _MAPPINGS:
        text = json.dumps(getattr(record, name), allow_nan=False)
        for i in range(0, len(text), _TAG_LENGTH):
            part = f".{i // _TAG_LENGTH}" if i else ""
            tags[f"{PREFIX}{name}{part}"] = text[i : i + _TAG_LENGTH]
    return tags


def _metric(field: str) -> str:
    """The metric of a field: the test loss by its name, all else among the work of a run."""
    return field if field == "loss" else f"{_WORK}{field}"


def _curve_chart(name: str, kind: str) -> str:
    """The metric of a curve.

    >>> _curve_chart("training_loss", "pretrain"), _curve_chart("training_loss", "finetune")
    ('curve/pretraining_loss', 'curve/training_loss')
    """
    own = f"pretraining_{name.removeprefix('training_')}" if kind == "pretrain" else name
    return CURVE + own


def curve_of(metric: str) -> str:
    """The curve of a record that a metric holds; empty for another metric.

    >>> curve_of("curve/pretraining_loss"), curve_of("curve/validation_loss"), curve_of("loss")
    ('training_loss', 'validation_loss', '')
    """
    if not metric.startswith(CURVE):
        return ""
    name = metric.removeprefix(f"{CURVE}pretraining_").removeprefix(CURVE)
    return "training_loss" if name == "loss" else name


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
    held, kind_of_run = tags.get(_LAST, "").split(","), params.get("kind", "")
    for field, kind in TYPES.items():
        if field in _MAPPINGS:
            parts = [f"{PREFIX}{field}"]
            while f"{PREFIX}{field}.{len(parts)}" in tags:
                parts.append(f"{PREFIX}{field}.{len(parts)}")
            values[field] = read_json("".join(tags.get(part, "") for part in parts))
        elif field != "curve":
            found: Any = params.get(field)
            if field in held:
                found = metrics.get(_curve_chart(field, kind_of_run))
            elif field not in _PARAMS:
                found = metrics.get(_metric(field), metrics.get(field))
            # of optional fields the first alternative is the type
            convert = kind if isinstance(kind, type) else kind.__args__[0]
            values[field] = found
            if found is not None:
                with suppress(ValueError, OverflowError):  # what was edited is refused below
                    values[field] = convert(found)
    return parse_record(values, name)
