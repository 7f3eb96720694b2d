"""Where a fit starts: the law solved exactly on a grid of its exponents (variable projection).

For given exponents a law is linear in E, A and B, and least squares of the relative residuals
(law - loss) / loss solves it in closed form with E, A, B >= 0. Bootstrap replicates are rows of
weights, and weights enter through matrix products alone: a thousand cost little more than one.
Further nonlinear parameters are tried value by value, and the best is kept at each (alpha, beta).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from jetscale.scaling.engine.forms import Law
from jetscale.scaling.engine.laws import Array, Centred


@dataclass(frozen=True, slots=True)
class _Normal:
    """Normal equations of relative least squares; arrays that broadcast with each other."""

    ee: Array
    ea: Array
    eb: Array
    aa: Array
    ab: Array
    bb: Array
    te: Array
    ta: Array
    tb: Array
    total: Array

    def candidates(self, floor: float | Array | None) -> Iterator[tuple[Array, Array, Array]]:
        """Solutions (e, a, b) of every subset of terms, the floor free or held."""
        # The best solution inside E, A, B >= 0 leaves some of them at 0 and is stationary in the
        # others: solving for every subset and keeping those inside finds it without iteration.
        n, zero = self, np.zeros(())
        if floor is None:
            yield _solve3(n.ee, n.ea, n.eb, n.aa, n.ab, n.bb, n.te, n.ta, n.tb)
            e, b = _solve2(n.ee, n.eb, n.bb, n.te, n.tb)
            yield e, zero, b
            e, a = _solve2(n.ee, n.ea, n.aa, n.te, n.ta)
            yield e, a, zero
            yield n.te / n.ee, zero, zero
        # no floor, or the one it is held at: its share moves to the right-hand side
        held = zero if floor is None else np.asarray(floor)
        ta, tb = n.ta - held * n.ea, n.tb - held * n.eb
        yield held, *_solve2(n.aa, n.ab, n.bb, ta, tb)
        if floor is not None:
            yield held, ta / n.aa, zero
            yield held, zero, tb / n.bb
            yield held, zero, zero

    def squares(self, e: Array, a: Array, b: Array, held: bool) -> Array:
        """Sum of squares of a solution; those outside E, A, B >= 0 are infinite."""
        # at a stationary point the sum of squares is t't - x'A't, with no second pass over the runs
        value = self.total - e * self.te - a * self.ta - b * self.tb
        if held:  # the floor is no stationary point
            value = value - e * (self.te - e * self.ee - a * self.ea - b * self.eb)
        return np.where((e >= 0) & (a >= 0) & (b >= 0), value, np.inf)

    def lowest(self, floor: float | None) -> Array:
        best = np.full(np.broadcast_shapes(self.ab.shape, self.total.shape), np.inf)
        with np.errstate(divide="ignore", invalid="ignore"):
            for e, a, b in self.candidates(floor):
                np.fmin(best, self.squares(e, a, b, floor is not None), out=best)
        return best

    def solution(self, floor: Array | None) -> Array:
        """Best (e, a, b), on a new last axis."""
        best = np.full(self.ab.shape, np.inf)
        linear = np.zeros((*best.shape, 3))
        with np.errstate(divide="ignore", invalid="ignore"):
            for e, a, b in self.candidates(floor):
                squares = self.squares(e, a, b, floor is not None)
                better = squares < best
                best = np.where(better, squares, best)
                found = np.stack(np.broadcast_arrays(e, a, b, best)[:3], axis=-1)
                linear = np.where(better[..., None], found, linear)
        return linear


@dataclass(frozen=True, slots=True)
class Surface:
    """Best relative least squares at every grid point, for many weightings or many data sets."""

    squares: Array  # (R, F, G, G) weighted sums of squared relative residuals: floor, alpha, beta
    which: NDArray[np.intp]  # (R, F, G, G) the best of the values tried for further parameters


class Grid:
    """The grid of a law over some runs; what does not depend on weights is computed once."""

    def __init__(
        self, law: Law, runs: Centred, stride: int = 1, floors: Array | None = None
    ) -> None:
        """Take every ``stride``-th exponent; hold the floor at (F,) values, else leave it free.

        ``floors`` are in units of the central loss.
        """
        self.law, self.runs = law, runs
        self.exponents = law.exponents_tried[::stride]
        self.floors = np.zeros(1) if floors is None and law.largest_floor == 0 else floors
        self.further = np.array(list(product(*(extra.grid for extra in law.extras))))
        self.inverse = np.exp(-runs.z)
        self.columns = []
        tried = self.exponents[:, None]
        for values in self.further:
            # in relative units: every residual is (law - loss) / loss, so columns are over the loss
            terms = law.terms([tried, tried, *(v[None, None] for v in values)], runs)
            X, Y = (np.ascontiguousarray((np.exp(term) * self.inverse).T) for term in terms)
            pairs = (X[:, :, None] * Y[:, None, :]).reshape(len(X), -1)
            self.columns.append((X, Y, pairs))

    def surface(self, weights: Array, relative: Array | None = None) -> Surface:
        """Least squares everywhere, for weights (R or 1, n) of the runs.

        ``relative`` (R, n) are other losses, divided by those of the runs.
        """
        # further parameters one after the other: memory for one grid at a time is enough
        held = [None] if self.floors is None else [float(floor) for floor in self.floors]
        best, which = np.empty(0), np.empty(0, dtype=np.intp)
        for number, columns in enumerate(self.columns):
            normal = self._normal(columns, weights, relative)
            squares = np.stack([normal.lowest(floor) for floor in held], axis=1)
            if number == 0:
                best, which = squares, np.zeros(squares.shape, dtype=np.intp)
                continue
            which = np.where(squares < best, number, which)
            best = np.minimum(squares, best)
        return Surface(best, which)

    def _normal(
        self, columns: tuple[Array, Array, Array], weights: Array, relative: Array | None
    ) -> _Normal:
        inverse, (X, Y, pairs) = self.inverse, columns  # (n, G), (n, G) and their (n, G * G)
        aim = weights if relative is None else weights * relative
        squared = aim if relative is None else aim * relative
        size = len(self.exponents)
        row, column, one = np.s_[:, :, None], np.s_[:, None, :], np.s_[:, None, None]
        by = inverse[:, None]
        ee, te = (weights @ inverse**2)[one], (aim @ inverse)[one]
        ea, aa, ta = (weights @ (X * by))[row], (weights @ X**2)[row], (aim @ X)[row]
        eb, bb, tb = (weights @ (Y * by))[column], (weights @ Y**2)[column], (aim @ Y)[column]
        ab = (weights @ pairs).reshape(len(weights), size, size)
        return _Normal(ee, ea, eb, aa, ab, bb, te, ta, tb, squared.sum(axis=1)[one])

    def nonlinear(self, found: Surface, at: Sequence[NDArray[np.intp]]) -> Array:
        """Nonlinear unknowns (R, P - 3) at one point (floor, alpha, beta) of each row."""
        which = found.which[np.arange(len(found.which)), *at]
        exponents = self.exponents[at[1]], self.exponents[at[2]]
        return np.column_stack([*exponents, self.further[which]])


def unknowns(
    law: Law,
    runs: Centred,
    weights: Array,
    v: Array,
    relative: Array | None = None,
    floor: Array | None = None,
) -> Array:
    """Q (R, P) inside the bounds: the linear unknowns solved at nonlinear ones v (R, P - 3).

    The floor is free, or held at (R,) values in units of the central loss.
    """
    if floor is None and law.largest_floor == 0:
        floor = np.zeros(len(v))
    # the same least squares as on the grid, at one point per row
    inverse = np.exp(-runs.z)
    X, Y = (np.exp(term) * inverse for term in law.terms([c[:, None] for c in v.T], runs))
    shape = np.broadcast_shapes(X.shape, weights.shape)
    X, Y, w = (np.broadcast_to(array, shape) for array in (X, Y, weights))
    aim = w if relative is None else w * relative
    squared = aim if relative is None else aim * relative
    wX, wY = w * X, w * Y
    ee, ea, eb, te = w @ inverse**2, wX @ inverse, wY @ inverse, aim @ inverse
    aa, ab, bb, ta, tb = _dot(wX, X), _dot(wX, Y), _dot(wY, Y), _dot(aim, X), _dot(aim, Y)
    normal = _Normal(ee, ea, eb, aa, ab, bb, te, ta, tb, squared.sum(axis=1))
    linear = normal.solution(floor)
    # a term of height 0 has log -inf: the lower bound of q stands for it
    with np.errstate(divide="ignore"):
        logs = np.log(linear[:, 1:])
    q = np.concatenate([linear[:, :1], logs, v], axis=1)
    return np.asarray(np.clip(q, law.lower, law.upper))


def _dot(left: Array, right: Array) -> Array:
    return np.asarray(np.einsum("rn,rn->r", left, right))


def _solve2(p: Array, q: Array, r: Array, u: Array, v: Array) -> tuple[Array, Array]:
    """Solve [[p, q], [q, r]] (s, t) = (u, v), elementwise."""
    det = p * r - q * q
    return (r * u - q * v) / det, (p * v - q * u) / det


def _solve3(
    a: Array, b: Array, c: Array, d: Array, e: Array, f: Array, u: Array, v: Array, w: Array
) -> tuple[Array, Array, Array]:
    """Solve [[a, b, c], [b, d, e], [c, e, f]] (r, s, t) = (u, v, w) by cofactors, elementwise."""
    c00, c01, c02 = d * f - e * e, c * e - b * f, b * e - c * d
    c11, c12, c22 = a * f - c * c, b * c - a * e, a * d - b * b
    det = a * c00 + b * c01 + c * c02
    return (
        (c00 * u + c01 * v + c02 * w) / det,
        (c01 * u + c11 * v + c12 * w) / det,
        (c02 * u + c12 * v + c22 * w) / det,
    )
