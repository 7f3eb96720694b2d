"""What a run costs as a function of its size: C(N, D) = k N^p D.

Where the table states the FLOPs of each run, k and p are fitted to them: attention and embeddings
make small models dearer per parameter than large ones, so p is usually a little off 1. Else it is
the usual C = 6 N D. The convention is put in words, because the exponents depend on it (arXiv
2406.19146: the choice alone moved one from .84 to .71). `pretraining` says what it leaves out.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from jetscale.errors import FitError

Array = NDArray[np.float64]
_NOTABLE_RESIDUAL = 0.1
_USELESS_RESIDUAL = 2.0  # a flops column further off would decide the frontier by its errors


@dataclass(frozen=True, slots=True, kw_only=True)
class CostModel:
    """C(N, D) = k N^p D in FLOPs."""

    k: float  # FLOPs of one example in a model of one parameter
    p: float  # growth of the cost of one example with the number of parameters
    worst_residual: float  # largest distance of stated FLOPs from the model; 0 where none is
    measured: bool  # True where k and p come from a flops column
    pretrained: bool = False  # some models were pretrained, at FLOPs that the table states
    both_counts: bool = False  # the table has params_non_embedding too: params counts all
    json_also: ClassVar[tuple[str, ...]] = ("convention",)

    def flops(self, params: Array, examples: Array) -> Array:
        """FLOPs of runs of these sizes."""
        return np.asarray(self.k * params**self.p * examples)

    def of_runs(self, runs: pd.DataFrame) -> Array:
        """Return the FLOPs (n,) of the rows of a clean table: as stated, else by this model."""
        if "flops" in runs:
            return runs["flops"].to_numpy(dtype=float)
        return self.flops(runs["params"].to_numpy(), runs["examples"].to_numpy())

    @property
    def convention(self) -> str:
        """The model in words, for every output that quotes an exponent."""
        params = "; params: all trainable parameters" if self.both_counts else ""
        left_out = ": downstream training FLOPs; pretraining not counted" if self.pretrained else ""
        if not self.measured:
            return f"C = 6 x params x examples (the table has no flops column){params}"
        return (
            f"C = {self.k:.4g} x params^{self.p:.4f} x examples, fitted to the flops column "
            f"(worst run off by {self.worst_residual:.1%}){left_out}{params}"
        )

    @property
    def warning(self) -> str:
        """One line where the model describes the stated FLOPs badly, else empty."""
        if self.worst_residual <= _NOTABLE_RESIDUAL:
            return ""
        return (
            f"compute: the flops column is off C = k N^p D by up to {self.worst_residual:.0%}; "
            "the frontier uses that model and inherits the error"
        )


def cost_model(runs: pd.DataFrame) -> CostModel:
    """The cost model of a clean run table: least squares of log(C/D) on log N.

    Raises FitError where the stated FLOPs do not grow with params, or follow no cost model.
    """
    both = "params_non_embedding" in runs
    if "flops" not in runs:
        return CostModel(k=6.0, p=1.0, worst_residual=0.0, measured=False, both_counts=both)
    x = np.log(runs["params"].to_numpy())
    y = np.log(runs["flops"].to_numpy() / runs["examples"].to_numpy())
    log_k, p = power_law(x, y)
    if p <= 0:
        raise FitError(
            f"flops per example fall with params (power {p:.2f}): check the flops column; "
            "it is the compute of the whole run"
        )
    worst = float(np.max(np.abs(np.expm1(y - log_k - p * x))))
    if worst > _USELESS_RESIDUAL:
        raise FitError(
            f"the flops column is off C = k N^p D by up to {worst:.0%}: it is no compute of these "
            "runs; check it, or drop it for C = 6 N D"
        )
    k = float(np.exp(log_k))
    told = {"pretrained": bool(pretraining(runs)), "both_counts": both}
    return CostModel(k=k, p=p, worst_residual=worst, measured=True, **told)


def power_law(x: Array, y: Array) -> tuple[float, float]:
    """Return log height and power of the least-squares line of logs y (n,) on x; 1 for one x."""
    centre = x - x.mean()
    # One size alone need not equal its own mean: rounding would leave a line through noise.
    power = float(centre @ y / (centre @ centre)) if np.ptp(x) > 0 else 1.0
    return float(np.mean(y - power * x)), power


def pretraining(runs: pd.DataFrame) -> dict[str, str]:
    """A line for each mixture that was pretrained: compute no budget counts."""
    if "pretraining_flops" not in runs:
        return {}
    largest = runs.groupby("mixture", sort=False)["pretraining_flops"].max()
    spent = {str(name): f"{flops:.2g} FLOPs" for name, flops in largest.items() if flops > 0}
    left_out = "of pretraining per model (largest) are not in the budget"
    return {name: f"{name}: {flops} {left_out}" for name, flops in spent.items()}
