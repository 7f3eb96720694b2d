"""A trained model with all it takes to use it, read from a file of weights.

The file runs no code of its own: weights and plain values alone are read from it. Where its
architecture or objective is somebody's own module, the file only names it, and it is imported when
the caller says that it may be.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from torch import Tensor, nn

from jetscale.errors import JetscaleError, TrainingError
from jetscale.jets.example import Schema, schema_from
from jetscale.jets.schema import JETS
from jetscale.mixtures import standardise
from jetscale.mixtures.ragged import Ragged
from jetscale.models.batch import apply_module
from jetscale.models.build import build_model
from jetscale.models.inputs import FeatureInput
from jetscale.models.protocol import ARCHITECTURES
from jetscale.objectives.classify import CLASSIFY
from jetscale.objectives.protocol import OBJECTIVES, Objective, objective_named, outputs_of
from jetscale.store import checkpoints
from jetscale.study import Model, ModelSize


@dataclass(frozen=True, slots=True, kw_only=True)
class Classifier:
    """A trained model; ``probabilities(table)`` says what it makes of jets."""

    module: nn.Module
    """The torch model, in evaluation mode; it takes a `jetscale.models.batch.Batch`."""
    features: tuple[FeatureInput, ...]
    """Its input columns, with the mean and scale that it takes off them itself."""
    classes: tuple[str, ...]
    """Class names in the order of its outputs."""
    schema: Schema
    """Which columns an example has, and how they become inputs."""
    description: Mapping[str, Any]
    """What its file says: run, recipe, mixture, and the record where it was exported."""

    @property
    def data(self) -> Mapping[str, Any]:
        """The settings of its recipe that turn examples into inputs."""
        found: Mapping[str, Any] = self.description["recipe"]["data"]
        return found

    @property
    def objective(self) -> Objective:
        """What it was trained to do."""
        return objective_named(self.description["recipe"]["model"]["objective"])

    @property
    def names(self) -> tuple[str, ...]:
        """A name for each number it gives for a jet: ``p_Hbb``, or ``output_0`` of an own task."""
        if self.objective is CLASSIFY:
            return tuple(f"p_{name}" for name in self.classes)
        return tuple(
            f"output_{i}" for i in range(outputs_of(self.objective.name, len(self.classes)))
        )

    def standardise(self, table: pa.Table) -> Ragged:
        """Examples with the columns of a shard as inputs; DataError for a column that is absent."""
        features, limit = self.data["features"], self.data["constituents"]
        if self.schema.label not in table.column_names:
            table = table.append_column(self.schema.label, pa.array(np.zeros(len(table), np.int32)))
        scale = self.data.get("scale_pt")
        return standardise.standardise(table, features, limit, scale_pt=scale, schema=self.schema)

    def outputs(self, jets: Ragged) -> NDArray[np.float64]:
        """(n, K) outputs for standardised jets, in their order: with ``classify`` the logits."""
        groups = 1 if getattr(self.module, "padded", False) else None
        return apply_module(self.module, jets, groups=groups)

    def predict(self, outputs: NDArray[np.float64]) -> NDArray[np.float64]:
        """What `outputs` mean: with ``classify`` a probability for each class, else as they are."""
        if self.objective is not CLASSIFY:
            return outputs
        shifted = np.exp(outputs - outputs.max(axis=1, keepdims=True))
        probabilities: NDArray[np.float64] = shifted / shifted.sum(axis=1, keepdims=True)
        return probabilities

    def probabilities(self, table: pa.Table) -> NDArray[np.float64]:
        """(n, K) probabilities of the classes for examples with the columns of a shard."""
        return self.predict(self.outputs(self.standardise(table)))


def load_model(path: str | Path, *, trust: bool = False) -> Classifier:
    """The model in a file that `jetscale export --to torch` wrote, ready for use.

    ``trust`` lets it import the module of a user's own that the file names for its architecture or
    objective; it must be installed or lie beside the file.

    Raises:
        TrainingError: There is no such file, it is damaged, or this version of jetscale makes other
            inputs or models; all differences are named.
        StudyError: The module that it names cannot be imported.
    """
    path = Path(path)
    description, weights = checkpoints.load_model(path)
    try:
        model = description["recipe"]["model"]
        own = [name for name in (model["architecture"], model["objective"]) if ":" in name]
        if own and not trust:
            raise TrainingError(
                f"model {path}: it names code of its own, {' and '.join(own)}, which is not run "
                "unasked; if you know it, js.load_model(path, trust=True) or --trust"
            )
        if own and (folder := str(path.resolve().parent)) not in sys.path:
            sys.path.insert(0, folder)
        return open_model(description, weights, f"model {path}")
    except JetscaleError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise TrainingError(
            f"model {path}: damaged ({type(error).__name__}: {error}); export it again"
        ) from error


def open_model(
    description: Mapping[str, Any], weights: Mapping[str, Mapping[str, Tensor]], where: str
) -> Classifier:
    """The model of a description with these weights; raises as `load_model`, of ``where``."""
    recipe = description["recipe"]
    _check_versions(recipe, where)
    settings = Model(
        architecture=recipe["model"]["architecture"],
        objective=recipe["model"]["objective"],
        parametrization=recipe["model"].get("parametrization", "standard"),
    )
    size = ModelSize(**description["size"])
    features = tuple(FeatureInput(**feature) for feature in description["features"])
    classes = tuple(description["classes"])
    outputs = outputs_of(settings.objective, len(classes))
    module, _ = build_model(settings, size, features, outputs, trunk_seed=0, head_seed=0)
    try:
        for part in ("trunk", "head"):
            getattr(module, part).load_state_dict(weights[part])
    except RuntimeError as error:
        raise TrainingError(
            f"{where}: its weights are not those of architecture {settings.architecture!r} as it "
            "is now; use the code that it was trained with"
        ) from error
    schema = JETS if description["schema"] is None else schema_from(description["schema"])
    return Classifier(
        module=module.eval(),
        features=features,
        classes=classes,
        schema=schema,
        description=description,
    )


def _check_versions(recipe: Mapping[str, Any], where: str) -> None:
    """Raise TrainingError where the code here makes other inputs or another model of the same."""
    model = recipe["model"]
    stored = {
        "architecture_version": model["architecture_version"],
        "objective_version": model["objective_version"],
        "version of the inputs": recipe["data"]["version"],
    }
    mine = {
        "architecture_version": ARCHITECTURES.version(model["architecture"]),
        "objective_version": OBJECTIVES.version(model["objective"]),
        "version of the inputs": standardise.VERSION,
    }
    if text := checkpoints.differences(stored, mine, "the code here has"):
        raise TrainingError(f"{where}: its {text}; use the versions that it was trained with")
