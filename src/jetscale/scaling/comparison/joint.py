"""Nested tests of what the laws of two mixtures have in common.

The statistic is the relative loss of fit of the summed objective, F = (S_shared - S_free) / S_free.
Neither the Huber loss nor deviations from the law follow a textbook null, so both laws are refitted
to the shared one with redrawn deviations: a smooth misfit and effects of cells, runs and trunks
(`components`). What a law misses is no noise of cells: with a random factor for the residuals of
each cell (CR2), exponents that are equal were called different in half of all studies of 57 cells
that miss the law smoothly by 0.5%.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from scipy import stats

from jetscale.scaling.comparison.claims import SIGNIFICANT
from jetscale.scaling.engine.family import Family, check_shared
from jetscale.scaling.engine.forms import CHINCHILLA, Law
from jetscale.scaling.engine.laws import PARAMETERS, Array, Centred
from jetscale.scaling.engine.objective import Objective
from jetscale.scaling.engine.solver import Solution
from jetscale.scaling.outlook import Simulations

_METHOD = "shared against separate (alpha, beta), null with {}, Holm-corrected over pairs"
METHOD = _METHOD.format("a redrawn smooth misfit and effects of cells and runs")
METHOD_TRUNKS = _METHOD.format("a redrawn smooth misfit and effects of trunks, cells and runs")
QUESTIONS: dict[tuple[str, ...], str] = {  # by the parameters shared under the null hypothesis
    PARAMETERS: "is one law enough for both mixtures?",
    ("alpha", "beta"): "are alpha and beta equal?",
    ("alpha",): "is alpha equal?",
    ("beta",): "is beta equal?",
    ("E",): "is the floor E equal?",
}
EXPONENTS = CHINCHILLA.deciding
_EXACT = 1e-18  # objectives below this are rounding, not noise
_TOLERANCE = 1e-6  # relative precision of the objectives; statistics that matter are of order 0.1
_STOPS, _HITS, _CLEAR = (99, 299), 20, 0.15
"""Replicates after which a test may stop, and the hits and share of hits that let it."""
_FEW, _ENOUGH = 10, 499  # hits below which a p-value by counting is rough; draws with a tail
_ROUNDING = 1e-6  # differences of the statistic below this are no evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class NestedTest:
    """Outcome of one test of a pair."""

    shared: tuple[str, ...]  # parameters both mixtures have in common under the null hypothesis
    question: str  # the same in words
    statistic: float  # relative loss of fit by sharing
    p_value_uncorrected: float
    p_value: float  # Holm-corrected over the pairs of the study


class Pair:
    """The runs of two mixtures on the same cells, fitted with and without shared parameters."""

    def __init__(
        self,
        first: pd.DataFrame,
        second: pd.DataFrame,
        law: Law,
        objective: Objective,
        by_trunk: bool = False,
    ) -> None:
        """Take rows of a clean run table; ``by_trunk`` where runs that share a trunk depend."""
        self.law, self.objective, self.by_trunk = law, objective, by_trunk
        self.runs = pd.concat([first, second], ignore_index=True)
        self.logs = Centred.from_runs(self.runs)
        self.second = np.arange(len(self.runs)) >= len(first)
        halves = (~self.second, self.second)
        self.sides = [(rows, Family(law, self.logs.select(rows))) for rows in halves]

    @cached_property
    def _alone(self) -> list[Solution]:
        """A fit per mixture, from a grid of starts."""
        weights = [np.ones((1, len(side.runs.x))) for _, side in self.sides]
        return [
            side.fit(one, self.objective, tolerance=_TOLERANCE)
            for one, (_, side) in zip(weights, self.sides, strict=True)
        ]

    @cached_property
    def free(self) -> Array:
        """Objective (1,) of a fit per mixture."""
        return np.asarray(np.sum([fits.objective for fits in self._alone], axis=0))

    @cached_property
    def _effects(self) -> list[Simulations]:
        """What the residuals of each mixture are made of."""
        return [
            Simulations(side, fits.q, self.runs[rows], self.objective, 0, 0, self.by_trunk)
            for fits, (rows, side) in zip(self._alone, self.sides, strict=True)
        ]

    def deviations(self, count: int, seed: int) -> Array:
        """Return redrawn deviations (count, n) of the runs from the laws.

        Draws match between mixtures that were run on the same cells, as in the intervals. A misfit
        of every size that the runs allow counts. Limited to what intervals count, it would let the
        test reject equal exponents in a third of studies with a misfit of 1%, where it is 7%.
        """
        first, second = (set(self.runs["cell"][rows]) for rows, _ in self.sides)
        seeds = ([seed], [seed]) if first == second else ([seed, 0], [seed, 1])
        return np.hstack(
            [
                made.deviations(count, own, limited=False)
                for made, own in zip(self._effects, seeds, strict=True)
            ]
        )

    def sharing(self, shared: tuple[str, ...]) -> Family:
        """Both mixtures with these parameters in common."""
        common = check_shared(self.law, self.law.parameters if shared == PARAMETERS else shared)
        return Family(self.law, self.logs, self.second.astype(np.intp), common)

    def separate(self, targets: Array, starts: tuple[Array, Array] | None = None) -> Array:
        """Objective (R,) of a fit per mixture to (R, n), from a grid or (R, P) starts each."""
        total = np.zeros(len(targets))
        for number, (rows, side) in enumerate(self.sides):
            mine = targets[:, rows]
            one = np.ones_like(mine)
            if starts is None:
                fits = side.fit(one, self.objective, mine, tolerance=_TOLERANCE)
            else:
                fits = side.descend(starts[number], one, self.objective, mine, tolerance=_TOLERANCE)
            total += fits.objective
        return total


def questions(law: Law) -> dict[tuple[str, ...], str]:
    """`QUESTIONS` of a law: one without floor has none to share, others have more exponents."""
    found = {q: text for q, text in QUESTIONS.items() if law.largest_floor > 0 or q != ("E",)}
    if law.deciding == EXPONENTS:
        return found
    more = law.deciding, f"are {', '.join(law.deciding[:-1])} and {law.deciding[-1]} equal?"
    return dict(more if q == EXPONENTS else (q, text) for q, text in found.items())


def nested_test(
    pair: Pair, shared: tuple[str, ...], replicates: int, seed: int, hypotheses: int = 1
) -> NestedTest:
    """Test one of `questions` on one pair, of several that the p-value is not corrected for."""
    null = pair.sharing(shared)
    z = pair.logs.z[None]
    found = null.fit(np.ones_like(z), pair.objective, tolerance=_TOLERANCE)
    free = np.minimum(pair.free, pair.separate(z, _halves(null, found.q)))
    observed = float(_relative_loss(found.objective, free)[0])
    # Data sets made from the shared fit say how large F is by chance. Both fits start at the law
    # the data were made from: a grid of starts finds the same optima at twice the cost.
    targets = null.design.log_loss(found.q) + pair.deviations(replicates, seed)

    def draw(rows: slice) -> Array:
        part = targets[rows]
        one, start = np.ones_like(part), np.repeat(found.q, len(part), axis=0)
        refits = null.descend(start, one, pair.objective, part, tolerance=_TOLERANCE)
        return _relative_loss(refits.objective, pair.separate(part, _halves(null, refits.q)))

    p_value = sequential(draw, observed - _ROUNDING, replicates, hypotheses)
    p_values = {"p_value_uncorrected": p_value, "p_value": p_value}
    return NestedTest(
        shared=shared, question=questions(pair.law)[shared], statistic=observed, **p_values
    )


def sequential(
    draw: Callable[[slice], Array], observed: float, replicates: int, hypotheses: int = 1
) -> float:
    """Return the p-value of a statistic that ``draw`` simulates, row by row, with the null.

    As many replicates as tell a large p-value from 0.05 are enough (Besag and Clifford, Biometrika
    78, 1991, 301); a small one gets all of them. Where even none above the observed value would
    leave it too large for so many hypotheses, the tail is extrapolated, see `tail`.
    """
    drawn = np.empty(0)
    for end in (*(stop for stop in _STOPS if stop < replicates), replicates):
        drawn = np.append(drawn, draw(slice(len(drawn), end)))
        hits = int((drawn >= observed).sum())
        if hits >= _HITS and hits >= _CLEAR * len(drawn):
            break
    p_value = (1 + hits) / (1 + len(drawn))
    coarse = replicates >= _ENOUGH and (1 + replicates) * SIGNIFICANT < 2 * hypotheses
    return tail(drawn, observed) if coarse and hits < _FEW else p_value


def tail(drawn: Array, observed: float) -> float:
    """Return a p-value below the resolution of the draws, at most ten times finer.

    A generalised Pareto tail by moments of the largest tenth (Knijnenburg et al., Bioinformatics
    25, 2009, i161). Of 1000 draws, p-values below 0.05 / 66 come 1.3 to 1.7 times as often as they
    should where the statistic is F (benchmarks/mixtures.md).
    """
    count = max(2, len(drawn) // 10)
    largest = np.sort(drawn)[-count - 1 :]
    start = largest[:2].mean()
    over = largest[1:] - start
    mean, ratio = over.mean(), over.mean() ** 2 / max(over.var(ddof=1), _EXACT)
    beyond = stats.genpareto.sf(observed - start, (1 - ratio) / 2, scale=mean * (1 + ratio) / 2)
    return max(count / len(drawn) * float(beyond), 0.1 / (1 + len(drawn)))


def _halves(null: Family, q: Array) -> tuple[Array, Array]:
    return q[:, null.slots[0]], q[:, null.slots[1]]


def _relative_loss(shared: Array, separate: Array) -> Array:
    return np.asarray(np.maximum(shared - separate, 0.0) / np.maximum(separate, _EXACT))
