"""How weights, rates and branches follow width and depth in the parametrization ``complete``.

With ``standard`` the best rate drifts as models grow, and a law of the width has to follow it. With
``complete`` every activation and its change in a step keep their size at any width and depth, so
that one rate serves a whole ladder: the rules of CompleteP (arXiv 2505.01618, table 1, alpha = 1)
and of muP (arXiv 2203.03466), with m = width / 16 and l = layers:

=========  ==================================  ========  =========  =======  ==========
role       what it is                          start     forward    rate     epsilon
=========  ==================================  ========  =========  =======  ==========
input      embedding, its bias, the last norm  as is     as is      1        1 / m
hidden     matrices of the residual branches   1 / fan   x 1 / l    1 / m    1 / (m l)
norm       vectors of the residual branches    as is     as is      1        1 / (m l)
output     weights of sums over the width      constant  x 1 / m    1        1 / m
bias       added to the outputs                as is     as is      1        1
=========  ==================================  ========  =========  =======  ==========

Start is the variance. What a step takes off a weight, rate x decay, is the same everywhere: the
decay of hidden matrices is multiplied by m. At width 16, one layer and heads of 8 nothing changes.
The model makes the columns start and forward itself, in its method ``complete``, the optimiser the
others.
"""

from dataclasses import dataclass
from typing import Literal, get_args

from jetscale.study import ModelSize
from jetscale.study.rates import REFERENCE_WIDTH

REFERENCE_HEAD = 8
"""Width of a head at which attention is as in ``standard``; wider ones divide by it, not its root:
queries and keys come to point the same way in training, and their product grows with the width."""
Role = Literal["input", "hidden", "norm", "output", "bias"]
"""What a weight is, which decides how it follows width and depth."""
ROLES: tuple[Role, ...] = get_args(Role)


@dataclass(frozen=True, slots=True)
class Factors:
    """What multiplies the rate and epsilon of a weight; its decay is divided by ``rate``."""

    rate: float = 1.0
    epsilon: float = 1.0


def factors_of(role: Role, size: ModelSize) -> Factors:
    """The factors of a role in a model of this size.

    Epsilon is compared with gradients, which fall with the width behind an output that is divided
    by it, and with the depth in a branch that is: a constant would slow the steps of large models.

    >>> factors_of("hidden", ModelSize(width=64, layers=2, heads=8))
    Factors(rate=0.25, epsilon=0.125)
    """
    narrower = REFERENCE_WIDTH / size.width
    epsilon = {"hidden": narrower / size.layers, "norm": narrower / size.layers, "bias": 1.0}
    return Factors(narrower if role == "hidden" else 1.0, epsilon.get(role, narrower))
