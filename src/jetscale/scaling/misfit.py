"""What a law may miss: smooth deviations of log loss, as random polynomials of log N and log D.

No law is exact. Beside independent noise the log loss may deviate from it smoothly: a Gaussian
process delta(log N, log D) after Kennedy & O'Hagan (doi 10.1111/1467-9868.00294), here products of
Legendre polynomials of degree 2 to 4 over the measured window with independent normal
coefficients. Lower degrees need none: the law itself takes them up. Beyond the window
every polynomial goes on as a straight line in log-log: exponents stay off by what they are off at
the edge, and the deviation grows with the distance.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import ArrayLike

from jetscale.scaling.engine.laws import Array

_DEGREES = (2, 4)
_SHRINK = 0.7  # of the standard deviation of coefficients, per degree


@dataclass(frozen=True, slots=True, eq=False)
class Basis:
    """The polynomials over one window; together they have mean square 1 at the cells measured."""

    centre: Array  # (2,) middle of log N and log D
    half: Array  # (2,) half their ranges
    height: float = 1.0

    @classmethod
    def over(cls, params: Array, examples: Array) -> Self:
        """Take the window and the mean square from the cells (n,)."""
        logs = np.log([params, examples])
        low, high = logs.min(axis=1), logs.max(axis=1)
        half = np.maximum((high - low) / 2, np.finfo(float).eps)
        plain = cls((low + high) / 2, half)
        size = float((plain.at(params, examples) ** 2).sum(axis=-1).mean())
        return cls(plain.centre, half, size**-0.5)

    def place(self, params: ArrayLike, examples: ArrayLike) -> Array:
        """Return log N and log D (..., 2) with the window from -1 to 1."""
        sizes = np.broadcast_arrays(np.asarray(params, float), np.asarray(examples, float))
        return np.asarray((np.log(np.stack(sizes, axis=-1)) - self.centre) / self.half)

    def at(self, params: ArrayLike, examples: ArrayLike) -> Array:
        """Return the columns (..., K) at sizes that broadcast to (...), times their prior scale."""
        place = self.place(params, examples)
        u, v = _polynomials(place[..., 0]), _polynomials(place[..., 1])
        first, last = _DEGREES
        columns = [
            self.height * _SHRINK ** (degree - first) * u[i] * v[degree - i]
            for degree in range(first, last + 1)
            for i in range(degree + 1)
        ]
        return np.stack(columns, axis=-1)


def _polynomials(place: Array) -> list[Array]:
    """Legendre polynomials, from -1 to 1; straight lines beyond."""
    inside = np.clip(place, -1, 1)
    made = []
    for unit in np.eye(_DEGREES[1] + 1):
        slope = legendre.legval(inside, legendre.legder(unit))
        made.append(np.asarray(legendre.legval(inside, unit) + slope * (place - inside)))
    return made
