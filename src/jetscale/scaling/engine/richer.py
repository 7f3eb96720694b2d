"""Laws of N and D in which what a model lacks and what the data lack do not simply add up."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jetscale.scaling.cost import CostModel
from jetscale.scaling.engine import laws
from jetscale.scaling.engine.law import Extra, Law, Slopes
from jetscale.scaling.engine.laws import Array, Centred, Optimum

_VANISHED = 1e-300  # a share this small has no logarithm to speak of


class OuterPower(Law):
    """A power around the sum of both terms: arXiv 2001.08361, equation 1.5, with a floor.

    Written so that each term alone is that of the Chinchilla law: kappa = 1 is that law, a larger
    kappa makes a run that lacks both size and data worse than the sum, a smaller one better. As
    kappa moves no term against the other, the frontier has the exponents of the Chinchilla law.
    """

    name = "outer-power"
    formula = "L(N, D) = E + ((A / N^alpha)^(1 / kappa) + (B / D^beta)^(1 / kappa))^kappa"
    source = "arXiv 2001.08361, equation 1.5, with a floor"
    # the grid of starts solves the sum of the terms: the descent moves kappa from there
    extras = (Extra("kappa", np.log(0.2), np.log(5.0), (0.0,), True),)
    comparable = True  # kappa moves no exponent

    def plain(self, theta: Array, **held: ArrayLike) -> None:
        """Return None: the terms do not add."""
        return

    def join(self, v: Sequence[Array], first: Array, second: Array) -> None:
        """Turn the logs of both terms into those of their shares of the joined term."""
        power = np.exp(v[2])
        first /= power
        second /= power
        whole = np.logaddexp(first, second)
        rest = (power - 1) * whole
        first += rest
        second += rest

    def joint_slopes(self, v: Sequence[Array], first: Array, second: Array) -> Slopes:
        """Derivatives by log kappa: kappa times the entropy of the shares."""
        whole, power = first + second, np.exp(v[2])
        shares = (np.maximum(part / whole, _VANISHED) for part in (first, second))
        by_params, by_examples = (-power * np.log(share) for share in shares)
        return [(by_params, by_examples)]

    def loss(self, theta: Array, params: ArrayLike, examples: ArrayLike, **at: ArrayLike) -> Array:
        """Loss of theta (..., 6)."""
        E, A, B, alpha, beta, power = np.moveaxis(np.asarray(theta, dtype=float), -1, 0)
        n, d = (np.log(np.asarray(size, dtype=float)) for size in (params, examples))
        with np.errstate(divide="ignore"):
            first, second = (np.log(A) - alpha * n) / power, (np.log(B) - beta * d) / power
        return np.asarray(E + np.exp(power * np.logaddexp(first, second)))

    def optimum(self, theta: Array, budget: ArrayLike, cost: CostModel, **at: ArrayLike) -> Optimum:
        """N*, D* and L* of a budget, in closed form: the power has its optimum where the sum has.

        The sum is that of a law with the kappa-th roots of both terms.
        """
        inner, power = np.array(theta[..., :5], dtype=float), theta[..., 5]
        inner[..., 0] = 0.0
        inner[..., 1:3] **= 1 / power[..., None]
        inner[..., 3:5] /= power[..., None]
        n, d, _ = laws.optimum(inner, budget, cost)
        return Optimum(n, d, self.loss(theta, n, d))


class Interaction(Law):
    """A third term for runs that lack both: G / (N^alpha D^beta)^h, G = 0 is the Chinchilla law."""

    name = "interaction"
    formula = "L(N, D) = E + A / N^alpha + B / D^beta + G / (N^alpha D^beta)^h"
    source = "additive interaction of the terms of arXiv 2203.15556, equation 2"
    extras = (
        Extra("G", -12.0, 6.0, (-6.0, -3.0, -1.5, 0.0, 1.5), True),
        Extra("h", 0.2, 1.5, (0.4, 0.7, 1.0)),
    )
    exponents_tried = np.geomspace(0.03, 1.5, 17)

    def plain(self, theta: Array, **held: ArrayLike) -> None:
        """Return None: there are three terms."""
        return

    def terms(self, v: Sequence[Array], runs: Centred) -> tuple[Array, Array]:
        """Logs of both terms; the third belongs to the first, G being counted in units of A."""
        return self._first(v, runs)[0], -v[1] * runs.y

    def slopes(self, v: Sequence[Array], runs: Centred) -> Slopes:
        """Derivatives by alpha, beta, the log of G over A, and h."""
        _, share = self._first(v, runs)
        whole = v[0] * runs.x + v[1] * runs.y
        by_alpha = -runs.x * (1 - share + v[3] * share)
        own: Slopes = [(share, None), (-whole * share, None)]
        return [(by_alpha, None), (-runs.y * v[3] * share, -runs.y), *own]

    @staticmethod
    def _first(v: Sequence[Array], runs: Centred) -> tuple[Array, Array]:
        """Log of 1 / N^alpha and the interaction in centred units, and the share of the latter."""
        alone = -v[0] * runs.x
        both = v[2] + v[3] * (alone - v[1] * runs.y)
        total = np.logaddexp(alone, both)
        return total, np.exp(both - total)

    def theta(self, q: Array, runs: Centred) -> Array:
        """Parameters in plain units."""
        plain = super().theta(q, runs)
        a, alpha, beta, g, h = (q[..., i] for i in (1, 3, 4, 5, 6))
        plain[..., 5] = np.exp(a + g + runs.z0 + h * (alpha * runs.x0 + beta * runs.y0))
        return plain

    def loss(self, theta: Array, params: ArrayLike, examples: ArrayLike, **at: ArrayLike) -> Array:
        """Loss of theta (..., 7)."""
        *_, alpha, beta, G, h = np.moveaxis(np.asarray(theta, dtype=float), -1, 0)
        n, d = (np.log(np.asarray(size, dtype=float)) for size in (params, examples))
        third = G * np.exp(-h * (alpha * n + beta * d))
        return np.asarray(laws.loss(theta[..., :5], params, examples) + third)

    def exponents(self, theta: Array, cost: CostModel, budget: float) -> tuple[Array, Array]:
        """Local slopes of N* and D* at the budget; the frontier is no power law."""
        return self._local_exponents(theta, cost, budget)

    def optimum(self, theta: Array, budget: ArrayLike, cost: CostModel, **at: ArrayLike) -> Optimum:
        """N*, D* and L* of a budget."""
        return self._search(theta, budget, cost)


class Overfit(Law):
    """What the data lack grows with the model: gamma = 0 is the Chinchilla law.

    Runs that see the same examples several times learn them by heart, larger models sooner: at few
    examples the loss rises with N, at many it falls. On C = k N^p D the second term is
    B (C / k)^-beta N^(gamma + p beta), so the frontier is a power law, see `exponents`.
    """

    name = "overfit"
    formula = "L(N, D) = E + A / N^alpha + B N^gamma / D^beta"
    source = "arXiv 2203.15556, equation 2, with a data term that depends on N"
    extras = (Extra("gamma", -0.5, 1.0, (0.0, 0.1, 0.25, 0.5)),)
    exponents_tried = np.geomspace(0.03, 1.5, 17)
    deciding = ("alpha", "beta", "gamma")

    def plain(self, theta: Array, **held: ArrayLike) -> None:
        """Return None: the second term depends on both sizes."""
        return

    def terms(self, v: Sequence[Array], runs: Centred) -> tuple[Array, Array]:
        """Logs of both terms; the second one of D and N."""
        return -v[0] * runs.x, v[2] * runs.x - v[1] * runs.y

    def slopes(self, v: Sequence[Array], runs: Centred) -> Slopes:
        """Derivatives by alpha, beta and gamma."""
        return [(-runs.x, None), (None, -runs.y), (None, runs.x)]

    def theta(self, q: Array, runs: Centred) -> Array:
        """Parameters in plain units."""
        plain = super().theta(q, runs)
        plain[..., 2] *= np.exp(-q[..., 5] * runs.x0)
        return plain

    def loss(self, theta: Array, params: ArrayLike, examples: ArrayLike, **at: ArrayLike) -> Array:
        """Loss of theta (..., 6)."""
        E, A, B, alpha, beta, gamma = np.moveaxis(np.asarray(theta, dtype=float), -1, 0)
        n, d = (np.log(np.asarray(size, dtype=float)) for size in (params, examples))
        return np.asarray(E + A * np.exp(-alpha * n) + B * np.exp(gamma * n - beta * d))

    def exponents(self, theta: Array, cost: CostModel, budget: float) -> tuple[Array, Array]:
        """Exponents a = beta / (alpha + gamma + p beta) of N* and b = 1 - p a of D*."""
        alpha, beta = theta[..., 3], theta[..., 4]
        a = beta / (alpha + self._rise(theta, cost))
        return a, 1 - cost.p * a

    def bounded(self, theta: Array, cost: CostModel) -> NDArray[np.bool_]:
        """Where (...) N* is finite."""
        return self._rise(theta, cost) > 0

    def optimum(self, theta: Array, budget: ArrayLike, cost: CostModel, **at: ArrayLike) -> Optimum:
        """N*, D* and L* of a budget, in closed form; N* is infinite where data cost nothing."""
        _, A, B, alpha, beta, _ = np.moveaxis(np.asarray(theta, dtype=float), -1, 0)
        per_k, rise = np.log(np.asarray(budget, dtype=float) / cost.k), self._rise(theta, cost)
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            ratio = np.log(alpha) + np.log(A) - np.log(rise) - np.log(B)
            log_n = (ratio + beta * per_k) / (alpha + rise)
            n, d = np.exp(log_n), np.exp(per_k - cost.p * log_n)
            return Optimum(n, d, self.loss(theta, n, d))

    @staticmethod
    def _rise(theta: Array, cost: CostModel) -> Array:
        """Exponent of N in the second term at fixed compute; none below 0, where N* is infinite."""
        return np.asarray(np.maximum(theta[..., 5] + cost.p * theta[..., 4], 0.0))
