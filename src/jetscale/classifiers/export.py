"""The model of a finished run as a file that serves, with a card beside it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from jetscale import __version__
from jetscale.classifiers.card import card
from jetscale.classifiers.graph import inputs_of, write_graph
from jetscale.classifiers.model import Classifier, open_model
from jetscale.classifiers.sample import made_up_jets, test_jets
from jetscale.errors import StorageError, StudyError, TrainingError, unknown
from jetscale.planning import Run, plan_runs
from jetscale.planning.identity import flatten
from jetscale.planning.run import find_run
from jetscale.shown import Shown, frame_of, later, row_of
from jetscale.store import checkpoints
from jetscale.store.home import Home
from jetscale.store.local import atomic_path
from jetscale.store.models import best_of, find_model, how_to_get, kept_keys, rank
from jetscale.store.record import Record
from jetscale.store.records import RecordStore
from jetscale.study import Study
from jetscale.study.load import load_study
from jetscale.tracking.address import tracking_uri

BEST = "best"
_SUFFIX = {"torch": ".pt", "onnx": ".onnx"}
_USES = {
    "torch": """import jetscale as js

model = js.load_model("{file}"{trust})
found = js.predict(model, "shards/test")  # a shard folder: label, predicted, {first}, ...
""",
    "onnx": """import onnxruntime

session = onnxruntime.InferenceSession("{file}")
# float32 (jets, constituents, columns), {jets}bool mask (jets, constituents); columns as below
logits, probabilities = session.run(None, {{{given}}})
""",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported(Shown):
    """A model that was written, and where."""

    key: str
    """Key of its run."""
    name: str
    """Name of its run."""
    to: str
    """``torch`` or ``onnx``."""
    file: Path
    """The model."""
    card: Path
    """The page beside it that says what it is."""
    bytes: int
    """Size of the model's file."""
    difference: float | None
    """Largest difference of the graph to the model, in a probability; None for ``torch``."""
    compared_on: str
    """What the graph was compared on; empty for ``torch``."""
    registered: str
    """Address of the model in MLflow, as ``models:/top/1``; empty where it was not asked for."""

    def to_frame(self) -> pd.DataFrame:
        """Return the one row."""
        columns = "key name to file card bytes difference compared_on registered"
        return frame_of([row_of(self)], columns)


def export(
    study: Study | str | Path,
    run: str = BEST,
    *,
    to: str = "torch",
    out: str | Path | None = None,
    register: str = "",
    home: str | Path | None = None,
) -> Exported:
    """Write the model of a finished run whose weights were kept, and a card beside it.

    ``run`` is its name, its key or the first letters of that, or ``best``: the one with the lowest
    validation loss. With ``register`` the model is registered in MLflow under this name.

    Raises:
        StudyError: There is no such run, or an unknown format.
        StorageError: The run left no weights, or the file cannot be written.
        TrainingError: The weights are of another recipe, or no graph can hold the model.
        MissingExtra: ``onnx`` needs the packages of the extra ``export``.
        SweepError: MLflow does not take the model.
    """
    if to not in _SUFFIX:
        raise StudyError(unknown("format", to, _SUFFIX))
    if not isinstance(study, Study):
        if out is not None and Path(out).resolve() == Path(study).resolve():
            raise StudyError(f"model {out}: that is the sweep file; give it another name")
        study = load_study(study)
    place = Home.at(home)
    planned = plan_runs(study)
    store = RecordStore.open(study, place, planned)
    record = _chosen(study, store, planned, run)
    file = Path(out or f"{study.name}-{record.key}{_SUFFIX[to]}")
    page = file.with_name(f"{file.name}.md")  # the same model in two forms has two cards
    description, weights = _weights(study, store, record)
    model = open_model(description, weights, f"model of {description['name']}")
    difference, compared = None, ""
    if to == "torch":
        checkpoints.save_model(file, weights, description)
    else:
        sample, compared = _sample(study, place, model)
        difference = write_graph(model, file, sample)
    with atomic_path(page) as temporary:
        temporary.write_text(_card(model, record, to, file), encoding="utf-8")
    return Exported(
        key=record.key,
        name=description["name"],
        to=to,
        file=file,
        card=page,
        bytes=file.stat().st_size,
        difference=difference,
        compared_on=compared,
        registered=_register(study, place, record, file, register) if register else "",
    )


def _chosen(study: Study, store: RecordStore, planned: tuple[Run, ...], run: str) -> Record:
    """The record of the run that is asked for."""
    if run == BEST:
        found = store.read_all(each.key for each in planned if each.kind == "finetune")
        if not found:
            raise StudyError(f"study {study.name!r} has no finished runs; start it: jetscale run")
        return min(best_of(list(found.values())).values(), key=rank)
    key = find_run(planned, run, f"study {study.name!r}").key
    if (record := store.read(key)) is None:
        why = store.damaged.get(key, "it has not finished; see `jetscale status`")
        raise StudyError(f"run {store.planned[key].name} ({key}): {why}")
    return record


def _weights(
    study: Study, store: RecordStore, record: Record
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Description, with the record in it, and weights of a run."""
    name = store.planned[record.key].name
    if (path := find_model(store, record)) is None:
        kept = [store.planned[key] for key in kept_keys(store) if key in store.planned]
        listed = "; ".join(f"{each.name} ({each.key})" for each in kept[:5])
        others = f"kept are {len(kept)}: {listed}" if kept else "no run of the study has any"
        raise StorageError(
            f"run {name} ({record.key}) left no weights, or a better one took their place; "
            f"{others}; {how_to_get(study, store, record)}"
        )
    description, weights = checkpoints.load_model(path)
    stored, wanted = (
        {"key": key, **flatten(recipe)}
        for key, recipe in (
            (description.get("key"), description.get("recipe", {})),
            (record.key, record.recipe),
        )
    )
    if text := checkpoints.differences(stored, wanted, f"run {name} has"):
        raise TrainingError(f"model {path}: its {text}; remove the file and train the run again")
    told = {k: v for k, v in json.loads(record.to_json()).items() if k != "curve"}
    return description | {"record": told, "jetscale": __version__}, weights


def _sample(study: Study, home: Home, model: Classifier) -> tuple[Any, str]:
    """Examples to compare a graph on, and what they are."""
    inputs = inputs_of(model)
    if (found := test_jets(study, home, (*inputs.columns, *inputs.of_jet))) is not None:
        return found, f"{len(found)} test {study.noun}s"
    made = made_up_jets(model.schema, model.data["features"], inputs.limit)
    return made, f"{len(made)} made-up {study.noun}s of typical length"


def _card(model: Classifier, record: Record, to: str, file: Path) -> str:
    inputs, settings = inputs_of(model), model.description["recipe"]["model"]
    own = ":" in settings["architecture"] + settings["objective"]
    given = ("constituents", *(["jets"] if inputs.of_jet else []), "mask")
    facts: Mapping[str, str] = {
        "file": file.name,
        "trust": ", trust=True" if own else "",
        "first": model.names[0],
        "jets": "(jets, columns of the jet), " if inputs.of_jet else "",
        "given": ", ".join(f'"{name}": {name}' for name in given),
    }
    return card(record, model.classes, model.schema.noun, inputs, _USES[to].format(**facts))


def _register(study: Study, home: Home, record: Record, file: Path, name: str) -> str:
    """Register a file; the address by which MLflow knows it."""
    live = later("sweep.follow", "LiveMirror")(study, home, plan_runs(study), tracking_uri(home))
    address: str = live.register(record.key, file, name)
    return address
