"""Tests whether two mixtures can share parameters of their laws, by default alpha and beta.

Two nested fits to the runs of both mixtures: one with common exponents, one with its own for each;
E, A and B are free in both. The statistic is the relative loss of fit, F = (S_shared - S_free) /
S_free, of the summed objective. Its distribution under equal exponents comes from the runs
themselves, since neither the Huber loss nor deviations from the law follow a textbook one:
residuals of the shared fit are flipped cell by cell and both laws are refitted (wild cluster
bootstrap with the six-point weights of Webb, doi 10.1111/caje.12661). A cell keeps its seeds and
both mixtures together, so what they share stays shared; what cells share with each other, such as
a pretrained trunk, is not allowed for.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from jetscale.scaling.engine.family import Family, check_shared
from jetscale.scaling.engine.forms import CHINCHILLA
from jetscale.scaling.engine.laws import Array
from jetscale.scaling.engine.logs import Centred
from jetscale.scaling.engine.objective import Objective
from jetscale.scaling.wild import WEBB

METHOD = (
    "shared against separate (alpha, beta), wild cluster bootstrap of the null over cells, "
    "Holm-corrected over pairs"
)
_EXACT = 1e-18
"""Objectives below this are rounding, not noise."""
_TOLERANCE = 1e-7
"""Relative precision of the objectives; the statistic is of order 0.1."""
_ROUNDING = 1e-6
"""Differences of the statistic below this are no evidence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JointTest:
    """Outcome of the test of shared parameters."""

    statistic: float
    p_value: float


class Pair:
    """The runs of both mixtures in common centred logs, with and without shared parameters."""

    def __init__(self, runs: Centred, second: NDArray[np.bool_], shared: Sequence[str]) -> None:
        """Take runs (n,) and which of them belong to the second mixture."""
        law = CHINCHILLA
        self.null = Family(law, runs, second.astype(np.intp), check_shared(law, shared))
        self.sides = [(rows, Family(law, runs.select(rows))) for rows in (~second, second)]

    def separate(self, objective: Objective, targets: Array) -> Array:
        """Summed objective (R,) of one fit per mixture to log losses (R, n)."""
        total = np.zeros(len(targets))
        for rows, side in self.sides:
            mine = targets[:, rows]
            fits = side.fit(np.ones_like(mine), objective, mine, tolerance=_TOLERANCE)
            total += fits.objective
        return total

    def unshared(self, objective: Objective, targets: Array, q: Array) -> Array:
        """The same from the shared optimum q (R, K): where it starts nothing can be worse."""
        total = np.zeros(len(targets))
        for number, (rows, side) in enumerate(self.sides):
            mine, start = targets[:, rows], q[:, self.null.slots[number]]
            fits = side.descend(start, np.ones_like(mine), objective, mine, tolerance=_TOLERANCE)
            total += fits.objective
        return total


def equal_exponents(
    first: pd.DataFrame,
    second: pd.DataFrame,
    delta: float,
    replicates: int,
    seed: int,
    shared: Sequence[str] = ("alpha", "beta"),
) -> JointTest:
    """Test equal (alpha, beta), or whatever else is ``shared``, of two mixtures on the same cells.

    ``shared`` is any subset of E, alpha and beta, or all five parameters.
    """
    runs = pd.concat([first, second], ignore_index=True)
    is_second = np.arange(len(runs)) >= len(first)
    logs = Centred.from_runs(runs)
    pair, objective = Pair(logs, is_second, shared), Objective("huber", delta)
    targets = logs.z[None]
    null = pair.null.fit(np.ones_like(targets), objective, tolerance=_TOLERANCE)
    best = np.minimum(pair.separate(objective, targets), pair.unshared(objective, targets, null.q))
    observed = _relative_loss(null.objective, best)[0]
    drawn = _null_statistics(pair, objective, null.q, runs["cell"].to_numpy(), replicates, seed)
    p_value = (1 + int((drawn >= observed - _ROUNDING).sum())) / (1 + replicates)
    return JointTest(statistic=float(observed), p_value=p_value)


def _relative_loss(shared: Array, separate: Array) -> Array:
    return np.asarray(np.maximum(shared - separate, 0.0) / np.maximum(separate, _EXACT))


def _null_statistics(
    pair: Pair,
    objective: Objective,
    q: Array,
    cells: NDArray[np.int64],
    replicates: int,
    seed: int,
) -> Array:
    """The statistic (replicates,) in data sets made from the shared fit q (1, K)."""
    rng = np.random.default_rng(seed)
    numbers, index = np.unique(cells, return_inverse=True)
    flips = rng.choice(WEBB, size=(replicates, len(numbers)))
    fitted = pair.null.design.log_loss(q)
    targets = fitted + flips[:, index] * (pair.null.runs.z - fitted)
    null = pair.null.fit(np.ones_like(targets), objective, targets, tolerance=_TOLERANCE)
    return _relative_loss(null.objective, pair.separate(objective, targets))
