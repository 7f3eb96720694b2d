"""What a finished training leaves for use: the weights of its whole model.

The file has all it takes to build the model again, and what a later reader asks of it; see
`jetscale.store.checkpoints.save_model`.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from jetscale.objectives.protocol import Scores
from jetscale.store.checkpoints import save_model as write_model
from jetscale.training.spec import RunSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """Where the weights of a run go once it is trained, and whether they do."""

    path: Path
    about: Mapping[str, Any]
    """Plain values that stand in the file beside what the spec says, and before it."""
    wanted: Callable[[float], bool]
    """Asked once, with the validation loss."""


def save_model(
    weights: Callable[[], Mapping[str, Mapping[str, Tensor]]],
    spec: RunSpec,
    file: ModelFile | None,
    validation: Scores | None,
) -> str | None:
    """Write the weights of trunk and head as they were evaluated; the SHA-256 of the file.

    None where nobody wants them: then they are not asked for. Raises StorageError where they cannot
    be written.
    """
    if file is None or validation is None or not file.wanted(float(validation["loss"])):
        return None
    return write_model(file.path, weights(), describe_model(spec) | dict(file.about))


def describe_model(spec: RunSpec) -> dict[str, Any]:
    """What builds the model of a spec, in plain values."""
    return {
        "key": spec.key,
        "size": asdict(spec.size),
        "features": [asdict(feature) for feature in spec.features],
        "classes": list(spec.classes),
        "recipe": spec.recipe.to_dict(),
    }
