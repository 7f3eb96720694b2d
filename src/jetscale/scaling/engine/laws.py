"""The scaling law L(N, D) = E + A / N^alpha + B / D^beta and what follows from it.

Equation 2 of Hoffmann et al., arXiv 2203.15556 ("approach 3"); refitted with intervals by
Besiroglu et al., arXiv 2404.10102. N is the number of parameters, D the number of examples, L the
test loss, E the loss that neither a larger model nor more data removes.

All functions take the parameters as one array ``theta`` whose last axis is (E, A, B, alpha, beta),
so the same code serves a point fit (5,) and a thousand bootstrap replicates (1000, 5). The engine
sees runs in centred logs (`Centred`), which makes the fits well conditioned.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from jetscale.scaling.cost import Array as Array
from jetscale.scaling.cost import CostModel

Indices = NDArray[np.intp]
PARAMETERS = ("E", "A", "B", "alpha", "beta")
FORMULA = "L(N, D) = E + A / N^alpha + B / D^beta"
EXPONENT_BOUNDS = (0.01, 2.0)  # of alpha and beta; below, a term is a constant, above, it is a step


class Optimum(NamedTuple):
    """The best run a budget buys, one value per row of theta."""

    params: Array
    examples: Array
    loss: Array


def loss(theta: Array, params: ArrayLike, examples: ArrayLike) -> Array:
    """L(N, D); theta (..., 5), sizes of a shape that broadcasts with (...)."""
    E, A, B, alpha, beta = np.moveaxis(np.asarray(theta, dtype=float), -1, 0)
    n, d = np.log(np.asarray(params, dtype=float)), np.log(np.asarray(examples, dtype=float))
    return np.asarray(E + A * np.exp(-alpha * n) + B * np.exp(-beta * d))


def exponents(theta: Array, cost: CostModel) -> tuple[Array, Array]:
    """Exponents (a, b) of the frontier N* ~ C^a, D* ~ C^b, on C = k N^p D with p a + b = 1.

    For p = 1 this is equation 4 of arXiv 2203.15556.
    """
    alpha, beta = theta[..., 3], theta[..., 4]
    total = alpha + cost.p * beta
    return beta / total, alpha / total


def optimum(theta: Array, budget: ArrayLike, cost: CostModel) -> Optimum:
    """N*, D* and L* that minimise L(N, D) at k N^p D = budget.

    Setting the derivative of A N^-alpha + B (C/k)^-beta N^(p beta) to zero gives
    N*^(alpha + p beta) = alpha A / (p beta B) (C/k)^beta. Needs A, B > 0; where either is zero no
    optimum exists and N*, D* are 0 or infinite.
    """
    _, A, B, alpha, beta = np.moveaxis(np.asarray(theta, dtype=float), -1, 0)
    per_k = np.log(np.asarray(budget, dtype=float) / cost.k)
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        ratio = np.log(alpha) + np.log(A) - np.log(cost.p * beta) - np.log(B)
        log_n = (ratio + beta * per_k) / (alpha + cost.p * beta)
        params, examples = np.exp(log_n), np.exp(per_k - cost.p * log_n)
        return Optimum(params, examples, loss(theta, params, examples))


@dataclass(frozen=True, slots=True)
class Centred:
    """Runs in centred logs, each (n,), and the centres."""

    x: Array
    y: Array
    z: Array
    x0: float
    y0: float
    z0: float
    extra: Mapping[str, Array] = field(default_factory=dict)
    """Logs of further columns, (n,), not centred; -inf where the column is 0."""

    @classmethod
    def of(
        cls, params: Array, examples: Array, loss: Array, extra: Mapping[str, Array] | None = None
    ) -> "Centred":
        """Centre the logs of N, D and L."""
        logs = [np.log(values) for values in (params, examples, loss)]
        x0, y0, z0 = (float(values.mean()) for values in logs)
        with np.errstate(divide="ignore"):
            others = {name: np.log(values) for name, values in (extra or {}).items()}
        return cls(logs[0] - x0, logs[1] - y0, logs[2] - z0, x0, y0, z0, others)

    @classmethod
    def from_runs(cls, runs: pd.DataFrame, columns: Iterable[str] = ()) -> "Centred":
        """Rows of a clean run table, with some further columns of it."""
        params, examples, loss = (runs[c].to_numpy() for c in ("params", "examples", "loss"))
        return cls.of(params, examples, loss, {name: runs[name].to_numpy() for name in columns})

    def select(self, rows: NDArray[np.bool_]) -> "Centred":
        """Some of the runs, with the centres of all."""
        extra = {name: values[rows] for name, values in self.extra.items()}
        centres = self.x0, self.y0, self.z0
        return Centred(self.x[rows], self.y[rows], self.z[rows], *centres, extra)
