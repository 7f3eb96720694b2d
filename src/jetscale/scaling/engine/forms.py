"""The laws that can be fitted, behind one interface.

Every law here is L(N, D) = E + A / X(N, D) + B / Y(N, D): linear in (E, A, B) once its nonlinear
parameters are given, alpha and beta and at most three more. A law says what the engine needs of
it: names, bounds and grid of its unknowns, the logs of its two terms and their derivatives. And it
says what the analysis needs: its loss in plain units and its frontier.

The unknowns of the engine are q = (e, a, b, alpha, beta, ...) with L / L0 = e + exp(a + u) +
exp(b + v), in the centred logs of `logs.Centred`; ``theta`` holds the parameters in plain units.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from jetscale.errors import FitError, unknown
from jetscale.scaling.cost import CostModel
from jetscale.scaling.engine import frontier, laws
from jetscale.scaling.engine.laws import EXPONENT_BOUNDS, PARAMETERS, Array, Optimum
from jetscale.scaling.engine.logs import Centred

Slopes = list[tuple[Array | None, Array | None]]
"""Per nonlinear unknown: the derivatives of both terms' logs, None where there is none."""


@dataclass(frozen=True, slots=True)
class Extra:
    """A nonlinear unknown beside alpha and beta."""

    name: str
    low: float
    high: float
    grid: tuple[float, ...]
    """Values tried as starts."""
    log: bool = False
    """True where the unknown is the log of the parameter, up to a constant."""


class Law:
    """L = E + A / N^alpha + B / D^beta, and the interface of the other laws."""

    name: ClassVar[str] = "chinchilla"
    formula: ClassVar[str] = laws.FORMULA
    source: ClassVar[str] = "arXiv 2203.15556, equation 2"
    columns: ClassVar[tuple[str, ...]] = ()
    """Columns of the run table it needs beside params and examples."""
    extras: ClassVar[tuple[Extra, ...]] = ()
    exponents_tried: ClassVar[Array] = np.geomspace(0.02, EXPONENT_BOUNDS[1], 29)
    """Values of alpha and of beta tried as starts."""
    largest_floor: ClassVar[float] = 2.0
    """Upper bound of e: out of reach, or 0 for a law without floor."""
    shared: ClassVar[tuple[str, ...]] = ()
    """Parameters that all mixtures have in common by the meaning of the law."""

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
        """Logs of both terms without their heights, (R, n), of the nonlinear unknowns (R, 1 or n).

        Those are alpha, beta and the extras, in this order.
        """
        return -v[0] * runs.x, -v[1] * runs.y

    def slopes(self, v: Sequence[Array], runs: Centred) -> Slopes:
        """Derivatives of `terms` by the nonlinear unknowns."""
        return [(-runs.x, None), (None, -runs.y)]

    def theta(self, q: Array, runs: Centred) -> Array:
        """Parameters (..., P) in plain units of the unknowns q (..., P)."""
        e, a, b, alpha, beta = np.moveaxis(q[..., :5], -1, 0)
        A, B = np.exp(a + runs.z0 + alpha * runs.x0), np.exp(b + runs.z0 + beta * runs.y0)
        plain = [e * np.exp(runs.z0), A, B, alpha, beta]
        for i, extra in enumerate(self.extras, start=5):
            plain.append(np.exp(q[..., i]) if extra.log else q[..., i])
        return np.stack(plain, axis=-1)

    def loss(
        self, theta: Array, params: ArrayLike, examples: ArrayLike, **columns: ArrayLike
    ) -> Array:
        """Loss of theta (..., P) at sizes that broadcast with (...)."""
        return laws.loss(theta, params, examples)

    def exponents(self, theta: Array, cost: CostModel, budget: float) -> tuple[Array, Array]:
        """Exponents (a, b) of the frontier N* ~ C^a, D* ~ C^b at a budget."""
        return laws.exponents(theta[..., :5], cost)

    def optimum(
        self, theta: Array, budget: ArrayLike, cost: CostModel, **columns: ArrayLike
    ) -> Optimum:
        """N*, D* and L* of a budget that broadcasts with theta (..., P)."""
        return laws.optimum(theta, budget, cost)

    def _search(
        self, theta: Array, budget: ArrayLike, cost: CostModel, **columns: ArrayLike
    ) -> Optimum:
        """`optimum` by 1-D minimisation at fixed cost."""
        budgets = np.broadcast_to(budget, np.broadcast_shapes(np.shape(budget), theta.shape[:-1]))
        params, examples = frontier.split(
            lambda n, d: self.loss(theta, n, d, **columns), budgets, cost
        )
        return Optimum(params, examples, self.loss(theta, params, examples, **columns))


class NoFloor(Law):
    """L = A / N^alpha + B / D^beta: the Chinchilla law with E held at 0."""

    name = "no-floor"
    formula = "L(N, D) = A / N^alpha + B / D^beta"
    source = "arXiv 2001.08361 up to the outer power"
    largest_floor = 0.0


class Repetition(Law):
    """Repeated examples count less: D' of the U distinct ones takes the place of D.

    D' = U + U R* (1 - exp(-R / R*)), with R = D / U - 1 repetitions: equation 5 of Muennighoff et
    al., arXiv 2305.16264. Where more distinct examples exist than are used, U = D and D' = D.
    """

    name = "repetition"
    formula = "L(N, D) = E + A / N^alpha + B / D'^beta, D' = U + U R* (1 - exp((1 - D / U) / R*))"
    source = "arXiv 2305.16264, equations 5 and 6, without excess parameters"
    columns = ("unique_examples",)
    extras = (
        Extra("R*", np.log(0.03), np.log(3e3), tuple(np.log([0.1, 1, 4, 16, 64, 400])), True),
    )
    exponents_tried = np.geomspace(0.03, 1.5, 17)

    def terms(self, v: Sequence[Array], runs: Centred) -> tuple[Array, Array]:
        """Logs of both terms; the second one of D'."""
        return -v[0] * runs.x, -v[1] * self._effective(v[2], runs)[0]

    def slopes(self, v: Sequence[Array], runs: Centred) -> Slopes:
        """Derivatives by alpha, beta and log R*."""
        size, by_decay = self._effective(v[2], runs)
        return [(-runs.x, None), (None, -size), (None, -v[1] * by_decay)]

    @staticmethod
    def _effective(log_decay: Array, runs: Centred) -> tuple[Array, Array]:
        """Centred log D' and its derivative by log R*."""
        distinct = np.minimum(runs.extra["unique_examples"] - runs.y0, runs.y)
        repeats, decay = np.expm1(runs.y - distinct), np.exp(log_decay)
        gone = np.exp(-repeats / decay)
        factor = 1 + decay * (1 - gone)
        return distinct + np.log(factor), (decay * (1 - gone) - repeats * gone) / factor

    def loss(
        self, theta: Array, params: ArrayLike, examples: ArrayLike, **columns: ArrayLike
    ) -> Array:
        """Loss; without ``unique_examples`` nothing is repeated."""
        if "unique_examples" in columns:
            examples = effective(examples, columns["unique_examples"], theta[..., 5])
        return laws.loss(theta[..., :5], params, examples)

    def optimum(
        self, theta: Array, budget: ArrayLike, cost: CostModel, **columns: ArrayLike
    ) -> Optimum:
        """N*, D* (repetitions counted) and L* for a supply of ``unique_examples``, or for any."""
        if "unique_examples" not in columns:
            return laws.optimum(theta[..., :5], budget, cost)
        return self._search(theta, budget, cost, **columns)


def effective(size: ArrayLike, distinct: ArrayLike, decay: ArrayLike) -> Array:
    """U + U R* (1 - exp(-R / R*)) with R = size / U - 1, arXiv 2305.16264, equation 5.

    The same form counts excess parameters there, with R*_N in place of R*_D.
    """
    whole = np.asarray(size, dtype=float)
    supply, scale = np.minimum(distinct, whole), np.asarray(decay, dtype=float)
    return np.asarray(supply * (1 + scale * -np.expm1((1 - whole / supply) / scale)))


class Transfer(Law):
    """Pretraining is worth D_T further examples: arXiv 2102.01293, for a law with a floor.

    D_T = k D^x N^y for a pretrained mixture, each with its own (k, x, y), and 0 from scratch;
    E, A, B, alpha and beta are those of the task, common to all mixtures. A law of this kind needs
    runs from scratch: they say what an example is worth.
    """

    name = "transfer"
    formula = "L(N, D) = E + A / N^alpha + B / (D + D_T)^beta, D_T = k D^x N^y (0 from scratch)"
    source = "arXiv 2102.01293, equation 1.1, as effective data of a law with a floor"
    columns = ("pretraining_examples",)
    extras = (
        Extra("k", -12.0, 12.0, (-3.0, -1.0, 0.0, 1.0, 3.0), True),
        Extra("x", 0.0, 1.0, (0.1, 0.5, 0.9)),
        Extra("y", -1.0, 2.0, (0.0, 0.4)),
    )
    exponents_tried = np.geomspace(0.05, 1.2, 12)
    shared = PARAMETERS

    def terms(self, v: Sequence[Array], runs: Centred) -> tuple[Array, Array]:
        """Logs of both terms; the second one of D + D_T."""
        return -v[0] * runs.x, -v[1] * self._data(v, runs)[0]

    def slopes(self, v: Sequence[Array], runs: Centred) -> Slopes:
        """Derivatives by alpha, beta, the centred log k, x and y."""
        size, share = self._data(v, runs)
        pull = -v[1] * share
        own: Slopes = [(None, pull), (None, pull * runs.y), (None, pull * runs.x)]
        return [(-runs.x, None), (None, -size), *own]

    @staticmethod
    def _data(v: Sequence[Array], runs: Centred) -> tuple[Array, Array]:
        """Centred log of D + D_T, and the share of D_T in it."""
        pretrained = np.where(np.isfinite(runs.extra["pretraining_examples"]), 0.0, -np.inf)
        moved = v[2] + v[3] * runs.y + v[4] * runs.x + pretrained
        total = np.logaddexp(runs.y, moved)
        return total, np.exp(moved - total)

    def theta(self, q: Array, runs: Centred) -> Array:
        """Parameters in plain units; k for sizes in parameters and examples."""
        plain = super().theta(q, runs)
        plain[..., 5] = np.exp(q[..., 5] + (1 - q[..., 6]) * runs.y0 - q[..., 7] * runs.x0)
        return plain

    def loss(
        self, theta: Array, params: ArrayLike, examples: ArrayLike, **columns: ArrayLike
    ) -> Array:
        """Loss; from scratch where k is 0."""
        n, d = np.asarray(params, dtype=float), np.asarray(examples, dtype=float)
        moved = theta[..., 5] * d ** theta[..., 6] * n ** theta[..., 7]
        return laws.loss(theta[..., :5], n, d + moved)

    def exponents(self, theta: Array, cost: CostModel, budget: float) -> tuple[Array, Array]:
        """Local slopes of N* and D* at the budget; the frontier is no power law."""
        low, high = (self.optimum(theta, budget * factor, cost) for factor in (0.9, 1 / 0.9))
        step = -2 * np.log(0.9)
        return np.log(high.params / low.params) / step, np.log(high.examples / low.examples) / step

    def optimum(
        self, theta: Array, budget: ArrayLike, cost: CostModel, **columns: ArrayLike
    ) -> Optimum:
        """N*, D* and L* of a budget for training after the pretraining."""
        return self._search(theta, budget, cost)


class Pretraining(Law):
    """The model term falls with the examples P of the pretraining: A / (N^alpha P^gamma)."""

    name = "pretraining"
    formula = "L(N, D) = E + A / (N^alpha P^gamma) + B / D^beta"
    source = "multiplicative form; gamma = 0 is the Chinchilla law"
    columns = ("pretraining_examples",)
    extras = (Extra("gamma", -0.5, 2.0, (0.0, 0.1, 0.2, 0.4, 0.8)),)
    exponents_tried = np.geomspace(0.03, 1.5, 17)

    def terms(self, v: Sequence[Array], runs: Centred) -> tuple[Array, Array]:
        """Logs of both terms, the first one with P."""
        return -v[0] * runs.x - v[2] * self._supply(runs), -v[1] * runs.y

    def slopes(self, v: Sequence[Array], runs: Centred) -> Slopes:
        """Derivatives by alpha, beta and gamma."""
        return [(-runs.x, None), (None, -runs.y), (-self._supply(runs), None)]

    @staticmethod
    def _supply(runs: Centred) -> Array:
        return runs.extra["pretraining_examples"] - runs.y0

    def theta(self, q: Array, runs: Centred) -> Array:
        """Parameters in plain units."""
        plain = super().theta(q, runs)
        plain[..., 1] *= np.exp(q[..., 5] * runs.y0)
        return plain

    def at(self, theta: Array, pretraining_examples: ArrayLike) -> Array:
        """The Chinchilla parameters (..., 5) at a size of the pretraining."""
        plain = np.array(theta[..., :5])
        plain[..., 1] *= np.asarray(pretraining_examples, dtype=float) ** -theta[..., 5]
        return plain

    def loss(
        self, theta: Array, params: ArrayLike, examples: ArrayLike, **columns: ArrayLike
    ) -> Array:
        """Loss at ``pretraining_examples``."""
        E, A, B, alpha, beta, gamma = np.moveaxis(theta, -1, 0)
        n, d, p = (np.asarray(s, float) for s in (params, examples, columns[self.columns[0]]))
        return np.asarray(E + A * n**-alpha * p**-gamma + B * d**-beta)

    def optimum(
        self, theta: Array, budget: ArrayLike, cost: CostModel, **columns: ArrayLike
    ) -> Optimum:
        """N*, D* and L* at ``pretraining_examples``, in closed form."""
        return laws.optimum(self.at(theta, columns[self.columns[0]]), budget, cost)


CHINCHILLA = Law()
LAWS = {law.name: law for law in (CHINCHILLA, NoFloor(), Repetition(), Transfer(), Pretraining())}


def law_named(name: str) -> Law:
    """The law of that name.

    Raises
    ------
    FitError
        There is none.
    """
    if name not in LAWS:
        raise FitError(unknown("law", name, LAWS))
    return LAWS[name]
