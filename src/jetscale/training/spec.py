"""What a training run is told and what it reports: `RunSpec` in, `RunResult` out; plain values.

Records, MLflow and the fits are made from `RunResult.to_dict`, so every field says its unit.
"""

from dataclasses import asdict, dataclass
from typing import Any

from jetscale.objectives.classify import Scores
from jetscale.study import ModelSize, Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSpec:
    """One training run, apart from its data."""

    key: str
    """Key of the spec; a checkpoint of another identity is not used."""
    size: ModelSize
    classes: tuple[str, ...]
    """Class names in label order."""
    recipe: Recipe
    epochs: int
    """Passes over the training jets."""
    seed: int
    """The seeds of trunk, head and order are derived from it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """What a finished spec is worth and what it cost."""

    key: str
    device: str
    ranks: int
    """Data-parallel processes."""
    params: int
    params_non_embedding: int
    examples: int
    examples_seen: int
    """Jets seen, epochs x unique jets."""
    steps: int
    peak_rate: float
    """Largest learning rate of the trunk."""
    training_curve: tuple[tuple[int, float], ...]
    """(steps done, mean training loss since the point before)."""
    validation_curve: tuple[tuple[int, float], ...]
    """(steps done, validation loss); the last point is the end."""
    validation: Scores | None
    test: Scores | None
    flops: float
    """Forward and backward, real constituents."""
    flops_padded: float
    """The same with every jet padded to recipe.data.constituents."""
    flops_6nd: float
    """6 x non-embedding parameters x constituents seen."""
    constituents: int
    """Real constituents seen in training."""
    tokens: int
    """Constituents computed by this process, padding included."""
    timings: dict[str, float]
    """Wall seconds of ``batches`` (assembly), ``steps``, ``evaluation`` and ``total``, and ``cpu``
    seconds of the process; summed over interruptions."""
    jets_per_second: float
    """Training examples over seconds in batches and steps."""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        plain = asdict(self)
        for name in ("training_curve", "validation_curve"):
            plain[name] = [list(point) for point in plain[name]]
        return plain
