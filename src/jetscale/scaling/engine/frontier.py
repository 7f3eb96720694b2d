"""The best split of a budget where no formula gives it: 1-D minimisation at fixed cost.

Along C(N, D) = k N^p D = budget the loss is a function of log N alone. It is looked up on a grid
wide enough for any optimum and narrowed by golden section, for all laws and budgets of a call at
once.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from jetscale.scaling.cost import CostModel
from jetscale.scaling.engine.laws import Array

_POINTS = 121
_GOLDEN = (np.sqrt(5.0) - 1) / 2
_ROUNDS = 60
"""Golden sections: 0.618^60 of the bracket is left, far below rounding."""


def split(
    loss: Callable[[Array, Array], Array], budget: ArrayLike, cost: CostModel
) -> tuple[Array, Array]:
    """N*, D* that minimise ``loss(params, examples)`` at the budget, arrays of the budget's shape.

    Parameters
    ----------
    loss
        Losses (...,) of sizes (...,), both of the shape of ``budget``.
    budget
        FLOPs; broadcast it to the shape of the answer.

    Notes
    -----
    Sizes from one parameter and one example upwards are looked at. An optimum at either end means
    the law has none; the caller sees a size of 1.
    """
    per_k = np.maximum(np.log(np.asarray(budget, dtype=float) / cost.k), 0.0)
    reach = per_k / cost.p

    def at(log_n: Array) -> Array:
        return loss(np.exp(log_n), np.exp(per_k - cost.p * log_n))

    shares = np.linspace(0, 1, _POINTS)
    best = np.argmin([at(share * reach) for share in shares], axis=0)
    low = shares[np.maximum(best - 1, 0)] * reach
    high = shares[np.minimum(best + 1, _POINTS - 1)] * reach
    for _ in range(_ROUNDS):
        inner = _GOLDEN * (high - low)
        left = at(high - inner) <= at(low + inner)
        low, high = np.where(left, low, high - inner), np.where(left, low + inner, high)
    log_n = (low + high) / 2
    return np.exp(log_n), np.exp(per_k - cost.p * log_n)
