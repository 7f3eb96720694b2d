"""Refits to simulated data, and what they say beyond the data: law plus misfit.

`Simulations` are those of the mixtures of one `Family`. Two refits come of each: to the law with
redrawn effects, which shows how far the parameters scatter, misfit included, and to the runs less
a misfit that agrees with them, which with this misfit is one view of the loss at any sizes.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from jetscale.scaling.components import components
from jetscale.scaling.engine.family import Family
from jetscale.scaling.engine.forms import Law
from jetscale.scaling.engine.laws import Array
from jetscale.scaling.engine.objective import Objective
from jetscale.scaling.engine.solver import Solution
from jetscale.scaling.estimate import Estimate, Z, widening
from jetscale.scaling.kinds import cells_of, trunks_of
from jetscale.scaling.misfit import Basis

# what is left after outliers and misfit are taken out has no tails
_SQUARES = Objective("squares", 1.0)
_MANY = 2_000_000  # values of refits; beyond, effects are so small that one linear step is exact
_FAR = 2.0  # half windows from the middle, beyond which noise changes no more
_BLOCK = 4_000_000  # values simulated at once


class Simulations:
    """Data sets like the runs of a family around its optimum q (1, K), and refits to them."""

    def __init__(
        self,
        family: Family,
        q: Array,
        runs: pd.DataFrame,
        objective: Objective,
        replicates: int,
        seed: int,
        by_trunk: bool,
    ) -> None:
        """Take what was fitted, how often to simulate it, and whether trunks count."""
        self.family, self.q, self.objective = family, q, objective
        self.replicates, self.seed = replicates, seed
        design = family.design
        residuals = family.runs.z - design.log_loss(q)[0]
        self.free = (q[0] > design.lower) & (q[0] < design.upper)
        self.J = design.jacobian(q)[0][self.free].T
        # by cell and seed: draws match between mixtures, and the order of the table does not matter
        order = np.lexsort((runs["seed"], runs["cell"]))
        self.rows = [order[family.group[order] == group] for group in range(family.count)]
        self.components, self.wide = [], np.empty(len(residuals))
        self.weight = np.empty(len(residuals))  # of a run where its noise counts
        for rows in self.rows:
            own, own_J = runs.iloc[rows], self.J[rows]
            sizes = own["params"].to_numpy(), own["examples"].to_numpy()
            trunks, cells = trunks_of(own) if by_trunk else None, cells_of(own)
            used = own_J[:, (own_J != 0).any(axis=0)]
            parts = components(used, residuals[rows], sizes, cells, trunks)
            self.components.append(parts)
            self.weight[rows] = parts.root**-2 / (parts.root**-2).mean()
            # `percentile_interval` widens for the cells; the draws have Student's tails already
            self.wide[rows] = widening(Z, len(cells.sizes))

    def deviations(self, count: int, seed: list[int], limited: bool = True) -> Array:
        """Redrawn deviations (count, n) from the laws.

        The misfit is ``limited`` to what parameters are taken to be moved by, see
        `Components.seen`, or of every size that the runs allow.
        """
        total = np.empty((count, len(self.wide)))
        for rows, parts in zip(self.rows, self.components, strict=True):
            drawn = parts.draw(count, seed)
            smooth = parts.seen(drawn) if limited else drawn.smooth
            total[:, rows] = smooth @ parts.smooth.T + drawn.rest
        return total

    def _blocks(self) -> list[int]:
        size = max(1, _BLOCK // len(self.wide))
        full, rest = divmod(self.replicates, size)
        return [size] * full + [rest] * (rest > 0)

    def _refit(self, off: Array, everywhere: bool) -> Solution:
        """Laws fitted to the optimum plus deviations (R, n), from a grid of starts if asked to."""
        if off.shape[0] == 0 or self.replicates * off.shape[1] <= _MANY:
            targets, one = self.family.design.log_loss(self.q) + off, np.ones_like(off)
            if everywhere:
                return self.family.fit(one, self.objective, targets)
            # what is less noisy says more: the misfit was told from the law with these weights
            start = np.repeat(self.q, len(off), axis=0)
            return self.family.descend(start, one * self.weight, _SQUARES, targets)
        design, q = self.family.design, np.repeat(self.q, len(off), axis=0)
        root = np.ones(len(self.weight)) if everywhere else np.sqrt(self.weight)
        J, off = self.J * root[:, None], off * root
        size = np.linalg.norm(J, axis=0)
        q[:, self.free] += off @ np.linalg.pinv(J / size).T / size
        q = np.clip(q, design.lower, design.upper)
        low, high = (q <= design.lower) & ~design.fixed, (q >= design.upper) & ~design.fixed
        return Solution(q, np.zeros(len(q)), np.ones(len(q), dtype=bool), low, high)

    @cached_property
    def around(self) -> Solution:
        """Refits (R, K) to the law with redrawn effects."""
        ends = []
        for number, count in enumerate(self._blocks()):
            off = self.wide * self.deviations(count, [self.seed, number])
            ends.append(self._refit(off, everywhere=True))
        return _joined(ends)

    @cached_property
    def beyond(self) -> list["Seen"]:
        """The views of each mixture: refits to the runs less a misfit that agrees with them."""
        off = np.zeros((1, len(self.wide)))
        for rows, parts in zip(self.rows, self.components, strict=True):
            off[0, rows] = parts.along - parts.smooth @ parts.mean
        refits = [self._refit(off, everywhere=False).q]
        smooth = [[parts.mean[None]] for parts in self.components]
        cell: list[list[Array]] = [[] for _ in self.components]
        variance: list[list[Array]] = [[] for _ in self.components]
        trunk: list[list[Array]] = [[] for _ in self.components]
        for number, count in enumerate(self._blocks()):
            off = np.empty((count, len(self.wide)))
            for group, (rows, parts) in enumerate(zip(self.rows, self.components, strict=True)):
                own, scale = parts.draw(count, [self.seed, number]), self.wide[rows[0]]
                found = parts.mean + scale * (parts.posterior(own) - parts.mean)
                off[:, rows] = parts.along - found @ parts.smooth.T - scale * own.rest
                smooth[group].append(found)
                cell[group].append(parts.grid[own.point, 0])
                variance[group].append(own.variance)
                trunk[group].append(parts.grid[own.point, 1:3])
            refits.append(self._refit(off, everywhere=False).q)
        q = np.concatenate(refits)
        return [
            Seen(
                law=self.family.law,
                theta=self.family.theta(q, group),
                smooth=np.concatenate(smooth[group]),
                basis=parts.basis,
                slopes=parts.slopes,
                cell=np.concatenate(cell[group]),
                variance=np.concatenate(variance[group]),
                trunk=np.concatenate(trunk[group]),
            )
            for group, parts in enumerate(self.components)
        ]


def _joined(parts: list[Solution]) -> Solution:
    if len(parts) == 1:
        return parts[0]
    names = ("q", "objective", "converged", "low", "high")
    return Solution(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """The views of one mixture: laws with the misfit that was taken out for each of them."""

    law: Law
    theta: Array  # (1 + R, P) parameters, the first with the mean misfit
    smooth: Array  # (1 + R, K) coefficients of the misfit
    basis: Basis
    slopes: Array  # (2,) of log variance over places of the basis
    cell: Array  # (R,) variance of a cell over that of a run
    variance: Array  # (R,) of a run
    trunk: Array  # (R, 2) variances of levels and slopes of trunks over that of a run


@dataclass(frozen=True, slots=True, eq=False)
class Outlook:
    """Loss of one mixture at any sizes: its law and its misfit, in the fit and each replicate."""

    source: Simulations | Seen  # refits are made when the first question is asked
    group: int  # of the mixture in the family
    cells: int
    stretch: float = 1.0  # of the errors beyond the window, as runs held out there ask for

    @property
    def seen(self) -> Seen:
        """What the answers are made from."""
        return self.source if isinstance(self.source, Seen) else self.source.beyond[self.group]

    def losses(self, params: ArrayLike, examples: ArrayLike, **at: ArrayLike) -> Array:
        """Expected losses (..., 1 + R) at sizes and covariates (..., 1 or 1 + R).

        The first is the best guess, the others are replicates in the order of those of the fit.
        """
        seen = self.seen
        off = (seen.basis.at(params, examples) * seen.smooth).sum(axis=-1)
        logs = np.log(seen.law.loss(seen.theta, params, examples, **at)) + off
        if self.stretch > 1:
            outside = np.abs(seen.basis.place(params, examples)).max(axis=-1) > 1
            best = logs[..., :1]
            logs = best + np.where(outside, self.stretch, 1.0) * (logs - best)
        return np.asarray(np.exp(logs))

    def expected(self, params: float, examples: float, **at: float) -> Estimate:
        """Expected loss at these sizes with its 95% interval."""
        value, *draws = self.losses(params, examples, **at)
        return Estimate.of(value, np.array(draws), self.cells)

    def noise(self, params: ArrayLike, examples: ArrayLike, seeds: ArrayLike) -> Array:
        """Standard deviations (k, R) of mean log losses of ``seeds`` runs at sizes (k,).

        Where trunks differ, each seed has one of its own.
        """
        seen = self.seen
        place = np.clip(seen.basis.place(params, examples), -_FAR, _FAR)
        share = 1 / np.asarray(seeds, dtype=float)
        own = np.exp(place @ seen.slopes) * (seen.cell[:, None] + share)
        own += share * (seen.trunk[:, :1] + seen.trunk[:, 1:] * place[:, 1] ** 2)
        return np.asarray(np.sqrt(seen.variance[:, None] * own)).T
