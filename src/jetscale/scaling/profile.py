"""Where a fit starts: the law solved exactly on a grid of exponents (variable projection).

For given (alpha, beta) the law is linear in E, A and B, and relative least squares solves it in
closed form with E, A, B >= 0. Bootstrap replicates enter as rows of weights through matrix
products alone, so a thousand of them cost little more than one. The grid of least squares is also
the profile of the fit in (alpha, beta): where it is flat, the exponents are not determined.

Everything is in centred logs: x = log N, y = log D, z = log L minus their means. The unknowns are
q = (e, a, b, alpha, beta) with L / L0 = e + exp(a - alpha x) + exp(b - beta y): well conditioned,
and the bound E >= 0 is an ordinary bound.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jetscale.scaling.laws import EXPONENT_BOUNDS, Array

GRID = np.geomspace(0.02, EXPONENT_BOUNDS[1], 29)
"""Exponents tried for alpha and for beta: 841 starts."""
LOWER = np.array([0.0, -14.0, -14.0, EXPONENT_BOUNDS[0], EXPONENT_BOUNDS[0]])
"""Lower bounds of q; a term of exp(-14) of the loss has vanished."""
UPPER = np.array([2.0, 3.0, 3.0, EXPONENT_BOUNDS[1], EXPONENT_BOUNDS[1]])
"""Upper bounds of q; those of the first three are out of reach."""


@dataclass(frozen=True, slots=True)
class Centred:
    """Runs in centred logs, each (n,), and the centres."""

    x: Array
    y: Array
    z: Array
    x0: float
    y0: float
    z0: float

    @classmethod
    def of(cls, params: Array, examples: Array, loss: Array) -> "Centred":
        """Centre the logs of N, D and L."""
        logs = [np.log(values) for values in (params, examples, loss)]
        x0, y0, z0 = (float(values.mean()) for values in logs)
        return cls(logs[0] - x0, logs[1] - y0, logs[2] - z0, x0, y0, z0)

    def select(self, rows: NDArray[np.bool_]) -> "Centred":
        """Some of the runs, with the centres of all."""
        return Centred(self.x[rows], self.y[rows], self.z[rows], self.x0, self.y0, self.z0)

    def theta(self, q: Array) -> Array:
        """(E, A, B, alpha, beta) of the unknowns q (..., 5)."""
        e, a, b, alpha, beta = np.moveaxis(q, -1, 0)
        A, B = np.exp(a + self.z0 + alpha * self.x0), np.exp(b + self.z0 + beta * self.y0)
        return np.stack([e * np.exp(self.z0), A, B, alpha, beta], axis=-1)


def profile(runs: Centred, weights: Array, relative: Array | None = None) -> tuple[Array, Array]:
    """Best relative least squares at every grid point, for many weightings or many data sets.

    Parameters
    ----------
    weights : (R, n) or (1, n)
        Weight of each run in each row.
    relative : (R, n)
        Losses of each row divided by those of ``runs``; by default the losses of ``runs``.

    Returns
    -------
    squares : (R, 29, 29)
        Weighted sum of squared relative residuals, alpha by beta.
    linear : (R, 29, 29, 3)
        E, A, B in centred units; 0 where leaving the term out is the best non-negative solution.
    """
    aim = weights if relative is None else weights * relative
    squared = aim if relative is None else aim * relative
    inverse = np.exp(-runs.z)
    X = np.exp(-np.outer(runs.x, GRID)) * inverse[:, None]
    Y = np.exp(-np.outer(runs.y, GRID)) * inverse[:, None]
    cross = weights @ (X[:, :, None] * Y[:, None, :]).reshape(len(runs.x), -1)
    row, column = np.s_[:, :, None], np.s_[:, None, :]
    ee = (weights @ inverse**2)[:, None, None]
    ea, eb = (weights @ (X * inverse[:, None]))[row], (weights @ (Y * inverse[:, None]))[column]
    aa, bb = (weights @ X**2)[row], (weights @ Y**2)[column]
    ab = cross.reshape(len(weights), len(GRID), len(GRID))
    te, ta, tb = (aim @ inverse)[:, None, None], (aim @ X)[row], (aim @ Y)[column]
    total = squared.sum(axis=1)[:, None, None]
    zero = np.zeros((len(aim), len(GRID), len(GRID)))
    best, linear = np.full_like(zero, np.inf), np.zeros((*zero.shape, 3))
    with np.errstate(divide="ignore", invalid="ignore"):
        candidates = (
            _solve3(ee, ea, eb, aa, ab, bb, te, ta, tb),
            (zero, *_solve2(aa, ab, bb, ta, tb)),
            _place(_solve2(ee, eb, bb, te, tb), zero),
            (*_solve2(ee, ea, aa, te, ta), zero),
            (te / ee, zero, zero),
        )
        for e, a, b in candidates:
            squares = total - e * te - a * ta - b * tb
            good = (e >= 0) & (a >= 0) & (b >= 0) & (squares < best)
            best = np.where(good, squares, best)
            linear = np.where(
                good[..., None], np.stack(np.broadcast_arrays(e, a, b), axis=-1), linear
            )
    return best, linear


def _place(pair: tuple[Array, Array], zero: Array) -> tuple[Array, Array, Array]:
    return pair[0], zero, pair[1]


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


def unknowns(linear: Array, alpha: Array, beta: Array) -> Array:
    """Q (..., 5) inside the bounds from E, A, B (..., 3) of `profile` and the exponents."""
    with np.errstate(divide="ignore"):
        logs = np.log(linear[..., 1:])
    q = np.stack([linear[..., 0], logs[..., 0], logs[..., 1], alpha, beta], axis=-1)
    return np.asarray(np.clip(q, LOWER, UPPER))


def best_start(squares: Array, linear: Array) -> Array:
    """Unknowns (R, 5) at the smallest of ``squares`` (R, 29, 29), for what `profile` returned."""
    i, j = np.unravel_index(squares.reshape(len(squares), -1).argmin(axis=1), squares.shape[1:])
    return unknowns(linear[np.arange(len(squares)), i, j], GRID[i], GRID[j])


def start(runs: Centred, weights: Array) -> Array:
    """Best grid point per weight row (R, 5)."""
    return best_start(*profile(runs, weights))
