"""The local curve of a cell: log loss against log rate around its minimum.

Loss rises slowly below the best rate and fast above it. A parabola through five rates a factor of
two apart then puts the minimum some 20% too low, whatever the noise, and that bias is common to
all cells: no interval would show it. The curve here is a parabola with a skew g,

    y(u) = offset of the seed + p u + k (exp(g u) - 1 - g u) / g^2,

which is u^2 / 2 for g = 0. It keeps its form when the origin of u moves, is linear in p and k, and
its skew is one number for many cells, which together determine it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jetscale.scaling.cost import Array
from jetscale.scaling.tuning.search import Cell

REACH = np.log(5.0)  # a rate further from the best one says little about the minimum
RISE = 0.5  # nor does one whose loss is 65% higher: it is on its way to diverge
SKEWS = np.arange(0.0, 3.01, 0.05)
FORM = 0.12
"""Error of the skew that more runs do not cure: no loss has exactly this form. For made-up losses
of other forms the minimum was off as if the skew were off by 0.1."""
LEAST_SLOPE = 2.0  # standard errors of the curvature: below, the error of a minimum has no bound
_DEPENDENT = 1e-9  # of columns of length 1: what rounding leaves of what the offsets explain


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Window:
    """The runs of a cell near its best rate; seed offsets are taken out of all columns."""

    centre: float  # log rate of the best mean
    rates: np.ndarray  # (r,) which rates of the cell
    u: Array  # (r,) log rate minus the centre
    seed: np.ndarray  # (n,) index of each run's seed
    rate: np.ndarray  # (n,) index of each run's rate
    y: Array  # (n,)

    @property
    def freedom(self) -> int:
        """Return the runs left after the seeds' offsets, the slope and the curvature."""
        return len(self.y) - len(np.unique(self.seed)) - 2

    def centred(self, values: Array) -> Array:
        """Return values (..., n) minus their mean over the runs of the same seed."""
        same = (self.seed[:, None] == self.seed[None, :]).astype(float)
        return np.asarray(values - values @ (same / same.sum(axis=0)))

    @property
    def told(self) -> bool:
        """Return whether seeds have enough rates in common to tell a curve from their offsets."""
        columns = np.array([self.u[self.rate], self.u[self.rate] ** 2])
        left = self.centred(columns) / np.linalg.norm(columns, axis=1, keepdims=True)
        return bool(np.linalg.matrix_rank(left, tol=_DEPENDENT) == 2)


def bend(u: Array, skew: Array | float) -> Array:
    """Return (exp(g u) - 1 - g u) / g^2, the curve of unit curvature at its minimum u = 0.

    >>> bend(np.array([-1.0, 1.0]), 0.0), bend(np.array([-1.0, 1.0]), 1.0).round(3)
    (array([0.5, 0.5]), array([0.368, 0.718]))
    """
    g = np.where(np.abs(skew) < 1e-6, 1.0, skew)
    return np.asarray(np.where(np.abs(skew) < 1e-6, u**2 / 2, (np.expm1(g * u) - g * u) / g**2))


def window(cell: Cell) -> Window | None:
    """Return the runs around the best rate of a cell; None where they tell no curve."""
    levels = cell.levels
    if not np.isfinite(levels).any():
        return None
    best = int(np.argmin(levels))
    u = cell.log_rates - cell.log_rates[best]
    near = (np.abs(u) <= REACH) & (levels <= levels[best] + RISE)
    # three rates are the least; a coarse search has them further apart
    near[max(0, best - 1) : best + 2] = True
    near = np.flatnonzero(near & np.isfinite(levels))
    if len(near) < 3:
        return None
    part = cell.log_losses[near]
    rate, seed = np.nonzero(~np.isnan(part))
    found = Window(
        centre=float(cell.log_rates[best]),
        rates=near,
        u=u[near],
        seed=seed,
        rate=rate,
        y=part[rate, seed],
    )
    return found if found.told else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Skew:
    """The skew common to some cells, with a standard error."""

    value: float
    error: float


def common_skew(windows: Sequence[Window]) -> Skew:
    """Return the skew of least squares over all windows.

    Its error is the reach of skews whose residual squares exceed the least by one variance. Where
    no window has four rates all skews fit alike: 0, with an error as wide as the range.
    """
    total, freedom = np.zeros(len(SKEWS)), 0
    for w in windows:
        if len(w.u) < 4:
            continue  # any skew passes through three rates
        y, x = w.centred(w.y), w.centred(w.u[w.rate])
        b = w.centred(bend(w.u[w.rate][None, :], SKEWS[:, None]))
        # partial out the slope, then the bend: the residual squares of every skew at once
        y, b = y - x * (x @ y) / (x @ x), b - np.outer(b @ x, x) / (x @ x)
        total += y @ y - (b @ y) ** 2 / (b**2).sum(axis=1)
        freedom += w.freedom
    total = np.maximum(total, 0.0)  # rounding, where a skew fits exactly
    best = int(np.argmin(total))
    if freedom <= 1:
        return Skew(value=0.0, error=float(SKEWS[-1]))
    near = SKEWS[total <= total[best] * (1 + 1 / (freedom - 1))]
    error = max(near[-1] - SKEWS[best], SKEWS[best] - near[0], SKEWS[1] / 2)
    return Skew(value=float(SKEWS[best]), error=float(np.hypot(error, FORM)))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Curve:
    """The curve fitted to one window, before its noise is known."""

    window: Window
    skew: float
    slope: float
    bent: float
    inverse: Array  # (2, 2): covariance of slope and bent for residuals of unit variance
    squares: float  # residual sum of squares

    @property
    def curvature(self) -> float:
        """Return the second derivative of log loss at the minimum."""
        return self.bent - self.slope * self.skew

    @property
    def minimum(self) -> float:
        """Return the log rate of the minimum; nan where the curve has none."""
        if self.bent <= 0 or self.curvature <= 0:
            return float("nan")
        share = self.slope / self.bent
        u = np.log1p(-share * self.skew) / self.skew if self.skew else -share
        return float(self.window.centre + u)

    def error(self, variance: float) -> float:
        """Return the standard error of the minimum, by its derivatives in slope and bend."""
        along = np.array([-1.0, self.slope / self.bent]) / self.curvature
        return float(np.sqrt(variance * along @ self.inverse @ along))

    def shift(self, skew: Skew) -> float:
        """Return by how much one standard error more of skew moves the minimum."""
        step = min(0.1, skew.error)
        return (fit_curve(self.window, self.skew + step).minimum - self.minimum) * skew.error / step

    def steepness(self, variance: float) -> float:
        """Return the curvature in units of its standard error."""
        along = np.array([-self.skew, 1.0])
        return float(self.curvature / np.sqrt(variance * along @ self.inverse @ along))

    def weights(self, log_rate: float) -> Array:
        """Return the weights (r,) of the window's rates whose sum is the curve at a rate."""
        w = self.window
        design = np.column_stack([np.ones(len(w.u)), w.u, bend(w.u, self.skew)])
        at = log_rate - w.centre
        point = np.array([1.0, at, float(bend(np.array(at), self.skew))])
        return np.asarray(point @ np.linalg.pinv(design))


def fit_curve(w: Window, skew: float) -> Curve:
    """Return the curve of least squares through a window, for a given skew."""
    columns = np.array([w.u[w.rate], bend(w.u[w.rate], skew)])
    x, y = w.centred(columns), w.centred(w.y)
    inverse = np.asarray(np.linalg.inv(x @ x.T), dtype=float)
    slope, bent = inverse @ (x @ y)
    squares = float(((y - slope * x[0] - bent * x[1]) ** 2).sum())
    return Curve(
        window=w, skew=skew, slope=float(slope), bent=float(bent), inverse=inverse, squares=squares
    )
