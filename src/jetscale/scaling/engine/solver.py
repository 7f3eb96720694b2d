"""Fits a law to many weighted copies of the runs at once: the numerical engine of the analysis.

Objective, per row of weights: the sum of w Huber_delta(log L - log L(N, D)), which `objective`
turns into the three objectives on offer. `polish` takes every row from its start on the grid to
the optimum inside the bounds by damped Newton steps. Beyond delta the Huber loss has no curvature
of its own; there the step borrows a share of the curvature of reweighted least squares, more after
a failed step and less after a good one.

`Design` says which unknowns each run depends on, so that groups of runs can share some of them.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from jetscale.scaling.engine.forms import CHINCHILLA, Law
from jetscale.scaling.engine.laws import Array
from jetscale.scaling.engine.logs import Centred
from jetscale.scaling.engine.profile import Grid

_STEPS = 10, 300
"""Most rows are done after ten steps; the others are put together and go on."""
_TOLERANCE = 1e-11
_ROWS, _VALUES = 250, 30_000
"""Rows, and values per unknown, handled at once: the working memory stays in the cache."""
_STALLS = 3
_SQUARED = 10
_STUCK = 1e8
"""Damping beyond which no step can gain anything."""


@dataclass(frozen=True, slots=True)
class Design:
    """Which unknowns each run depends on: ``slots[i]`` holds the places of its own in q."""

    law: Law
    runs: Centred
    slots: NDArray[np.intp]
    """(1, P) where all runs share them, else (n, P)."""
    lower: Array = field(init=False)
    """Lower bounds of the unknowns, (K,)."""
    upper: Array = field(init=False)
    """Upper bounds, (K,)."""
    held: tuple[int, ...] = ()
    """Places in q that stay where a search starts, as a profile likelihood needs."""
    fixed: NDArray[np.bool_] = field(init=False)
    """Unknowns no search moves, (K,): those held and those with one value allowed."""

    def __post_init__(self) -> None:
        kinds = np.empty(self.slots.max() + 1, dtype=np.intp)
        kinds[self.slots] = np.arange(self.slots.shape[1])
        object.__setattr__(self, "lower", self.law.lower[kinds])
        object.__setattr__(self, "upper", self.law.upper[kinds])
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
            np.exp(term, out=term)
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
        slopes = self.law.slopes(self.local(q)[3:], self.runs)
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
    objective: Array
    """Sum of the Huber loss."""
    converged: NDArray[np.bool_]
    low: NDArray[np.bool_]
    """Unknowns at their lower bound, (R, K); those held have none."""
    high: NDArray[np.bool_]
    """Unknowns at their upper bound, (R, K)."""


def chunks(rows: int, runs: int) -> list[slice]:
    """Rows to handle at once."""
    size = max(1, min(_ROWS, _VALUES // runs))
    return [slice(first, first + size) for first in range(0, rows, size)]


def solve(
    runs: Centred, weights: Array, delta: float, law: Law = CHINCHILLA, stride: int = 2
) -> Solution:
    """Fit one law to every row of weights (R, n), each from the best point of its own grid.

    ``stride`` 2 looks at every other exponent of the grid: the polish finds the same optima from
    there (`benchmarks/fitting.py` compares with the full grid).
    """
    grid = Grid(law, runs, stride)
    parts = chunks(len(weights), len(runs.x))
    q = np.concatenate([grid.start(weights[rows]) for rows in parts])
    return polish(Design.single(runs, law), q, runs.z[None], weights, delta)


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
    """State of the rows still searching; arrays of these rows alone."""

    rows: NDArray[np.intp]
    weights: Array
    targets: Array
    q: Array
    parts: tuple[Array, Array, Array]
    residuals: Array
    room: tuple[Array, Array]
    """Memory for two Jacobians: asking for it anew at every step takes longer than the step."""
    objective: Array
    tail: Array
    damping: Array
    stalled: NDArray[np.int64]

    def keep(self, going: NDArray[np.bool_]) -> None:
        for name in self.__slots__:
            if name not in ("parts", "room"):
                setattr(self, name, getattr(self, name)[going])
        total, first, second = (part[going] for part in self.parts)
        self.parts = total, first, second


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
    low, high = design.lower, design.upper
    targets = np.broadcast_to(targets, weights.shape)
    ends, values = np.clip(q, low, high), np.empty(len(q))
    going = np.arange(len(q))
    for steps in _STEPS:
        left = []
        for part in chunks(len(going), len(design.runs.x)):
            rows = going[part]
            search = _begin(design, ends[rows], targets[rows], weights[rows], delta)
            ends[rows], values[rows], done = _descend(design, search, delta, tolerance, steps)
            left.append(rows[~done])
        going = np.concatenate(left) if left else going
    converged = np.ones(len(q), dtype=bool)
    converged[going] = False
    free = ~design.fixed
    return Solution(ends, values, converged, (ends <= low) & free, (ends >= high) & free)


def _descend(
    design: Design, search: _Search, delta: float, tolerance: float, steps: int
) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Unknowns, objectives and which rows are done after a number of steps."""
    count = len(search.q)
    ends, values = np.empty_like(search.q), np.empty(count)
    for _ in range(steps):
        trial, promised = _newton_step(design, search, delta)
        _try(design, search, trial, promised, delta, tolerance)
        going = (search.stalled < _STALLS) & (search.damping < _STUCK)
        if not going.all():
            done = search.rows[~going]
            ends[done], values[done] = search.q[~going], search.objective[~going]
            search.keep(going)
        if not len(search.rows):
            break
    ends[search.rows], values[search.rows] = search.q, search.objective
    return ends, values, ~np.isin(np.arange(count), search.rows)


def _begin(design: Design, q: Array, targets: Array, weights: Array, delta: float) -> _Search:
    count, parts = len(q), design.parts(q)
    residuals = np.log(parts[0]) - targets
    shape = count, design.slots.shape[1], residuals.shape[1]
    return _Search(
        rows=np.arange(count),
        weights=weights,
        targets=targets,
        q=q,
        parts=parts,
        residuals=residuals,
        room=(np.empty(shape), np.empty(shape)),
        objective=huber(residuals, weights, delta),
        tail=np.ones(count),
        damping=np.full(count, 1e-4),
        stalled=np.zeros(count, int),
    )


def _newton_step(design: Design, search: _Search, delta: float) -> tuple[Array, Array]:
    """Where damped Newton steps lead (R, K), and the gain their model promises (R,).

    Unknowns pressed against a bound are held there.
    """
    low, high = design.lower, design.upper
    count = len(search.q)
    J = design.jacobian(search.q, search.parts, search.room[0][:count])
    pull = np.clip(search.residuals, -delta, delta)
    size = np.abs(search.residuals)
    curvature = delta / np.maximum(size, delta)
    curvature *= np.where(size > delta, search.tail[:, None], 1.0)
    pull *= search.weights
    curvature *= search.weights
    g = np.matmul(J, pull[..., None])[..., 0]
    own = search.room[1][:count] if J.shape[1] == search.room[1].shape[1] else np.empty_like(J)
    H = np.matmul(np.multiply(J, curvature[:, None, :], out=own), np.swapaxes(J, 1, 2))
    diagonal = np.einsum("rkk->rk", H)
    largest = diagonal.max(axis=1, keepdims=True)
    diagonal += search.damping[:, None] * diagonal + 1e-12 * largest + 1e-30
    at_low, at_high = search.q <= low, search.q >= high
    held = (at_low & (g > 0)) | (at_high & (g < 0)) | design.fixed
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
    if held.any():
        rows = held[:, :, None] | held[:, None, :]
        H = np.where(rows, np.eye(H.shape[1]) * np.diagonal(H, axis1=1, axis2=2)[:, None, :], H)
        g = np.where(held, 0.0, g)
    return np.asarray(-np.linalg.solve(H, g[..., None])[..., 0])


def _try(
    design: Design,
    search: _Search,
    trial: Array,
    promised: Array,
    delta: float,
    tolerance: float,
) -> None:
    """Take the steps that gain; the nearer to the promise, the bolder the next one."""
    parts = design.parts(trial)
    residuals = np.log(parts[0]) - search.targets
    value = huber(residuals, search.weights, delta)
    better = value < search.objective
    gain = np.where(better, search.objective - value, 0.0)
    kept = gain / np.maximum(promised, 1e-300)
    tiny = better & (gain <= tolerance * search.objective)
    search.stalled = np.where(tiny, search.stalled + 1, np.where(better, 0, search.stalled))
    if better.all():
        search.q, search.parts, search.residuals = trial, parts, residuals
    else:
        search.q = np.where(better[:, None], trial, search.q)
        for old, new in zip((*search.parts, search.residuals), (*parts, residuals), strict=True):
            np.copyto(old, new, where=better[:, None])
    search.objective = np.where(better, value, search.objective)
    bold = kept > 0.7
    shrink = np.where(bold, 0.3, 1.0)
    search.tail = np.where(better, np.maximum(search.tail * shrink, 1e-4), 1.0)
    factor = np.where(bold, 0.2, np.where(kept > 0.2, 1.0, np.where(better, 3.0, 10.0)))
    search.damping = np.maximum(search.damping * factor, 1e-10)
    # Newton's method squares the distance: what is left is a small share of a gain this small
    sure = bold & (gain <= _SQUARED * tolerance * search.objective) & (search.tail < 0.1)
    search.stalled = np.where(sure & (search.damping < _STUCK**-0.5), _STALLS, search.stalled)
