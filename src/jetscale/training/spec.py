"""What a training run is told and what it reports: `Cell` in, `CellResult` out; plain values.

Records, MLflow and the fits are made from `CellResult.to_dict`, so every field says its unit.
"""

from dataclasses import asdict, dataclass
from typing import Any

from jetscale.objectives.classify import Scores
from jetscale.study import Controls, ModelSize


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One training run, apart from its data."""

    identity: str
    """Key of the cell; a checkpoint of another identity is not used."""
    size: ModelSize
    classes: tuple[str, ...]
    """Class names in label order."""
    controls: Controls
    epochs: int
    """Passes over the training jets."""
    seed: int
    """The seeds of trunk, head and order are derived from it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CellResult:
    """What a finished cell is worth and what it cost."""

    identity: str
    device: str
    ranks: int
    """Data-parallel processes."""
    parameters: int
    non_embedding_parameters: int
    unique_jets: int
    examples: int
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
    training_flops: float
    """Forward and backward, real constituents."""
    training_flops_padded: float
    """The same with every jet padded to controls.constituents."""
    six_nd: float
    """6 x non-embedding parameters x constituents seen."""
    constituents: int
    """Real constituents seen in training."""
    tokens: int
    """Constituents computed by this process, padding included."""
    seconds: dict[str, float]
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
