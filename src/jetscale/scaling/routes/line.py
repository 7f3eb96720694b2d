"""The frontier as a route sees it: log N* on a line in log C, the loss on a saturating power of C.

Along the frontier of the law L = E + A / N^alpha + B / D^beta the loss is E + K / C^gamma (arXiv
2203.15556, appendix): here E, K and gamma are fitted to the losses of the points alone.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jetscale.scaling.cost import CostModel
from jetscale.scaling.engine.laws import Array
from jetscale.scaling.estimate import Estimate
from jetscale.scaling.routes.spread import half_width

_UNKNOWNS = 3  # E, K and gamma
_POWERS = np.geomspace(0.01, 1.0, 60)


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """Points of a frontier; rows are: as measured, then replicates."""

    log_c: Array  # (b,) log budgets of the points; (1 + R, b) where they are what was read off
    log_n: Array  # (1 + R, b) log sizes; (b,) where the budgets were read off
    log_loss: Array  # (1 + R, b)
    weights: Array  # (b,) of the points, summing to 1
    freedom: float  # degrees of freedom of the noise

    @property
    def budgets(self) -> Array:
        """(b,) log budgets as measured."""
        return self.log_c[0] if self.log_c.ndim > 1 else self.log_c

    @property
    def slopes(self) -> Array:
        """(1 + R,) exponents of N*."""
        return _line(self.log_c, self.log_n, self.weights, 0.0)[0]

    @property
    def slopes_left(self) -> Array:
        """(b,) exponents of N* without one point each."""
        return np.array([_line(*part, 0.0)[0][0] for part, _ in self._without()])

    def log_params(self, log_c: float) -> tuple[Array, Array]:
        """Log N* at a budget: (1 + R,), and (b,) without one point each."""
        left = [_line(*part, log_c)[1][0] for part, _ in self._without()]
        return _line(self.log_c, self.log_n, self.weights, log_c)[1], np.array(left)

    def losses(self, log_c: float) -> tuple[Array, Array]:
        """Loss along the frontier at a budget: (1 + R,), and (b,) without one point each."""
        x, z = self.budgets, self.log_loss
        left = [_saturating(x[keep], z[:1, keep], log_c)[0] for _, keep in self._without()]
        return _saturating(x, z, log_c), np.array(left)

    def at(self, budget: float, cost: CostModel) -> tuple[Estimate, Estimate, Estimate]:
        """N*, D* and the loss at a budget in FLOPs, with intervals."""
        log_c = float(np.log(budget))
        values, left = self.log_params(log_c)
        half, log_n = half_width(values, left, self.freedom), float(values[0])
        log_d = log_c - float(np.log(cost.k)) - cost.p * log_n
        wide = cost.p * half
        losses, without = self.losses(log_c)
        around = half_width(losses, without, self.freedom)
        loss = float(losses[0])
        reason = ""
        if len(self.weights) <= _UNKNOWNS:
            reason, around = (
                f"{len(self.weights)} points do not tell how the loss goes on",
                math.nan,
            )
        return (
            _exp(log_n, half),
            _exp(log_d, wide),
            Estimate(value=loss, low=loss - around, high=loss + around, reason=reason),
        )

    def _without(self) -> list[tuple[tuple[Array, Array, Array], NDArray[np.bool_]]]:
        """The points as measured without one each, and which are left."""
        x, y = (values[:1] if values.ndim > 1 else values for values in (self.log_c, self.log_n))
        found = []
        for keep in ~np.eye(len(self.weights), dtype=bool):
            w = self.weights[keep]
            found.append(((x[..., keep], y[..., keep], w / w.sum()), keep))
        return found


def _exp(value: float, half: float) -> Estimate:
    low, middle, high = np.exp([value - half, value, value + half])
    return Estimate(value=float(middle), low=float(low), high=float(high))


def _line(log_c: Array, log_n: Array, w: Array, place: float) -> tuple[Array, Array]:
    """(R,) weighted least-squares slopes of log N on log C, and log N at a place.

    The squares are those of what was read off: where that is log C, the slope is inverted.
    """
    inverse = log_c.ndim > 1
    x, y = (log_n, log_c) if inverse else (log_c, log_n)
    centre = x - w @ x
    slope, middle = y @ (w * centre) / (w @ centre**2), y @ w
    if not inverse:
        return np.asarray(slope), np.asarray(middle + slope * (place - w @ x))
    slope = np.where(slope > 0, slope, np.nan)
    return np.asarray(1 / slope), np.asarray(w @ x + (place - middle) / slope)


def _saturating(x: Array, rows: Array, place: float) -> Array:
    """(R,) losses at a place from E + K exp(-gamma x), E >= 0, through (R, b) log losses."""
    losses, middle = np.exp(rows), x.mean()
    found, best = np.full(len(rows), np.nan), np.full(len(rows), np.inf)
    for power in _POWERS:
        term, there = np.exp(-power * (x - middle)), np.exp(-power * (place - middle))
        centred = term - term.mean()
        height = np.maximum(losses @ centred / (centred @ centred), 0.0)
        floor = losses.mean(axis=1) - height * term.mean()
        sunk = floor < 0
        height = np.where(sunk, losses @ term / (term @ term), height)
        floor = np.where(sunk, 0.0, floor)
        left = ((losses - floor[:, None] - height[:, None] * term) / losses) ** 2
        squares = left.sum(axis=1)
        better = squares < best
        found, best = np.where(better, floor + height * there, found), np.minimum(squares, best)
    return found
