"""The laws that can be fitted: those of N and D alone, and those that need a covariate."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from jetscale.errors import FitError, unknown
from jetscale.scaling.cost import CostModel
from jetscale.scaling.engine import laws
from jetscale.scaling.engine.excess import Excess, Repeating, effective, log_effective
from jetscale.scaling.engine.law import CHINCHILLA as CHINCHILLA
from jetscale.scaling.engine.law import NO_FLOOR, Extra, Slopes
from jetscale.scaling.engine.law import Law as Law
from jetscale.scaling.engine.laws import PARAMETERS, Array, Centred, Optimum
from jetscale.scaling.engine.richer import Interaction, OuterPower, Overfit
from jetscale.words import short


class Repetition(Repeating):
    """Repeated examples count less: D' of the U distinct ones takes the place of D.

    D' = U + U R* (1 - exp(-R / R*)), with R = D / U - 1 repetitions: equation 5 of Muennighoff et
    al., arXiv 2305.16264. Where more distinct examples exist than are used, U = D and D' = D.
    """

    name = "repetition"
    formula = "L(N, D) = E + A / N^alpha + B / D'^beta, D' = U + U R* (1 - exp((1 - D / U) / R*))"
    source = "arXiv 2305.16264, equations 5 and 6, without excess parameters"
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
        size, _, by_decay = log_effective(runs.y, distinct, log_decay)
        return size, by_decay

    def loss(self, theta: Array, params: ArrayLike, examples: ArrayLike, **at: ArrayLike) -> Array:
        """Loss; without ``unique_examples`` nothing is repeated."""
        if "unique_examples" in at:
            examples = effective(examples, at["unique_examples"], theta[..., 5])
        return laws.loss(theta[..., :5], params, examples)

    def optimum(self, theta: Array, budget: ArrayLike, cost: CostModel, **at: ArrayLike) -> Optimum:
        """N*, D* (repetitions counted) and L* for a supply of ``unique_examples``, or for any."""
        if "unique_examples" not in at:
            return laws.optimum(theta[..., :5], budget, cost)
        return self._search(theta, budget, cost, **at)


class Transfer(Law):
    """Pretraining is worth D_T further examples: arXiv 2102.01293, for a law with a floor.

    D_T = k D^x N^y for a pretrained mixture, each with its own (k, x, y), and 0 from scratch;
    E, A, B, alpha and beta are those of the task, common to all mixtures.
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

    def check_study(self, runs: pd.DataFrame) -> None:
        """Refuse a table without runs from scratch; raises FitError."""
        if not (runs["pretraining_examples"] == 0).any():
            raise FitError(
                "the law 'transfer' needs a mixture from scratch (pretraining_examples 0): it says "
                "what an example is worth"
            )

    def applies(self, runs: Centred) -> bool:
        """Return whether any run was pretrained: nothing is transferred to runs from scratch."""
        return bool(np.isfinite(runs.extra["pretraining_examples"]).any())

    def plain(self, theta: Array, **held: ArrayLike) -> None:
        """Return None: D + k D^x N^y is no power of D."""
        return

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

    def loss(self, theta: Array, params: ArrayLike, examples: ArrayLike, **at: ArrayLike) -> Array:
        """Loss; from scratch where k is 0."""
        n, d = np.asarray(params, dtype=float), np.asarray(examples, dtype=float)
        moved = theta[..., 5] * d ** theta[..., 6] * n ** theta[..., 7]
        return laws.loss(theta[..., :5], n, d + moved)

    def exponents(self, theta: Array, cost: CostModel, budget: float) -> tuple[Array, Array]:
        """Local slopes of N* and D* at the budget; the frontier is no power law."""
        return self._local_exponents(theta, cost, budget)

    def optimum(self, theta: Array, budget: ArrayLike, cost: CostModel, **at: ArrayLike) -> Optimum:
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

    def check(self, runs: pd.DataFrame) -> str:
        """Return what is missing: the column, a pretraining of every run, two sizes of it."""
        if missing := super().check(runs):
            return missing
        if not (runs["pretraining_examples"] > 0).all():
            needs = "the law 'pretraining' needs pretraining_examples above zero"
            return f"has runs from scratch: {needs}"
        several = runs["pretraining_examples"].nunique() > 1
        return "" if several else "has one value of pretraining_examples, needs at least 2"

    def held(self, runs: pd.DataFrame) -> dict[str, float]:
        """Return the geometric middle of the pretraining sizes of a mixture."""
        return {name: float(np.exp(np.log(runs[name]).mean())) for name in self.columns}

    def assumes(self, held: Mapping[str, float]) -> str:
        """Return the size of the pretraining."""
        return f"for models pretrained on {short(held['pretraining_examples'])} examples"

    def plain(self, theta: Array, **held: ArrayLike) -> Array:
        """Return theta (..., 5) at ``pretraining_examples``."""
        plain = np.array(theta[..., :5])
        plain[..., 1] *= np.asarray(held["pretraining_examples"], dtype=float) ** -theta[..., 5]
        return plain

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

    def loss(self, theta: Array, params: ArrayLike, examples: ArrayLike, **at: ArrayLike) -> Array:
        """Loss at ``pretraining_examples``."""
        E, A, B, alpha, beta, gamma = np.moveaxis(theta, -1, 0)
        n, d, p = (np.asarray(s, float) for s in (params, examples, at[self.columns[0]]))
        return np.asarray(E + A * n**-alpha * p**-gamma + B * d**-beta)

    def optimum(self, theta: Array, budget: ArrayLike, cost: CostModel, **at: ArrayLike) -> Optimum:
        """N*, D* and L* at ``pretraining_examples``, in closed form."""
        return laws.optimum(self.plain(theta, **at), budget, cost)


RICHER = (OuterPower(), Interaction(), Overfit())
"""Laws of N and D alone of which the Chinchilla law is one case."""
_COVARIATE = (Repetition(), Excess(), Transfer(), Pretraining())
LAWS = {law.name: law for law in (CHINCHILLA, NO_FLOOR, *RICHER, *_COVARIATE)}


AUTO = "auto"  # in the place of a name: the law that forecasts best


def law_named(name: str) -> Law:
    """The law of that name; raises FitError where there is none."""
    if name not in LAWS:
        raise FitError(unknown("law", name, (*LAWS, AUTO)))
    return LAWS[name]
