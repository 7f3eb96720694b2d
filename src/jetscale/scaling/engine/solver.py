"""Fits a law to many weighted copies of the runs at once: the numerical engine of the analysis.

The objective of each row of weights is the sum over runs of w Huber_delta(log L - log L(N, D)).
`polish` takes every row from its start to the optimum inside the bounds by damped Gauss-Newton
steps. A row is done after three steps that gain next to nothing, or one that Newton's method makes
final. `Design` says which unknowns each run depends on, so that groups can share some of them.
"""

from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from jetscale.scaling.engine.forms import CHINCHILLA, Law
from jetscale.scaling.engine.laws import Array, Centred

_STEPS = 10, 300  # most rows are done after ten steps; the others are put together and go on
_TINY = 1e-11  # share of the objective
_ROWS, _VALUES = 250, 30_000  # rows, and values per unknown, at once: they stay in the cache
_STALLS = 3
_SQUARED = 10
_STUCK = 1e8  # damping beyond which no step can gain anything


@dataclass(frozen=True, slots=True)
class Design:
    """Which unknowns each run depends on: ``slots[i]`` holds the places in q of run i's own.

    With slots [[0, 1, 2, 3, 4], [0, 5, 6, 7, 8]] two runs share the floor and nothing else.
    """

    law: Law
    runs: Centred
    slots: NDArray[np.intp]  # (1, P) where all runs share them, else (n, P)
    lower: Array = field(init=False)  # lower bounds of the unknowns, (K,)
    upper: Array = field(init=False)  # upper bounds, (K,)
    held: tuple[int, ...] = ()  # places in q that stay where a search starts
    slack: float = np.inf  # how far a floor may lie above the lowest loss, in log loss
    fixed: NDArray[np.bool_] = field(init=False)  # (K,): held, or with one value allowed

    def __post_init__(self) -> None:
        kinds = np.empty(self.slots.max() + 1, dtype=np.intp)
        kinds[self.slots] = np.arange(self.slots.shape[1])
        object.__setattr__(self, "lower", self.law.lower[kinds])
        object.__setattr__(self, "upper", self.law.upper[kinds])
        if np.isfinite(self.slack):
            lowest = np.full(len(kinds), np.inf)
            floors = np.broadcast_to(self.slots[:, 0], len(self.runs.z))
            np.minimum.at(lowest, floors, np.exp(self.runs.z + self.slack))
            np.minimum(self.upper, lowest, out=self.upper)
        fixed = self.lower == self.upper
        fixed[list(self.held)] = True
        object.__setattr__(self, "fixed", fixed)

    @classmethod
    def single(cls, runs: Centred, law: Law = CHINCHILLA) -> "Design":
        """One law for all runs."""
        return cls(law, runs, np.arange(len(law.parameters))[None])

    def local(self, q: Array) -> list[Array]:
        """The law's unknowns for each run, (R, 1) or (R, n) each, of q (R, K)."""
        return [q[:, places] for places in self.slots.T]

    def parts(self, q: Array) -> tuple[Array, Array, Array]:
        """L / L0 and its two terms, each (R, n), of q (R, K)."""
        floor, a, b, *v = self.local(q)
        by_params, by_examples = self.law.terms(v, self.runs)
        for height, term in ((a, by_params), (b, by_examples)):
            term += height
        self.law.join(v, by_params, by_examples)
        np.exp(by_params, out=by_params)
        np.exp(by_examples, out=by_examples)
        total = by_params + by_examples
        total += floor
        return total, by_params, by_examples

    def log_loss(self, q: Array) -> Array:
        """log(L / L0), (R, n)."""
        return np.asarray(np.log(self.parts(q)[0]))

    def jacobian(
        self, q: Array, parts: tuple[Array, Array, Array] | None = None, out: Array | None = None
    ) -> Array:
        """Derivatives (R, K, n) of log(L / L0); ``out`` (R, P, n) is room to work in."""
        total, *terms = self.parts(q) if parts is None else parts
        J = np.empty((len(q), self.slots.shape[1], total.shape[1])) if out is None else out
        np.divide(1.0, total, out=J[:, 0])
        for k, term in enumerate(terms, start=1):
            np.multiply(term, J[:, 0], out=J[:, k])
        v = self.local(q)[3:]
        slopes = self.law.slopes(v, self.runs) + self.law.joint_slopes(v, *terms)
        for k, (by_params, by_examples) in enumerate(slopes, start=3):
            if by_params is not None:
                np.multiply(J[:, 1], by_params, out=J[:, k])
            elif by_examples is not None:
                np.multiply(J[:, 2], by_examples, out=J[:, k])
            if by_params is not None and by_examples is not None:
                J[:, k] += J[:, 2] * by_examples
        if len(self.slots) == 1:
            return J
        full = np.zeros((len(q), len(self.lower), total.shape[1]))
        runs = np.arange(total.shape[1])
        for k, places in enumerate(self.slots.T):
            full[:, places, runs] = J[:, k]
        return full


@dataclass(frozen=True, slots=True)
class Solution:
    """Where `polish` ended, one row per row of weights."""

    q: Array
    objective: Array  # sum of the Huber loss
    converged: NDArray[np.bool_]
    low: NDArray[np.bool_]  # unknowns at their lower bound, (R, K); those held have none
    high: NDArray[np.bool_]  # unknowns at their upper bound, (R, K)


def chunks(rows: int, runs: int) -> list[slice]:
    """Rows to handle at once."""
    size = max(1, min(_ROWS, _VALUES // runs))
    return [slice(first, first + size) for first in range(0, rows, size)]


def huber(residuals: Array, weights: Array, delta: float) -> Array:
    """Sum over runs of w Huber_delta(r), (R,)."""
    size = np.abs(residuals)
    inner = np.minimum(size, delta)
    size -= 0.5 * inner
    size *= inner
    return np.asarray(np.einsum("rn,rn->r", size, weights))


def slope(design: Design, q: Array, targets: Array, weights: Array, delta: float) -> Array:
    """Gradient of the objective by q, (R, K)."""
    parts = design.parts(q)
    pull = weights * np.clip(np.log(parts[0]) - targets, -delta, delta)
    return np.asarray(np.matmul(design.jacobian(q, parts), pull[..., None])[..., 0])


@dataclass(slots=True)
class _Search:
    """The rows still searching, and the steps they take; arrays of these rows alone."""

    design: Design
    delta: float
    rows: NDArray[np.intp]
    weights: Array
    targets: Array
    q: Array
    parts: tuple[Array, Array, Array]
    residuals: Array
    room: tuple[Array, Array]  # two Jacobians: making them anew takes longer than the step
    objective: Array
    tail: Array  # share of the curvature of reweighted least squares lent beyond delta
    damping: Array  # multiple of its diagonal that is added to the Hessian
    stalled: NDArray[np.int64]  # steps in a row that gained next to nothing

    @classmethod
    def start(cls, design: Design, q: Array, targets: Array, weights: Array, delta: float) -> Self:
        count, parts = len(q), design.parts(q)
        residuals = np.log(parts[0]) - targets
        shape = count, design.slots.shape[1], residuals.shape[1]
        return cls(
            *(design, delta, np.arange(count), weights, targets, q, parts, residuals),
            room=(np.empty(shape), np.empty(shape)),
            objective=huber(residuals, weights, delta),
            tail=np.ones(count),
            damping=np.full(count, 1e-4),
            stalled=np.zeros(count, int),
        )

    def keep(self, going: NDArray[np.bool_]) -> None:
        for name in ("rows", "weights", "targets", "q", "residuals", "objective", "tail"):
            setattr(self, name, getattr(self, name)[going])
        self.damping, self.stalled = self.damping[going], self.stalled[going]
        total, first, second = (part[going] for part in self.parts)
        self.parts = total, first, second

    def newton_step(self) -> tuple[Array, Array]:
        """Return where damped Newton steps lead (R, K), and the gain their model promises (R,)."""
        low, high = self.design.lower, self.design.upper
        count = len(self.q)
        J = self.design.jacobian(self.q, self.parts, self.room[0][:count])
        # Huber: inside delta the pull of a run is its residual and its curvature 1. Beyond, the
        # pull stays at delta and the curvature is 0; a Newton step would be far too long there.
        # Reweighted least squares has curvature delta / |r|, which is safe and slow: lend a share.
        pull = np.clip(self.residuals, -self.delta, self.delta)
        size = np.abs(self.residuals)
        curvature = self.delta / np.maximum(size, self.delta)
        curvature *= np.where(size > self.delta, self.tail[:, None], 1.0)
        pull *= self.weights
        curvature *= self.weights
        # gradient J'pull and Gauss-Newton Hessian J'diag(curvature)J of every row
        g = np.matmul(J, pull[..., None])[..., 0]
        own = self.room[1][:count] if J.shape[1] == self.room[1].shape[1] else np.empty_like(J)
        H = np.matmul(np.multiply(J, curvature[:, None, :], out=own), np.swapaxes(J, 1, 2))
        # damp relative to each unknown's own scale; the rest keeps a vanished term solvable
        diagonal = np.einsum("rkk->rk", H)
        largest = diagonal.max(axis=1, keepdims=True)
        diagonal += self.damping[:, None] * diagonal + 1e-12 * largest + 1e-30
        # an unknown that is pressed against its bound stays there; one that the step then would
        # take across a bound is held too, and the step solved again
        at_low, at_high = self.q <= low, self.q >= high
        held = (at_low & (g > 0)) | (at_high & (g < 0)) | self.design.fixed
        step = _solve_free(H, g, held)
        outward = (at_low & (step < 0)) | (at_high & (step > 0))
        if outward.any():
            step = _solve_free(H, g, held | outward)
        # unknowns are logs or of order one: longer steps than 1 leave the range of the model
        trial = np.clip(self.q + np.clip(step, -1.0, 1.0), low, high)
        step = trial - self.q
        promised = -(step * (g + 0.5 * np.matmul(H, step[..., None])[..., 0])).sum(axis=1)
        return trial, promised

    def take(self, trial: Array, promised: Array, tolerance: float) -> None:
        """Take the steps that gain; the nearer to the promise, the bolder the next one."""
        parts = self.design.parts(trial)
        residuals = np.log(parts[0]) - self.targets
        value = huber(residuals, self.weights, self.delta)
        better = value < self.objective
        gain = np.where(better, self.objective - value, 0.0)
        kept = gain / np.maximum(promised, 1e-300)
        tiny = better & (gain <= tolerance * self.objective)
        self.stalled = np.where(tiny, self.stalled + 1, np.where(better, 0, self.stalled))
        if better.all():
            self.q, self.parts, self.residuals = trial, parts, residuals
        else:  # rows that did not gain stay where they are
            self.q = np.where(better[:, None], trial, self.q)
            for old, new in zip((*self.parts, self.residuals), (*parts, residuals), strict=True):
                np.copyto(old, new, where=better[:, None])
        self.objective = np.where(better, value, self.objective)
        # a kept promise: trust the model more, with less damping and less borrowed curvature; a
        # failed step: ten times the damping, and all the curvature there is
        bold = kept > 0.7
        shrink = np.where(bold, 0.3, 1.0)
        self.tail = np.where(better, np.maximum(self.tail * shrink, 1e-4), 1.0)
        factor = np.where(bold, 0.2, np.where(kept > 0.2, 1.0, np.where(better, 3.0, 10.0)))
        self.damping = np.maximum(self.damping * factor, 1e-10)
        # Newton's method squares the distance: what is left is a small share of a gain this small
        sure = bold & (gain <= _SQUARED * tolerance * self.objective) & (self.tail < 0.1)
        self.stalled = np.where(sure & (self.damping < _STUCK**-0.5), _STALLS, self.stalled)

    def run(self, tolerance: float, steps: int) -> tuple[Array, Array, NDArray[np.bool_]]:
        """Return unknowns, objectives and which rows are done after a number of steps."""
        count = len(self.q)
        ends, values = np.empty_like(self.q), np.empty(count)
        for _ in range(steps):
            self.take(*self.newton_step(), tolerance)
            going = (self.stalled < _STALLS) & (self.damping < _STUCK)
            if not going.all():
                done = self.rows[~going]
                ends[done], values[done] = self.q[~going], self.objective[~going]
                self.keep(going)
            if not len(self.rows):
                break
        ends[self.rows], values[self.rows] = self.q, self.objective
        return ends, values, ~np.isin(np.arange(count), self.rows)


def _solve_free(H: Array, g: Array, held: NDArray[np.bool_]) -> Array:
    """Return the Newton step of the unknowns that are not held; 0 for those that are."""
    if held.any():
        # a held unknown gets a row and column of its own, and no gradient: it does not move
        rows = held[:, :, None] | held[:, None, :]
        H = np.where(rows, np.eye(H.shape[1]) * np.diagonal(H, axis1=1, axis2=2)[:, None, :], H)
        g = np.where(held, 0.0, g)
    return np.asarray(-np.linalg.solve(H, g[..., None])[..., 0])


def polish(
    design: Design, q: Array, targets: Array, weights: Array, delta: float, tolerance: float = _TINY
) -> Solution:
    """Return the optimum of the objective from the starts q (R, K).

    The runs have weights (R, n) and centred log losses ``targets`` (1 or R, n). Three steps in a
    row that gain less than ``tolerance``, a share of the objective, end the search.
    """
    low, high = design.lower, design.upper
    targets = np.broadcast_to(targets, weights.shape)
    ends, values = np.clip(q, low, high), np.empty(len(q))
    going = np.arange(len(q))
    for steps in _STEPS:
        # most rows end in the first round; the rest are put together, so that the second one works
        # on full chunks again
        left = []
        for part in chunks(len(going), len(design.runs.x)):
            rows = going[part]
            search = _Search.start(design, ends[rows], targets[rows], weights[rows], delta)
            ends[rows], values[rows], done = search.run(tolerance, steps)
            left.append(rows[~done])
        going = np.concatenate(left) if left else going
    converged = ~np.isin(np.arange(len(q)), going)
    free = ~design.fixed
    return Solution(ends, values, converged, (ends <= low) & free, (ends >= high) & free)
