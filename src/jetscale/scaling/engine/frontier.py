"""The best split of a budget where no formula gives it: 1-D minimisation at fixed cost.

Along C(N, D) = k N^p D + P(N) = budget the loss is a function of log N alone. It is looked up on a
grid wide enough for any optimum and narrowed by golden section, for all laws and budgets of a call
at once. P(N) is what a model costs before its first example, such as its share of a pretraining.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from jetscale.scaling.cost import CostModel
from jetscale.scaling.engine.laws import Array

_POINTS = 121
_GOLDEN = (np.sqrt(5.0) - 1) / 2
_ROUNDS = 60  # golden sections: 0.618^60 of the bracket is left, far below rounding
_HALVINGS = 60


def split(
    loss: Callable[[Array, Array], Array],
    budget: ArrayLike,
    cost: CostModel,
    upfront: Callable[[Array], Array] | None = None,
) -> tuple[Array, Array]:
    """N*, D* that minimise ``loss(params, examples)`` at the budget, arrays of the budget's shape.

    ``upfront`` are the FLOPs models of ``params`` (...,) cost before their first example; they must
    not fall with params. Sizes from one parameter and one example upwards are looked at: a size of
    1 means the law has no optimum. A budget that does not pay for ``upfront`` buys nothing: nan.
    """
    amount = np.asarray(budget, dtype=float)
    per_k = np.maximum(np.log(amount / cost.k), 0.0)
    reach = per_k / cost.p
    if upfront is not None:
        reach = _largest(amount, cost, upfront, reach)

    def examples(log_n: Array) -> Array:
        if upfront is None:
            return np.exp(per_k - cost.p * log_n)
        left = np.maximum(amount - upfront(np.exp(log_n)), 0.0)
        return np.maximum(left / cost.k * np.exp(-cost.p * log_n), 1.0)

    def at(log_n: Array) -> Array:
        return loss(np.exp(log_n), examples(log_n))

    shares = np.linspace(0, 1, _POINTS)
    best = np.argmin([at(share * reach) for share in shares], axis=0)
    low = shares[np.maximum(best - 1, 0)] * reach
    high = shares[np.minimum(best + 1, _POINTS - 1)] * reach
    for _ in range(_ROUNDS):
        inner = _GOLDEN * (high - low)
        left = at(high - inner) <= at(low + inner)
        low, high = np.where(left, low, high - inner), np.where(left, low + inner, high)
    log_n = (low + high) / 2
    return np.exp(log_n), examples(log_n)


def _largest(
    budget: Array, cost: CostModel, upfront: Callable[[Array], Array], reach: Array
) -> Array:
    """Log of the largest model bought with one example, up to ``reach``; nan where none is."""

    def price(log_n: Array) -> Array:
        return cost.k * np.exp(cost.p * log_n) + upfront(np.exp(log_n))

    low, high = np.zeros_like(reach), np.array(reach)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        paid = price(middle) <= budget
        low, high = np.where(paid, middle, low), np.where(paid, high, middle)
    return np.where(price(np.zeros_like(low)) <= budget, low, np.nan)
