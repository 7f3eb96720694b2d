"""What a law is to the engine and to the analysis, and the two laws of N and D alone.

Every law here is L(N, D) = E + A / X(N, D) + B / Y(N, D): linear in (E, A, B) once its nonlinear
parameters are given, alpha and beta and at most three more; one joins the two terms otherwise than
by adding them. Some laws need a *covariate*, a column of the run table beside the sizes, see
`jetscale.scaling.table.COVARIATES`.

The unknowns of the engine are q = (e, a, b, alpha, beta, ...) with L / L0 = e + exp(a + u) +
exp(b + v), in the centred logs of `laws.Centred`; ``theta`` holds the parameters in plain units.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from jetscale.scaling.cost import CostModel
from jetscale.scaling.engine import frontier, laws
from jetscale.scaling.engine.laws import EXPONENT_BOUNDS, PARAMETERS, Array, Centred, Optimum

Slopes = list[tuple[Array | None, Array | None]]
"""Per nonlinear unknown: the derivatives of both terms' logs, None where there is none."""


@dataclass(frozen=True, slots=True)
class Extra:
    """A nonlinear unknown beside alpha and beta."""

    name: str
    low: float
    high: float
    grid: tuple[float, ...]  # values tried as starts
    log: bool = False  # True where the unknown is the log of the parameter, up to a constant


class Law:
    """L = E + A / N^alpha + B / D^beta, and the interface of the other laws."""

    name: ClassVar[str] = "chinchilla"
    formula: ClassVar[str] = laws.FORMULA
    source: ClassVar[str] = "arXiv 2203.15556, equation 2"
    columns: ClassVar[tuple[str, ...]] = ()  # columns it needs beside params and examples
    extras: ClassVar[tuple[Extra, ...]] = ()
    exponents_tried: ClassVar[Array] = np.geomspace(0.02, EXPONENT_BOUNDS[1], 29)  # starts
    largest_floor: ClassVar[float] = 2.0  # upper bound of e: out of reach, or 0 for no floor
    shared: ClassVar[tuple[str, ...]] = ()  # what mixtures share by the meaning of the law
    deciding: ClassVar[tuple[str, ...]] = ("alpha", "beta")  # the exponents of the frontier

    def __json__(self) -> str:
        """Return the name: a law is one of `LAWS`."""
        return self.name

    def __repr__(self) -> str:
        return f"<law {self.name}>"

    @property
    def comparable(self) -> bool:
        """True where `deciding` holds all that decides the exponents, as a comparison needs it."""
        return {extra.name for extra in self.extras} <= {*self.deciding}

    def check(self, runs: pd.DataFrame) -> str:
        """Return what the runs of one mixture lack for this law beside sizes, or an empty text."""
        lacks = next((name for name in self.columns if name not in runs), None)
        return f"has no column {lacks}, which the law {self.name!r} needs" if lacks else ""

    def check_study(self, runs: pd.DataFrame) -> None:
        """Refuse a table whose mixtures together lack what the law needs; raises FitError."""

    def applies(self, runs: Centred) -> bool:
        """Return whether the further parameters of the law mean anything for these runs."""
        return True

    def held(self, runs: pd.DataFrame) -> dict[str, float]:
        """Return the covariates at which the frontier of a mixture is asked for."""
        return {}

    def assumes(self, held: Mapping[str, float]) -> str:
        """Return what an optimum of this law takes for granted, in words, or an empty text."""
        return ""

    def plain(self, theta: Array, **held: ArrayLike) -> Array | None:
        """Return theta (..., 5) of the law of N and D left at fixed covariates, if one is left."""
        return theta[..., :5]

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names in the order of theta."""
        return (*PARAMETERS, *(extra.name for extra in self.extras))

    @property
    def lower(self) -> Array:
        """Lower bounds of q; a term of exp(-14) of the loss has vanished."""
        low = EXPONENT_BOUNDS[0]
        return np.array([0.0, -14.0, -14.0, low, low, *(extra.low for extra in self.extras)])

    @property
    def upper(self) -> Array:
        """Upper bounds of q; those of a and b are out of reach."""
        high = EXPONENT_BOUNDS[1]
        ends = [self.largest_floor, 3.0, 3.0, high, high]
        return np.array([*ends, *(extra.high for extra in self.extras)])

    @property
    def free(self) -> int:
        """Number of parameters a fit determines."""
        return int((self.lower < self.upper).sum())

    @property
    def starts(self) -> int:
        """Points of the grid of nonlinear parameters."""
        further = math.prod(len(extra.grid) for extra in self.extras)
        return len(self.exponents_tried) ** 2 * further

    def terms(self, v: Sequence[Array], runs: Centred) -> tuple[Array, Array]:
        """Logs of both terms without heights (R, n), of alpha, beta and extras (R, 1 or n) each."""
        return -v[0] * runs.x, -v[1] * runs.y

    def slopes(self, v: Sequence[Array], runs: Centred) -> Slopes:
        """Derivatives of `terms` by the nonlinear unknowns."""
        return [(-runs.x, None), (None, -runs.y)]

    def join(self, v: Sequence[Array], first: Array, second: Array) -> None:
        """Change the logs of both terms, heights included, in place, so that they add."""

    def joint_slopes(self, v: Sequence[Array], first: Array, second: Array) -> Slopes:
        """Derivatives by the last unknowns, those of `join`, from the terms themselves."""
        return []

    def theta(self, q: Array, runs: Centred) -> Array:
        """Parameters (..., P) in plain units of the unknowns q (..., P)."""
        e, a, b, alpha, beta = np.moveaxis(q[..., :5], -1, 0)
        A, B = np.exp(a + runs.z0 + alpha * runs.x0), np.exp(b + runs.z0 + beta * runs.y0)
        plain = [e * np.exp(runs.z0), A, B, alpha, beta]
        for i, extra in enumerate(self.extras, start=5):
            plain.append(np.exp(q[..., i]) if extra.log else q[..., i])
        return np.stack(plain, axis=-1)

    def loss(self, theta: Array, params: ArrayLike, examples: ArrayLike, **at: ArrayLike) -> Array:
        """Loss of theta (..., P) at sizes and covariates that broadcast with (...)."""
        return laws.loss(theta, params, examples)

    def exponents(self, theta: Array, cost: CostModel, budget: float) -> tuple[Array, Array]:
        """Exponents (a, b) of the frontier N* ~ C^a, D* ~ C^b at a budget."""
        return laws.exponents(theta[..., :5], cost)

    def bounded(self, theta: Array, cost: CostModel) -> NDArray[np.bool_]:
        """Where (...) a larger model is not always better: the laws that have a frontier."""
        return np.ones(theta.shape[:-1], dtype=bool)

    def optimum(self, theta: Array, budget: ArrayLike, cost: CostModel, **at: ArrayLike) -> Optimum:
        """N*, D* and L* of a budget that broadcasts with theta (..., P)."""
        return laws.optimum(theta, budget, cost)

    def _local_exponents(self, theta: Array, cost: CostModel, budget: float) -> tuple[Array, Array]:
        """Local slopes of N* and D* at the budget, for a frontier that is no power law."""
        low, high = (self.optimum(theta, budget * factor, cost) for factor in (0.9, 1 / 0.9))
        step = -2 * np.log(0.9)
        return np.log(high.params / low.params) / step, np.log(high.examples / low.examples) / step

    def _search(self, theta: Array, budget: ArrayLike, cost: CostModel, **at: ArrayLike) -> Optimum:
        """`optimum` by 1-D minimisation at fixed cost."""
        budgets = np.broadcast_to(budget, np.broadcast_shapes(np.shape(budget), theta.shape[:-1]))
        n, d = frontier.split(lambda n, d: self.loss(theta, n, d, **at), budgets, cost)
        return Optimum(n, d, self.loss(theta, n, d, **at))


class NoFloor(Law):
    """L = A / N^alpha + B / D^beta: the Chinchilla law with E held at 0."""

    name = "no-floor"
    formula = "L(N, D) = A / N^alpha + B / D^beta"
    source = "arXiv 2001.08361 up to the outer power"
    largest_floor = 0.0


CHINCHILLA = Law()
NO_FLOOR = NoFloor()
