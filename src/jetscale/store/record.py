"""The record of a run: what was asked, what came out, what it cost.

The worker that trained the run writes it before anything else is told. It is the truth: MLflow
mirrors it, the analysis can be redone from it, and its run is never trained again.
"""

import json
import math
import reprlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, get_type_hints

import pandas as pd

from jetscale.digests import digest
from jetscale.errors import StorageError
from jetscale.store.local import fits

SCHEMA = 2  # raised when the fields change; `jetscale.store.former` reads schema 1


class BadRecord(StorageError):
    """What a file holds is not the record of its run: that run is not done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Result of one run; plain JSON types throughout, None where a number does not exist."""

    key: str
    """Identity of the run (see `jetscale.planning.Run`)."""
    study: str
    """Name of the study that trained it."""
    kind: str
    """``pretrain`` or ``finetune``."""
    mixture: str
    """Name of the pretraining mixture."""
    parts: dict[str, float]
    """Part of the mixture to its weight; empty from scratch."""
    width: int
    """Model width."""
    layers: int
    """Blocks."""
    heads: int
    """Attention heads."""
    seed: int
    """Training seed."""
    subset: int
    """Which order of the training pool the D jets are the first of."""
    epochs: int
    """Passes over the D jets."""
    trunk: str | None
    """Key of the pretraining run it started from; None from random weights."""
    trunk_sha256: str | None
    """SHA-256 of the file of weights that a pretraining run leaves; None for fine-tuning, and for
    a run trained before files were told apart."""
    model_sha256: str | None
    """SHA-256 of the file of weights that a fine-tuning run left because its study asked to keep
    them; a better run may have taken its place since. None where nothing was kept."""
    params: int
    """Trainable parameters N."""
    params_non_embedding: int
    """Those of the blocks alone."""
    examples: int
    """Distinct jets D."""
    examples_seen: int
    """Jets seen in training, epochs x D."""
    pretraining_examples: int
    """Distinct jets of the pretraining run it started from; 0 from random weights."""
    steps: int
    """Optimiser steps."""
    constituents: int
    """Real constituents seen in training."""
    tokens: int | None
    """Constituents computed in training by one rank, padding included; None where version 0.1
    dropped it, and where a command trained."""
    peak_rate: float
    """Largest learning rate of the trunk."""
    flops: float
    """Training FLOPs, forward and backward, real constituents, a multiply-add is 2 FLOPs."""
    flops_padded: float
    """The same with every jet padded to ``data.constituents`` of the recipe."""
    flops_6nd: float
    """6 x non-embedding parameters x constituents seen."""
    pretraining_flops: float
    """Training FLOPs of the pretraining run it started from; 0 from random weights."""
    loss: float | None
    """Test loss after the last step; None for a pretraining run, which is not tested."""
    validation_loss: float | None
    """Validation loss after the last step; None for a pretraining run, and where a command that
    trained the run told none."""
    training_loss: float | None
    """Mean training loss of the last point of the training curve; None where a command that trained
    the run told none."""
    scores: dict[str, Any]
    """Scores of the objective on the test jets, by name; empty for a pretraining run."""
    validation_scores: dict[str, Any]
    """The same on the validation jets; empty where version 0.1 dropped them."""
    curve: dict[str, list[list[float]]]
    """``training_loss`` and ``validation_loss`` as points [steps done, loss]."""
    recipe: dict[str, Any]
    """What was held fixed, with versions (see `jetscale.planning.identity.recipe_of`)."""
    recipe_digest: str
    """Digest of ``recipe``; runs of different digests are not compared."""
    streams: dict[str, str]
    """Stream that the run read to the digest of its content."""
    timings: dict[str, float]
    """Wall seconds of batches, steps, evaluation and in total, and cpu seconds of the process."""
    jets_per_second: float
    """Jets seen over the seconds in batches and steps."""
    ranks: int
    """Data-parallel processes."""
    device: str
    """Where it was trained: ``cpu`` or the name of the GPU."""
    host: str
    """Name of the machine."""
    versions: dict[str, str]
    """Library to its version."""
    started: float
    """Unix time in seconds."""
    finished: float
    """Unix time in seconds."""
    mfu: float | None = None
    """Model FLOPs utilisation: ``flops`` over what the device could have made at its peak in the
    seconds of batches and steps; None where that peak is not known, as on a CPU."""
    peak_memory: int | None = None
    """Peak bytes of tensors on a GPU, all of its stack together; on a CPU the resident peak of the
    process until then. None for a run trained before it was measured."""
    stack: int = 1
    """Runs that were trained in lock step at the end, this one among them; 1 for one alone."""
    schema: int = SCHEMA
    """Version of these fields."""

    @property
    def padding_efficiency(self) -> float | None:
        """Real constituents over computed ones; None where these are not known."""
        return self.constituents / (self.tokens * self.ranks) if self.tokens else None

    @property
    def data_wait(self) -> float:
        """Share of the training seconds in which batches were assembled."""
        busy = self.timings["batches"] + self.timings["steps"]
        return self.timings["batches"] / busy if busy else 0.0

    @property
    def content(self) -> str:
        """Digest of all fields: equal for equal records.

        A field that came later does not enter as long as it says nothing, so that a record of
        before has the digest it had.
        """
        quiet = {name for name, value in _SILENT.items() if getattr(self, name) == value}
        return digest({k: v for k, v in self._fields().items() if k not in quiet})

    def to_json(self) -> bytes:
        """The record as indented JSON."""
        return (json.dumps(self._fields(), indent=2, allow_nan=False) + "\n").encode()

    def _fields(self) -> dict[str, Any]:
        # dataclasses.asdict copies every point of the curves: most of what a digest took
        return {name: getattr(self, name) for name in TYPES}


TYPES: Mapping[str, Any] = get_type_hints(Record)  # field of `Record` to its type
_SILENT = {"stack": 1, "mfu": None, "peak_memory": None, "model_sha256": None}
"""Fields that came later, and what they say where nobody measured."""
_LATER = {"trunk_sha256": None} | _SILENT  # all that schema 2 gained
_PLAIN = (str, int, float, int | None, float | None)
_DERIVED = ("padding_efficiency", "data_wait")
SCALARS = tuple(name for name, kind in TYPES.items() if kind in _PLAIN)


def parse_record(values: Mapping[str, Any], name: str) -> Record:
    """The record that a mapping of plain values describes.

    Fields that came later may be missing: the record is one of before them, under the same key.

    Raises BadRecord for a field that is missing, unknown or of another type, StorageError for the
    schema of a later version.
    """
    schema = values.get("schema")
    if schema != SCHEMA:
        later = type(schema) is int and schema > SCHEMA
        fix = "use the version that wrote it" if later else "remove the file"
        known = f"this version of jetscale reads 1 and {SCHEMA}"
        raise (StorageError if later else BadRecord)(f"{name}: schema {schema!r}, {known}; {fix}")
    values = _LATER | dict(values)
    wrong = sorted(values.keys() ^ TYPES.keys())
    if wrong:
        raise BadRecord(f"{name}: field {wrong[0]!r} is missing or unknown; remove the file")
    for field, kind in TYPES.items():
        if not fits(values[field], kind):
            words = kind.__name__ if isinstance(kind, type) else str(kind)
            found = reprlib.repr(values[field])
            raise BadRecord(f"{name}: {field} is {found}, needs {words}; remove the file")
    return Record(**values)


def check_record(record: Record, name: str) -> None:
    """Raise BadRecord where a record, called ``name``, holds what no run leaves."""
    finetuned, points = record.kind == "finetune", [p for c in record.curve.values() for p in c]
    timed = {"batches", "steps", "evaluation", "total"}
    evaluated = {"validation", "test"} if finetuned else set[str]()
    curves = {"training_loss", "validation_loss"}
    settings = all(isinstance(group, dict) for group in record.recipe.values())
    positive = ("params", "examples", "steps", "flops", "flops_padded")
    for field, good, needs in (
        *((field, getattr(record, field) > 0, "more than zero") for field in positive),
        ("loss", (record.loss is not None) == finetuned, "one, and of a fine-tuning run alone"),
        ("timings", timed <= record.timings.keys(), ", ".join(timed)),
        ("streams", evaluated <= record.streams.keys(), ", ".join(evaluated)),
        ("curve", record.curve.keys() <= curves, " or ".join(curves)),
        ("curve", all(len(point) == 2 for point in points), "points [steps, loss]"),
        ("recipe", settings and digest(record.recipe) == record.recipe_digest, "its digest"),
    ):
        if not good:
            found = reprlib.repr(getattr(record, field))
            raise BadRecord(f"{name}: {field} is {found}, needs {needs}; remove the file")


def make_table(records: Iterable[Record]) -> pd.DataFrame:
    """Fine-tuning records as the run table of `jetscale.scaling`, one row per run.

    Columns: every number and string of `Record`, its ``padding_efficiency`` and ``data_wait``;
    ``seconds``, the wall seconds of the run; ``unique_examples``, the distinct jets D under the
    name that the law of repetition wants; ``trunk``, shared by runs that start from one pretraining
    (a run from random weights has its own key); then ``recipe``, ``streams`` and ``versions`` as
    mappings. Rows are ordered by mixture, parameters, examples and seed.
    """
    mappings = ("recipe", "streams", "versions")
    rows = [
        {name: getattr(record, name) for name in (*SCALARS, *_DERIVED, *mappings)}
        | {"seconds": record.timings["total"], "unique_examples": record.examples}
        | {"trunk": record.trunk or record.key}
        | _scores(record.scores)
        for record in records
        if record.kind == "finetune"
    ]
    columns = dict.fromkeys([*SCALARS, *_DERIVED, "seconds", "unique_examples", "trunk", *mappings])
    frame = pd.DataFrame(rows, columns=list(columns | dict.fromkeys(c for r in rows for c in r)))
    whole = dict.fromkeys(("tokens", "peak_memory"), "Int64")
    missing = ("loss", "validation_loss", "mfu", "padding_efficiency")
    frame = frame.astype(whole | dict.fromkeys(missing, float))
    return frame.sort_values(["mixture", "params", "examples", "seed"], ignore_index=True)


def _scores(scores: Mapping[str, Any]) -> dict[str, float]:
    """Numbers among the scores of a run by column, and the jets they count."""
    found = {n: v for n, v in scores.items() if n not in TYPES and isinstance(v, int | float)}
    rejections = scores.get("rejections") or {}
    for name, value in rejections.items():
        found[f"rejection_{name}"] = math.nan if value is None else value
    if jets := found.pop("jets", None):
        found["test_examples"] = jets
        if rejections:  # classes are taken to be equally many, as a test stream draws them
            found["test_background"] = round(jets / (len(rejections) + 1))
    return found
