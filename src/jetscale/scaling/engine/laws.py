"""The scaling law L(N, D) = E + A / N^alpha + B / D^beta and what follows from it.

Equation 2 of Hoffmann et al., arXiv 2203.15556 ("approach 3"); refitted with intervals by
Besiroglu et al., arXiv 2404.10102. N is the number of parameters, D the number of examples, L the
test loss, E the loss that neither a larger model nor more data removes.

All functions take the parameters as one array ``theta`` whose last axis is (E, A, B, alpha, beta),
so the same code serves a point fit (5,) and a thousand bootstrap replicates (1000, 5).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jetscale.scaling.cost import CostModel

Array = NDArray[np.float64]

PARAMETERS = ("E", "A", "B", "alpha", "beta")
FORMULA = "L(N, D) = E + A / N^alpha + B / D^beta"
EXPONENT_BOUNDS = (0.01, 2.0)
"""Values alpha and beta may take; below, the term is a constant, above, it is a step."""


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
