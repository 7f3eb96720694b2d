"""The law of repetition in which parameters beyond what the distinct examples feed count less."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from jetscale.scaling.cost import CostModel
from jetscale.scaling.engine import laws
from jetscale.scaling.engine.law import Extra, Law, Slopes
from jetscale.scaling.engine.laws import Array, Centred, Optimum

_MOST = 60.0  # log repeats; as many are without end, and exp of more may overflow


def effective(size: ArrayLike, own: ArrayLike, decay: ArrayLike) -> Array:
    """U + U R* (1 - exp(-R / R*)) with R = size / U - 1, arXiv 2305.16264, equation 5."""
    whole = np.asarray(size, dtype=float)
    supply, scale = np.minimum(own, whole), np.asarray(decay, dtype=float)
    return np.asarray(supply * (1 + scale * -np.expm1((1 - whole / supply) / scale)))


def log_effective(size: Array, own: Array, log_decay: Array) -> tuple[Array, Array, Array]:
    """Log of `effective` of logs, and its derivatives by log own (0 if size is less) and decay."""
    supply = np.minimum(own, size)
    repeats, decay = np.expm1(np.minimum(size - supply, _MOST)), np.exp(log_decay)
    gone = np.exp(-repeats / decay)
    factor = 1 + decay * (1 - gone)
    by_own = np.where(own < size, 1 - gone * (1 + repeats) / factor, 0.0)
    return supply + np.log(factor), by_own, (decay * (1 - gone) - repeats * gone) / factor


class Repeating(Law):
    """A law that takes the distinct examples of a run to tell how often each was seen."""

    columns = ("unique_examples",)

    def check(self, runs: pd.DataFrame) -> str:
        """Return what is missing: the column, or any run that repeats examples."""
        if missing := super().check(runs):
            return missing
        repeats = (runs["unique_examples"] < runs["examples"]).any()
        return "" if repeats else "has no run with examples above unique_examples: none is repeated"

    def assumes(self, held: Mapping[str, float]) -> str:
        """Return that D* counts distinct examples."""
        return "D* is examples that are all distinct"


_Sizes = tuple[Array, Array, Array]


class Excess(Repeating):
    """Repeated examples and excess parameters count less: arXiv 2305.16264, equations 5 and 6.

    N' is to U_N as D' is to the U distinct examples, with a decay R_N* of its own: U_N = G
    U^(beta / alpha) is the model that U examples feed as is best, or N where that is smaller. The
    source takes G from A and B; here it is fitted, as the heights of a law are.
    """

    name = "excess"
    formula = (
        "L(N, D) = E + A / N'^alpha + B / D'^beta, D' = U + U R* (1 - exp((1 - D / U) / R*)), N' "
        "from U_N = G U^(beta / alpha) and R_N* alike"
    )
    source = "arXiv 2305.16264, equations 5 and 6"
    extras = (
        Extra("R*", np.log(0.03), np.log(3e3), tuple(np.log([0.3, 4, 16, 100])), True),
        Extra("R_N*", np.log(0.03), np.log(3e3), tuple(np.log([0.5, 5, 50])), True),
        Extra("G", -8.0, 8.0, (-2.0, 0.0, 2.0), True),
    )
    exponents_tried = np.geomspace(0.03, 1.5, 12)

    def terms(self, v: Sequence[Array], runs: Centred) -> tuple[Array, Array]:
        """Logs of both terms, of N' and D'."""
        params, examples, _ = self._sizes(v, runs)
        return -v[0] * params[0], -v[1] * examples[0]

    def slopes(self, v: Sequence[Array], runs: Centred) -> Slopes:
        """Derivatives by alpha, beta, the logs of R* and R_N*, and the centred log G."""
        (n, by_own, by_decay), (d, _, by_repeats), supply = self._sizes(v, runs)
        pull = -v[0] * by_own
        by_alpha = -n - pull * v[1] / v[0] ** 2 * supply
        own: Slopes = [(None, -v[1] * by_repeats), (-v[0] * by_decay, None), (pull, None)]
        return [(by_alpha, None), (pull * supply / v[0], -d), *own]

    @staticmethod
    def _sizes(v: Sequence[Array], runs: Centred) -> tuple[_Sizes, _Sizes, Array]:
        """Centred logs of N' and D' with their derivatives, and of the distinct examples."""
        supply = np.minimum(runs.extra["unique_examples"] - runs.y0, runs.y)
        fed = v[4] + v[1] / v[0] * supply
        return log_effective(runs.x, fed, v[3]), log_effective(runs.y, supply, v[2]), supply

    def theta(self, q: Array, runs: Centred) -> Array:
        """Parameters in plain units; G for sizes in parameters and examples."""
        plain = super().theta(q, runs)
        plain[..., 7] *= np.exp(runs.x0 - q[..., 4] / q[..., 3] * runs.y0)
        return plain

    def loss(self, theta: Array, params: ArrayLike, examples: ArrayLike, **at: ArrayLike) -> Array:
        """Loss; without ``unique_examples`` nothing is repeated and nothing is in excess."""
        if "unique_examples" in at:
            supply = np.minimum(at["unique_examples"], np.asarray(examples, dtype=float))
            fed = theta[..., 7] * supply ** (theta[..., 4] / theta[..., 3])
            params = effective(params, fed, theta[..., 6])
            examples = effective(examples, supply, theta[..., 5])
        return laws.loss(theta[..., :5], params, examples)

    def optimum(self, theta: Array, budget: ArrayLike, cost: CostModel, **at: ArrayLike) -> Optimum:
        """N*, D* (repetitions counted) and L* for a supply of ``unique_examples``, or for any."""
        if "unique_examples" not in at:
            return laws.optimum(theta[..., :5], budget, cost)
        return self._search(theta, budget, cost, **at)
