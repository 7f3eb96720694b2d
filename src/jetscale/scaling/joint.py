"""Tests whether two mixtures can share the exponents alpha and beta.

Two nested fits to the runs of both mixtures: one with common alpha and beta, one with its own for
each; E, A and B are free in both. The statistic is the relative loss of fit, F = (S_shared -
S_free) / S_free, of the summed Huber objective. Its distribution under equal exponents comes from
the runs themselves, since neither the Huber loss nor deviations from the law follow a textbook
one: residuals of the shared fit are flipped cell by cell and both laws are refitted (wild cluster
bootstrap with the six-point weights of Webb, doi 10.1111/caje.12661). A cell keeps its seeds and
both mixtures together, so what they share stays shared.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from jetscale.scaling.laws import Array
from jetscale.scaling.profile import GRID, Centred, profile, unknowns
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
_ROUNDING = 1e-9
"""Nor are differences of the statistic below this."""


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
        return polish(self.shared, q, targets, np.ones_like(targets), self.delta)

    def fit_separate(self, q: tuple[Array, Array], targets: Array) -> Array:
        """Summed objective (R,) of one fit per mixture, from its q (R, 5)."""
        total = np.zeros(len(targets))
        for rows, start in zip(self.sides, q, strict=True):
            part, z = Design.single(self.logs.select(rows)), targets[:, rows]
            total += polish(part, start, z, np.ones_like(z), self.delta).objective
        return total


def equal_exponents(
    first: pd.DataFrame, second: pd.DataFrame, delta: float, replicates: int, seed: int
) -> JointTest:
    """Test equal (alpha, beta) of two mixtures run on the same cells."""
    runs = pd.concat([first, second], ignore_index=True)
    is_second = np.arange(len(runs)) >= len(first)
    logs = Centred.of(*(runs[name].to_numpy() for name in ("params", "examples", "loss")))
    pair = _Pair(logs, (~is_second, is_second), delta)
    shared, own = _starts(pair)
    null = pair.fit_shared(shared, logs.z[None])
    separate = np.minimum(
        pair.fit_separate(own, logs.z[None]), pair.fit_separate(_unshare(null.q), logs.z[None])
    )
    observed = _relative_loss(null.objective, separate)[0]
    drawn = _null_statistics(pair, null.q, runs["cell"].to_numpy(), replicates, seed)
    p_value = (1 + int((drawn >= observed - _ROUNDING).sum())) / (1 + replicates)
    return JointTest(statistic=float(observed), p_value=p_value)


def _starts(pair: _Pair) -> tuple[Array, tuple[Array, Array]]:
    """Best grid point with shared exponents (1, 8) and with separate ones, (1, 5) each."""
    profiles = []
    for rows in pair.sides:
        part = pair.logs.select(rows)
        squares, linear = profile(part, np.ones((1, len(part.x))))
        profiles.append((squares[0], linear[0]))
    i, j = np.unravel_index((profiles[0][0] + profiles[1][0]).argmin(), profiles[0][0].shape)
    common = [unknowns(linear[i, j], GRID[i], GRID[j]) for _, linear in profiles]
    own = []
    for squares, linear in profiles:
        k, m = np.unravel_index(squares.argmin(), squares.shape)
        own.append(unknowns(linear[k, m], GRID[k], GRID[m])[None])
    shared = np.concatenate([common[0][:3], common[1][:3], common[0][3:]])
    return shared[None], (own[0], own[1])


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
    drawn = []
    for first in range(0, replicates, _ROWS):
        rows = flips[first : first + _ROWS, index]
        targets = fitted + rows * (pair.logs.z - fitted)
        null = pair.fit_shared(np.repeat(q, len(rows), axis=0), targets)
        separate = pair.fit_separate(_unshare(null.q), targets)
        drawn.append(_relative_loss(null.objective, separate))
    return np.concatenate(drawn)
