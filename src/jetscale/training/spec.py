"""What a training is told and what it reports: `RunSpec` in, `RunResult` out; plain values.

A field of `RunResult` has the name that it has in `jetscale.store.record.Record`, which is made
from it.
"""

from dataclasses import dataclass

from jetscale.models.inputs import FeatureInput
from jetscale.objectives.protocol import Scores
from jetscale.study import ModelSize, Recipe

Curve = list[list[float]]
"""Points [optimiser steps done, loss]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSpec:
    """One training, apart from its data."""

    key: str
    """Identity of the run; a checkpoint of another run is not used."""
    size: ModelSize
    """Width, layers and heads."""
    features: tuple[FeatureInput, ...]
    """The columns of the inputs, with the scales that the model divides by."""
    classes: tuple[str, ...]
    """Class names in label order."""
    recipe: Recipe
    """What is held fixed between mixtures."""
    epochs: int
    """Passes over the training jets."""
    seed: int
    """Training seed: those of trunk, head and order are derived from it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """What a finished training is worth and what it cost."""

    key: str
    """Identity of the run."""
    params: int
    """Trainable parameters N."""
    params_non_embedding: int
    """Those between the embedding of the inputs and the head."""
    examples: int
    """Distinct training jets D."""
    examples_seen: int
    """Jets seen in training, epochs x D."""
    epochs: int
    """Passes over the D jets."""
    steps: int
    """Optimiser steps."""
    peak_rate: float
    """Largest learning rate of the trunk."""
    constituents: int
    """Real constituents seen in training."""
    tokens: int | None
    """Constituents computed in training by this rank, padding included; None where a command
    trained."""
    jets_per_second: float
    """Jets seen over the wall seconds in batches and steps; those of a stack are shared equally."""
    mfu: float | None
    """Model FLOPs utilisation: ``flops`` over what the device could have made at its peak in the
    seconds of batches and steps; None where that peak is not known, as on a CPU."""
    peak_memory: int | None
    """Peak bytes of tensors on a GPU while it was trained, all of its stack together; on a CPU the
    resident peak of the process so far. None where the system does not tell."""
    ranks: int
    """Data-parallel processes."""
    stack: int
    """Runs that were trained in lock step at the end, this one among them; 1 for one alone."""
    device: str
    """Where it was trained: ``cpu`` or the name of the GPU."""
    flops: float
    """Training FLOPs, forward and backward, real constituents, a multiply-add is 2 FLOPs."""
    flops_padded: float
    """The same with every jet padded to ``data.constituents`` of the recipe."""
    flops_6nd: float
    """6 x non-embedding parameters x constituents seen."""
    training_loss: float | None
    """Mean training loss per jet of the last point of the training curve; None where a command
    that trained told none."""
    curve: dict[str, Curve]
    """``training_loss``: mean loss per jet since the point before. ``validation_loss``: mean loss
    per jet of the validation jets; the last point is the end. Points are [steps done, loss]."""
    validation: Scores | None
    """Scores of the objective on the validation jets after the last step; None without them."""
    test: Scores | None
    """Scores of the objective on the test jets after the last step; None without them."""
    trunk_sha256: str | None
    """SHA-256 of the file of weights that was left; None where none was asked for."""
    model_sha256: str | None
    """SHA-256 of the file of weights of the whole model; None where none was left."""
    timings: dict[str, float]
    """Wall seconds of ``batches`` (assembly on the host), ``steps``, ``evaluation`` and ``total``,
    and ``cpu`` seconds of the process; summed over interruptions."""

    @property
    def loss(self) -> float | None:
        """Test loss after the last step; None without test jets."""
        return None if self.test is None else float(self.test["loss"])

    @property
    def validation_loss(self) -> float | None:
        """Validation loss after the last step; None without validation jets."""
        return None if self.validation is None else float(self.validation["loss"])
