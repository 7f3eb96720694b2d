"""Tests whether two mixtures can share the exponents alpha and beta.

Two nested fits to the runs of both mixtures: one with common alpha and beta, one with its own for
each; E, A and B are free in both. The statistic is the relative loss of fit, F = (S_shared -
S_free) / S_free, of the summed Huber objective. Its distribution under equal exponents comes from
the runs themselves, since neither the Huber loss nor deviations from the law follow a textbook
one: residuals of the shared fit are flipped cell by cell and both laws are refitted (wild cluster
bootstrap with the six-point weights of Webb, doi 10.1111/caje.12661). A cell keeps its seeds and
both mixtures together, so what they share stays shared; what cells share with each other, such as
a pretrained trunk, is not allowed for.
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from jetscale.scaling.laws import Array
from jetscale.scaling.profile import Centred, best_start, profile
from jetscale.scaling.solver import Design, Solution, polish

METHOD = (
    "shared against separate (alpha, beta), wild cluster bootstrap of the null over cells, "
    "Holm-corrected over pairs"
)
_SHARED = np.array([[0, 1, 2, 6, 7], [3, 4, 5, 6, 7]])
"""Places of (e, a, b, alpha, beta) of each mixture among the eight unknowns of the shared fit."""
_ROWS = 250
"""Data sets handled at once."""
_EXACT = 1e-18
"""Objectives below this are rounding, not noise."""
_TOLERANCE = 1e-7
"""Relative precision of the objectives; the statistic is of order 0.1."""
_ROUNDING = 1e-6
"""Differences of the statistic below this are no evidence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JointTest:
    """Outcome of the test of equal exponents."""

    statistic: float
    p_value: float


@dataclass(frozen=True, slots=True)
class _Pair:
    """The runs of both mixtures in common centred logs."""

    logs: Centred
    sides: tuple[NDArray[np.bool_], NDArray[np.bool_]]
    """(n,) runs of the first and of the second mixture."""
    delta: float

    @property
    def shared(self) -> Design:
        """One alpha and beta, two sets of (E, A, B)."""
        return Design(self.logs.x, self.logs.y, _SHARED[self.sides[1].astype(int)])

    def fit_shared(self, q: Array, targets: Array) -> Solution:
        """Optima with shared exponents from q (R, 8), for log losses (R, n)."""
        return polish(self.shared, q, targets, np.ones_like(targets), self.delta, _TOLERANCE)

    def fit_separate(self, q: tuple[Array, Array], targets: Array) -> Array:
        """Summed objective (R,) of one fit per mixture, from its q (R, 5)."""
        total = np.zeros(len(targets))
        for rows, start in zip(self.sides, q, strict=True):
            part, z = Design.single(self.logs.select(rows)), targets[:, rows]
            total += polish(part, start, z, np.ones_like(z), self.delta, _TOLERANCE).objective
        return total


def equal_exponents(
    first: pd.DataFrame, second: pd.DataFrame, delta: float, replicates: int, seed: int
) -> JointTest:
    """Test equal (alpha, beta) of two mixtures run on the same cells."""
    runs = pd.concat([first, second], ignore_index=True)
    is_second = np.arange(len(runs)) >= len(first)
    logs = Centred.of(*(runs[name].to_numpy() for name in ("params", "examples", "loss")))
    pair = _Pair(logs, (~is_second, is_second), delta)
    shared, own = _starts(pair, np.ones((1, len(runs))))
    null = pair.fit_shared(shared, logs.z[None])
    separate = np.minimum(
        pair.fit_separate(own, logs.z[None]), pair.fit_separate(_unshare(null.q), logs.z[None])
    )
    observed = _relative_loss(null.objective, separate)[0]
    drawn = _null_statistics(pair, null.q, runs["cell"].to_numpy(), replicates, seed)
    p_value = (1 + int((drawn >= observed - _ROUNDING).sum())) / (1 + replicates)
    return JointTest(statistic=float(observed), p_value=p_value)


def _starts(pair: _Pair, relative: Array) -> tuple[Array, tuple[Array, Array]]:
    """Best grid points with shared exponents (R, 8) and with separate ones, (R, 5) each.

    ``relative`` (R, n) are the losses of each data set divided by those of the pair.
    """
    squares, linear = [], []
    for rows in pair.sides:
        fits = profile(pair.logs.select(rows), np.ones((1, int(rows.sum()))), relative[:, rows])
        squares.append(fits[0])
        linear.append(fits[1])
    common = [best_start(squares[0] + squares[1], terms) for terms in linear]
    own = [best_start(mine, terms) for mine, terms in zip(squares, linear, strict=True)]
    shared = np.concatenate([common[0][:, :3], common[1][:, :3], common[0][:, 3:]], axis=1)
    return shared, (own[0], own[1])


def _unshare(q: Array) -> tuple[Array, Array]:
    """The shared unknowns (R, 8) written out for each mixture, (R, 5) each."""
    return q[:, _SHARED[0]], q[:, _SHARED[1]]


def _relative_loss(shared: Array, separate: Array) -> Array:
    return np.asarray(np.maximum(shared - separate, 0.0) / np.maximum(separate, _EXACT))


def _null_statistics(
    pair: _Pair, q: Array, cells: NDArray[np.int64], replicates: int, seed: int
) -> Array:
    """The statistic (replicates,) in data sets made from the shared fit q (1, 8)."""
    rng = np.random.default_rng(seed)
    numbers, index = np.unique(cells, return_inverse=True)
    size = np.sqrt([0.5, 1.0, 1.5])
    flips = rng.choice(np.concatenate([-size, size]), size=(replicates, len(numbers)))
    fitted = pair.shared.log_loss(q)
    made = replace(pair, logs=replace(pair.logs, z=fitted[0]))
    drawn = []
    for first in range(0, replicates, _ROWS):
        residuals = flips[first : first + _ROWS, index] * (pair.logs.z - fitted)
        shared, own = _starts(made, np.exp(residuals))
        null = made.fit_shared(shared, fitted + residuals)
        separate = made.fit_separate(own, fitted + residuals)
        drawn.append(_relative_loss(null.objective, separate))
    return np.concatenate(drawn)
