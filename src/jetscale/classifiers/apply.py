"""A model applied to shards of examples: what it says of each, and how well where labels tell."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from jetscale.classifiers.model import Classifier, load_model
from jetscale.errors import DataError
from jetscale.jets.shards import Manifest, open_shards
from jetscale.jets.shards.manifest import check_shard
from jetscale.jsonable import HIDDEN
from jetscale.objectives.protocol import plain_scores
from jetscale.shown import Shown
from jetscale.store.checkpoints import differences
from jetscale.store.local import atomic_path

ROWS = 16_384  # examples in memory as columns at a time


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Predictions(Shown):
    """What a model says of n examples, in the order of the folders and of the shards in them."""

    model: str
    """Name of the run that trained it."""
    key: str
    """Key of that run."""
    noun: str
    """The word for one example."""
    folders: tuple[Path, ...]
    """Where the examples are from."""
    file: Path | None
    """Where the predictions were written; None where that was not asked for."""
    examples: int
    """How many there are."""
    scored: int
    """Of these, how many have a label that is a class of the model."""
    scores: Mapping[str, Any] | None
    """Scores of the objective on those, ``loss`` among them; None where there is none."""
    table: pa.Table = field(metadata=HIDDEN, repr=False)
    """A row for each: ``label`` (null without one), ``predicted``, and a column per output."""

    def to_frame(self) -> pd.DataFrame:
        """Return a row per example: label, predicted, and a probability for each class."""
        frame: pd.DataFrame = self.table.to_pandas()
        return frame


def predict(
    model: str | Path | Classifier,
    shards: str | Path | Sequence[str | Path],
    out: str | Path | None = None,
    *,
    trust: bool = False,
) -> Predictions:
    """What a model says of every example in shard folders, in their order.

    ``model`` is a file of `jetscale export --to torch`, or what `load_model` gave; ``out`` a
    Parquet file to write.

    Raises:
        DataError: A folder is damaged, lacks columns, or its examples are another kind.
        TrainingError, StudyError: As `jetscale.classifiers.model.load_model`.
        StorageError: ``out`` cannot be written.
    """
    given_file = None if isinstance(model, Classifier) else Path(model).resolve()
    if out is not None and Path(out).resolve() == given_file:
        raise DataError(f"predictions {out}: that is the model; give them another name")
    chosen = model if isinstance(model, Classifier) else load_model(model, trust=trust)
    given = [Path(folder) for folder in ([shards] if isinstance(shards, str | Path) else shards)]
    _check_given(given)
    manifests = [_opened(folder, chosen) for folder in given]
    parts = [part for manifest in manifests for part in _outputs(manifest, chosen)]
    outputs = np.concatenate([part[0] for part in parts])
    indices = np.concatenate([part[1] for part in parts])
    labels = pa.concat_arrays([part[2] for part in parts])
    table = _table(chosen, outputs, labels)
    known, scores = indices >= 0, None
    if known.any():
        scores = plain_scores(
            chosen.objective.scores(outputs[known], indices[known], chosen.classes)
        )
    if out is not None:
        with atomic_path(Path(out)) as temporary:
            pq.write_table(table, temporary)
    return Predictions(
        model=chosen.description["name"],
        key=chosen.description["key"],
        noun=chosen.schema.noun,
        folders=tuple(manifest.folder for manifest in manifests),
        file=None if out is None else Path(out),
        examples=len(outputs),
        scored=int(known.sum()),
        scores=scores,
        table=table,
    )


def _check_given(folders: Sequence[Path]) -> None:
    if not folders:
        raise DataError("no shards are given; name at least one shard folder")
    places = [folder.resolve() for folder in folders]
    for place, folder in zip(places, folders, strict=True):
        if places.count(place) > 1:  # its examples would count twice in the scores
            raise DataError(f"{folder} is given {places.count(place)} times; name it once")


def _opened(folder: Path, model: Classifier) -> Manifest:
    if folder.is_file():
        raise DataError(f"{folder} is a file, not a shard folder; make one with `jetscale ingest`")
    manifest, features = open_shards(folder), model.data["features"]
    if manifest.schema != model.schema:
        wanted, found = (
            {"noun": s.noun, "columns": s.columns} for s in (model.schema, manifest.schema)
        )
        text = differences(found, wanted, "the model needs") or "features have other scales"
        raise DataError(f"{folder}: its {text}; use examples of the kind it was trained on")
    manifest.schema.check_columns(manifest.columns, features, str(folder))
    return manifest


def _outputs(
    manifest: Manifest, model: Classifier
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.int64], pa.Array]]:
    """Outputs, class indices of the model (-1 for none) and names of labels, part by part."""
    schema = manifest.schema
    columns = [*schema.inputs_of(model.data["features"]), schema.label]
    of_model = {name: index for index, name in enumerate(model.classes)}
    index_of = np.array([of_model.get(name, -1) for name in manifest.classes])
    names = pa.array(None if name == "unlabelled" else name for name in manifest.classes)
    for shard in manifest.shards:
        check_shard(manifest, shard)
        with pq.ParquetFile(manifest.path(shard)) as file:
            for batch in file.iter_batches(ROWS, columns=columns):
                table = pa.Table.from_batches([batch])
                labels = table[schema.label].to_numpy()
                outputs = model.outputs(model.standardise(table))
                yield outputs, index_of[labels], names.take(pa.array(labels))


def _table(model: Classifier, outputs: NDArray[np.float64], labels: pa.Array) -> pa.Table:
    """The file of predictions; the model's key is in its metadata."""
    columns = {"label": labels}
    if len(model.names) == len(model.classes):
        columns["predicted"] = pa.array(model.classes).take(pa.array(outputs.argmax(axis=1)))
    values = model.predict(outputs)
    columns |= {name: pa.array(values[:, i]) for i, name in enumerate(model.names)}
    return pa.table(columns).replace_schema_metadata({"jetscale.model": model.description["key"]})
