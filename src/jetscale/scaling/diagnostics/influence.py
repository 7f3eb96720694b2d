"""Leave one cell out: whether the exponent rests on a single cell.

The law is refitted without each cell in turn, its seeds together, with all mixtures that share
parameters. A cell that moves the exponent by more than half its 95% interval decides the answer and
deserves a second look (and a second seed).
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from jetscale.scaling.cost import CostModel
from jetscale.scaling.diagnostics.batch import Batch
from jetscale.scaling.engine.laws import Array
from jetscale.scaling.fitted import MixtureFit

# cells the law is fitted again without: at most, at least, and the runs of all these fits together
_MOST, _FEWEST, _RUNS = 200, 20, 400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class CellInfluence:
    """What leaving out one cell does; nan where the refit is degenerate."""

    params: float
    examples: float
    exponent_shift: float  # of the exponent a of N*: without the cell minus with it
    params_log_ratio: float  # log N*(without) - log N*(with) at the budget
    relative_shift: float  # the shift of a in units of half its 95% interval
    reason: str = ""  # why there is no number


@dataclass(frozen=True, slots=True, kw_only=True)
class Influence:
    """Leave-one-cell-out of one mixture."""

    cells: tuple[CellInfluence, ...]  # by params, then examples
    budget: float  # FLOPs at which N* is compared: the geometric middle of the measured compute
    worst: CellInfluence | None  # the cell that moves a most; None where no refit succeeded
    flagged: bool  # True where the worst shift exceeds half the interval
    json_also: ClassVar[tuple[str, ...]] = ("text",)

    @property
    def text(self) -> str:
        """One line for a reader."""
        if (cell := self.worst) is None:
            return "no refit without a cell succeeded"
        lost = sum(bool(cell.reason) for cell in self.cells)
        tail = f"; without {lost} of {len(self.cells)} cells the law is not determined"
        return (
            f"leaving out the cell N = {cell.params:.3g}, D = {cell.examples:.3g} moves a by "
            f"{cell.exponent_shift:+.3f}, {abs(cell.relative_shift):.2f} of half its interval"
            + (tail if lost else "")
        )


def _without_each(
    batch: Batch, group: int, numbers: NDArray[np.intp]
) -> tuple[Array, NDArray[np.bool_]]:
    """Unknowns (cells, K) without each cell, and whether that fit lost a term.

    The cells that matter most to first order are refitted without; for the rest one step of
    Newton's method is exact enough (Cook, doi 10.1080/00401706.1977.10489493).
    """
    family, design = batch.family, batch.family.design
    free = ~design.fixed & (batch.q[0] > design.lower) & (batch.q[0] < design.upper)
    J, off, delta = design.jacobian(batch.q)[0][free], batch.residuals(), batch.objective.widths[-1]
    scale = np.maximum(np.linalg.norm(J, axis=1), np.finfo(float).tiny)
    J = J / scale[:, None]
    curvature = np.minimum(1.0, delta / np.maximum(np.abs(off), np.finfo(float).tiny))
    pulls = (J * np.clip(off, -delta, delta)).T
    place = np.searchsorted(numbers, batch.cells)
    own = (place < len(numbers)) & (numbers[np.minimum(place, len(numbers) - 1)] == batch.cells)
    lost_pull = np.zeros((len(numbers), len(J)))
    np.add.at(lost_pull, place[own], pulls[own])
    steps = -lost_pull @ np.linalg.pinv((J * curvature) @ J.T)
    q, lost = np.repeat(batch.q, len(numbers), axis=0), np.zeros(len(numbers), dtype=bool)
    q[:, free] = np.clip(q[:, free] + steps / scale, design.lower[free], design.upper[free])
    count = min(_MOST, max(_FEWEST, _RUNS // len(batch.cells)))
    first = np.argsort(-np.abs(steps).max(axis=1), kind="stable")[:count]
    found = family.fit((batch.cells[None] != numbers[first, None]).astype(float), batch.objective)
    low = found.low[:, family.slots[group]]
    q[first], lost[first] = found.q, low[:, 1] | low[:, 2] | ~found.converged
    return q, lost


def influence(batch: Batch, fitted: MixtureFit, cost: CostModel) -> Influence:
    """Refit without each cell of one mixture of the batch."""
    group = batch.names.index(fitted.mixture)
    own = np.flatnonzero(batch.family.group == group)
    numbers, first = np.unique(batch.cells[own], return_index=True)
    q, lost = _without_each(batch, group, numbers)
    theta = np.where(lost[:, None], np.nan, batch.family.theta(q, group))
    budget = float(np.sqrt(np.prod(fitted.window["flops"])))
    # the exponent of N* and N* itself, of the whole fit (row 0) and of each refit
    law, both = fitted.law, np.concatenate([fitted.theta[None], theta])
    exponents = law.exponents(both, cost, budget)[0]
    exponent = np.where(lost, np.nan, exponents[1:] - exponents[0])
    with np.errstate(divide="ignore", invalid="ignore"):
        held = law.held(batch.runs.iloc[own])
        sizes = np.log(law.optimum(both, budget, cost, **held).params)
        ratio = sizes[1:] - sizes[0]
    ratio = np.where(lost | ~np.isfinite(ratio), np.nan, ratio)
    ends = fitted.frontier["params_exponent"]
    relative = exponent / max((ends.high - ends.low) / 2, np.finfo(float).tiny)
    sizes = batch.runs[["params", "examples"]].to_numpy()[own[first]].tolist()
    cells = tuple(
        CellInfluence(
            params=sizes[i][0],
            examples=sizes[i][1],
            exponent_shift=float(exponent[i]),
            params_log_ratio=float(ratio[i]),
            relative_shift=float(relative[i]),
            reason="the refit lost a term of the law or did not converge" if lost[i] else "",
        )
        for i in range(len(numbers))
    )
    worst = None if lost.all() else cells[int(np.nanargmax(np.abs(exponent)))]
    flagged = bool(worst and abs(worst.relative_shift) > 1)
    return Influence(cells=cells, budget=budget, worst=worst, flagged=flagged)
