"""Two frontiers at one budget: ratios of N* and D*, and the compute that buys equal loss.

Exponents say where curves go; a user also wants to know how far apart they are here. The compute
multiplier of b over a is C / C', where b's frontier reaches at C' the loss that a's reaches at C:
2 means that b needs half the compute. On the frontier L*(C) = E + G C^-g with
g = alpha beta / (alpha + p beta), so C' follows in closed form; where a's loss lies below b's E no
compute suffices and the multiplier is 0.
"""

from typing import NamedTuple

import numpy as np

from jetscale.scaling.cost import CostModel
from jetscale.scaling.engine.laws import Array, optimum


class Ratios(NamedTuple):
    """Of b over a, one value per row of theta."""

    params: Array
    examples: Array
    compute_multiplier: Array


def ratios(a: Array, b: Array, budget: float, cost: CostModel) -> Ratios:
    """Ratios between laws a and b (..., 5) at a budget in FLOPs."""
    first, second = optimum(a, budget, cost), optimum(b, budget, cost)
    E, alpha, beta = b[..., 0], b[..., 3], b[..., 4]
    power = alpha * beta / (alpha + cost.p * beta)
    above = first.loss - E
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        log_less = np.log((second.loss - E) / np.where(above > 0, above, np.nan)) / power
        multiplier = np.where(above > 0, np.exp(-log_less), 0.0)
        return Ratios(second.params / first.params, second.examples / first.examples, multiplier)
