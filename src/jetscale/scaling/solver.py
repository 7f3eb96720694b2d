"""Fits the law to many weighted copies of the runs at once: the numerical engine of the analysis.

Objective, per row of weights: the sum of w Huber_delta(log L - log L(N, D)), as in arXiv
2203.15556. It is a sum, not a mean: a mean makes optimisers with absolute tolerances stop early
(arXiv 2404.10102). `polish` takes every row from its start on the grid to the optimum inside the
bounds by damped Newton steps. Beyond delta the Huber loss has no curvature of its own; there the
step borrows a share of the curvature of reweighted least squares, more after a failed step and
less after a good one.

`Design` says which unknowns each run depends on, so that groups of runs can share some of them.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jetscale.scaling.laws import Array
from jetscale.scaling.profile import LOWER, UPPER, Centred, start

_ITERATIONS = 300
_TOLERANCE = 1e-10
_ROWS, _VALUES = 250, 200_000
"""Rows, and values per unknown, handled at once: keeps the working memory below about 100 MB."""
_STUCK = 1e8
"""Damping beyond which no step can gain anything."""


@dataclass(frozen=True, slots=True)
class Design:
    """Which unknowns each run depends on: ``slots[i]`` holds the places of its five in q."""

    x: Array
    y: Array
    slots: NDArray[np.intp]
    """(1, 5) where all runs share them, else (n, 5)."""

    @classmethod
    def single(cls, runs: Centred) -> "Design":
        """One law for all runs."""
        return cls(runs.x, runs.y, np.arange(5)[None])

    @property
    def places(self) -> NDArray[np.intp]:
        """Which of the five each unknown is, (K,)."""
        kinds = np.empty(self.slots.max() + 1, dtype=np.intp)
        kinds[self.slots] = np.arange(5)
        return kinds

    def terms(self, q: Array) -> tuple[Array, Array, Array]:
        """The three terms of L / L0, each (R, n) or (R, 1), of q (R, K)."""
        local = q[:, self.slots]
        floor, a, b, alpha, beta = np.moveaxis(local, -1, 0)
        return floor, np.exp(a - alpha * self.x), np.exp(b - beta * self.y)

    def log_loss(self, q: Array) -> Array:
        """log(L / L0), (R, n)."""
        floor, by_params, by_examples = self.terms(q)
        return np.asarray(np.log(floor + by_params + by_examples))

    def jacobian(self, q: Array) -> tuple[Array, Array]:
        """log(L / L0) (R, n) and its derivatives (R, n, K)."""
        floor, by_params, by_examples = self.terms(q)
        total = floor + by_params + by_examples
        local = np.empty((*total.shape, 5))
        local[..., 0] = 1 / total
        local[..., 1] = by_params / total
        local[..., 2] = by_examples / total
        local[..., 3] = -self.x * local[..., 1]
        local[..., 4] = -self.y * local[..., 2]
        if len(self.slots) == 1:
            return np.log(total), local
        full = np.zeros((*total.shape, self.slots.max() + 1))
        full[:, np.arange(len(self.x))[:, None], self.slots] = local
        return np.log(total), full


@dataclass(frozen=True, slots=True)
class Solution:
    """Where `polish` ended, one row per row of weights."""

    q: Array
    objective: Array
    converged: NDArray[np.bool_]
    low: NDArray[np.bool_]
    """Unknowns at their lower bound, (R, K)."""
    high: NDArray[np.bool_]
    """Unknowns at their upper bound, (R, K)."""


def solve(runs: Centred, weights: Array, delta: float) -> Solution:
    """Fit one law to every row of weights (R, n), each from the best point of its own grid."""
    size = max(1, min(_ROWS, _VALUES // len(runs.x)))
    design, parts = Design.single(runs), []
    for first in range(0, len(weights), size):
        rows = weights[first : first + size]
        parts.append(polish(design, start(runs, rows), runs.z[None], rows, delta))
    return Solution(
        np.concatenate([part.q for part in parts]),
        np.concatenate([part.objective for part in parts]),
        np.concatenate([part.converged for part in parts]),
        np.concatenate([part.low for part in parts]),
        np.concatenate([part.high for part in parts]),
    )


def huber(residuals: Array, weights: Array, delta: float) -> Array:
    """Sum over runs of w Huber_delta(r), (R,)."""
    size = np.abs(residuals)
    inner = np.minimum(size, delta)
    return np.asarray((weights * inner * (size - 0.5 * inner)).sum(axis=1))


def slope(design: Design, q: Array, targets: Array, weights: Array, delta: float) -> Array:
    """Gradient of the objective by q, (R, K)."""
    log_loss, J = design.jacobian(q)
    pull = weights * np.clip(log_loss - targets, -delta, delta)
    return np.asarray(np.matmul(pull[:, None, :], J)[:, 0])


@dataclass(slots=True)
class _Search:
    """State of the rows still searching."""

    rows: NDArray[np.intp]
    q: Array
    objective: Array
    tail: Array
    damping: Array
    stalled: NDArray[np.int64]

    def keep(self, going: NDArray[np.bool_]) -> None:
        for name in ("rows", "q", "objective", "tail", "damping", "stalled"):
            setattr(self, name, getattr(self, name)[going])


def polish(
    design: Design,
    q: Array,
    targets: Array,
    weights: Array,
    delta: float,
    tolerance: float = _TOLERANCE,
) -> Solution:
    """Optimum of the objective from the starts q (R, K).

    Parameters
    ----------
    targets : (1, n) or (R, n)
        Centred log losses.
    weights : (R, n)
        Weight of each run in each row.
    delta : float
        Width of the quadratic zone of the Huber loss, in log loss.
    tolerance : float
        Three steps in a row that gain less than this share of the objective end the search.
    """
    count = len(q)
    targets = np.broadcast_to(targets, weights.shape)
    low, high = LOWER[design.places], UPPER[design.places]
    q = np.clip(q, low, high)
    ends, values = q.copy(), huber(design.log_loss(q) - targets, weights, delta)
    search = _Search(
        np.arange(count),
        q,
        values.copy(),
        np.ones(count),
        np.full(count, 1e-4),
        np.zeros(count, int),
    )
    for _ in range(_ITERATIONS):
        rows = search.rows
        if not len(rows):
            break
        w, z = weights[rows], targets[rows]
        trial, promised = _newton_step(design, search, z, w, delta)
        value = huber(design.log_loss(trial) - z, w, delta)
        _accept(search, trial, value, promised, tolerance)
        ends[rows], values[rows] = search.q, search.objective
        search.keep((search.stalled < 3) & (search.damping < _STUCK))
    converged = ~np.isin(np.arange(count), search.rows)
    return Solution(ends, values, converged, ends <= low, ends >= high)


def _newton_step(
    design: Design, search: _Search, targets: Array, weights: Array, delta: float
) -> tuple[Array, Array]:
    """Where damped Newton steps lead (R, K), and the gain their model promises (R,).

    Unknowns pressed against a bound are held there.
    """
    low, high = LOWER[design.places], UPPER[design.places]
    log_loss, J = design.jacobian(search.q)
    r = log_loss - targets
    size = np.abs(r)
    beyond = search.tail[:, None] * delta / np.maximum(size, delta)
    curvature = weights * np.where(size <= delta, 1.0, beyond)
    g = np.matmul((weights * np.clip(r, -delta, delta))[:, None, :], J)[:, 0]
    H = np.matmul(np.swapaxes(J * curvature[..., None], 1, 2), J)
    diagonal = np.einsum("rkk->rk", H)
    largest = diagonal.max(axis=1, keepdims=True)
    diagonal += search.damping[:, None] * diagonal + 1e-12 * largest + 1e-30
    at_low, at_high = search.q <= low, search.q >= high
    held = (at_low & (g > 0)) | (at_high & (g < 0))
    step = _solve_free(H, g, held)
    outward = (at_low & (step < 0)) | (at_high & (step > 0))
    if outward.any():
        step = _solve_free(H, g, held | outward)
    trial = np.clip(search.q + np.clip(step, -1.0, 1.0), low, high)
    step = trial - search.q
    promised = -(step * (g + 0.5 * np.matmul(H, step[..., None])[..., 0])).sum(axis=1)
    return trial, promised


def _solve_free(H: Array, g: Array, held: NDArray[np.bool_]) -> Array:
    """Newton step of the unknowns that are not held; 0 for those that are."""
    rows = held[:, :, None] | held[:, None, :]
    free = np.where(rows, np.eye(H.shape[1]) * np.diagonal(H, axis1=1, axis2=2)[:, None, :], H)
    return -np.linalg.solve(free, np.where(held, 0.0, g)[..., None])[..., 0]


def _accept(search: _Search, trial: Array, value: Array, promised: Array, tolerance: float) -> None:
    """Take the steps that gain; the nearer to the promise, the bolder the next one."""
    better = value < search.objective
    gain = np.where(better, search.objective - value, 0.0)
    kept = gain / np.maximum(promised, 1e-300)
    tiny = better & (gain <= tolerance * search.objective)
    search.stalled = np.where(tiny, search.stalled + 1, np.where(better, 0, search.stalled))
    search.q = np.where(better[:, None], trial, search.q)
    search.objective = np.where(better, value, search.objective)
    bold = kept > 0.7
    shrink = np.where(bold, 0.3, 1.0)
    search.tail = np.where(better, np.maximum(search.tail * shrink, 1e-4), 1.0)
    factor = np.where(bold, 0.2, np.where(kept > 0.2, 1.0, np.where(better, 3.0, 10.0)))
    search.damping = np.maximum(search.damping * factor, 1e-10)
