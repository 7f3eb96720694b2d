"""Laws of several mixtures fitted together, with some of their parameters in common.

Every member of the family, a single mixture included, is fitted the same way: the grids of the
mixtures are added along what they share and searched separately along the rest, which gives the
start; `solver.polish` does the rest with the shared unknowns in common.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from jetscale.errors import FitError, unknown
from jetscale.scaling.engine.forms import Law
from jetscale.scaling.engine.laws import PARAMETERS, Array, Centred, Indices
from jetscale.scaling.engine.objective import Objective
from jetscale.scaling.engine.profile import Grid, Surface, unknowns
from jetscale.scaling.engine.solver import Design, Solution, chunks, polish

SHARED_AXES = {"E": 1, "alpha": 2, "beta": 3}
"""What mixtures may share short of everything, and its axis on a grid; further exponents of a law
have none: where they are shared, the descent finds them."""
_FLOORS = 13  # common floors tried


def check_shared(law: Law, shared: Sequence[str]) -> frozenset[str]:
    """What mixtures share: some of E and the exponents, or all parameters; else raises FitError."""
    asked = frozenset(shared) | frozenset(law.shared)
    for name in asked - set(law.parameters):
        raise FitError(unknown("shared parameter", name, law.parameters))
    *some, last = may = ("E", *law.deciding)
    if asked <= {*may} or asked >= set(PARAMETERS):
        return asked
    raise FitError(
        f"shared is {', '.join(sorted(asked))}: mixtures can share some of {', '.join(some)} and "
        f"{last}, or all parameters"
    )


class Family:
    """Runs of one or several mixtures and what their laws have in common."""

    def __init__(
        self,
        law: Law,
        runs: Centred,
        group: Indices | None = None,
        shared: frozenset[str] = frozenset(),
        slack: float = np.inf,
    ) -> None:
        """Take runs (n,) in common centred logs and the mixture of each, numbered from 0.

        No floor lies more than ``slack`` in log loss above the lowest loss of its mixtures.
        """
        self.law, self.runs = law, runs
        self.group = np.zeros(len(runs.x), dtype=np.intp) if group is None else group
        self.count = int(self.group.max()) + 1
        self.shared = shared if self.count > 1 else frozenset()
        self.pooled = self.count > 1 and shared >= set(PARAMETERS)
        self.slots = self._slots()
        places = self.slots[:1] if self.count == 1 else self.slots[self.group]
        self.design = Design(law, runs, places, slack=slack)

    def _slots(self) -> Indices:
        """(mixtures, P) places of the unknowns of each mixture in q."""
        slots = np.zeros((self.count, len(self.law.parameters)), dtype=np.intp)
        place = 0
        for p, name in enumerate(self.law.parameters):
            if name in self.shared:
                slots[:, p] = place
                place += 1
                continue
            extra = p >= len(PARAMETERS)
            owners = [g for g in range(self.count) if not extra or self.applies(g)]
            # Mixtures that do not use this parameter share the first user's slot; `theta` puts
            # a 0 in its place for them.
            slots[:, p] = place
            slots[owners, p] = place + np.arange(len(owners))
            place += len(owners)
        return slots

    def applies(self, group: int) -> bool:
        """Return whether the law's further parameters mean anything for a mixture."""
        return not self.law.extras or self.law.applies(self.runs.select(self.group == group))

    def theta(self, q: Array, group: int) -> Array:
        """Parameters (..., P) of one mixture from the unknowns (..., K)."""
        plain = self.law.theta(q[..., self.slots[group]], self.runs)
        if not self.applies(group):
            plain[..., len(PARAMETERS)] = 0.0  # nothing was transferred
        return plain

    def fit(
        self, weights: Array, objective: Objective, targets: Array | None = None, **options: float
    ) -> Solution:
        """Optima for every row of weights (R, n), each from the best point of its own grid.

        ``targets`` (R, n) are other centred log losses for the same runs.
        """
        # every other exponent will do: the descent reaches the same optima from there
        search, parts = _Search(self, stride=2), chunks(len(weights), len(self.runs.x))
        relative = None if targets is None else np.exp(targets - self.runs.z)
        starts = [
            search.start(weights[rows], None if relative is None else relative[rows])
            for rows in parts
        ]
        return self.descend(np.concatenate(starts), weights, objective, targets, (), **options)

    def descend(
        self,
        q: Array,
        weights: Array,
        objective: Objective,
        targets: Array | None = None,
        held: tuple[int, ...] = (),
        **options: float,
    ) -> Solution:
        """Optima reached from q (R, K); the unknowns at the places ``held`` stay as they are."""
        # narrow objectives are reached through wider ones, each from where the last one ended
        aims = self.runs.z[None] if targets is None else targets
        design = replace(self.design, held=held) if held else self.design
        widths = objective.widths
        found = polish(design, q, aims, weights, widths[0], **options)
        for width in widths[1:]:
            found = polish(design, found.q, aims, weights, width, **options)
        return found

    def starts(self) -> Array:
        """Starts of the point fit (S, K): the best in each of some 25 blocks of exponents."""
        # one start per block of the grid, not only the best: optima of other valleys are seen too
        search, one = _Search(self, stride=1), np.ones((1, len(self.runs.x)))
        count = len(self.law.exponents_tried)
        size = -(-count // 5)
        blocks = [slice(first, first + size) for first in range(0, count, size)]
        found = search.surfaces(one)
        starts = [search.pick(found, one, None, (i, j)) for i in blocks for j in blocks]
        return np.concatenate(starts)


_EVERYWHERE = slice(None), slice(None)


class _Search:
    def __init__(self, family: Family, stride: int) -> None:
        self.family = family
        whole = np.ones(len(family.runs.x), dtype=bool)
        groups = [whole] if family.pooled else [family.group == g for g in range(family.count)]
        floors = None
        if "E" in family.shared and not family.pooled:
            # a common floor has to be searched along: with its own floor each mixture solves for it
            floors = np.linspace(0, 0.99, _FLOORS) * np.exp(family.runs.z.min())
        self.sides = [
            (rows, Grid(family.law, family.runs.select(rows), stride, floors)) for rows in groups
        ]

    def surfaces(self, weights: Array, relative: Array | None = None) -> list[Surface]:
        return [
            grid.surface(weights[:, rows], None if relative is None else relative[:, rows])
            for rows, grid in self.sides
        ]

    def start(self, weights: Array, relative: Array | None) -> Array:
        return self.pick(self.surfaces(weights, relative), weights, relative)

    def pick(
        self,
        surfaces: list[Surface],
        weights: Array,
        relative: Array | None,
        block: tuple[slice, slice] = _EVERYWHERE,
    ) -> Array:
        """Unknowns (R, K) at the best point of each row inside a block of exponents."""
        family = self.family
        # the best grid point inside the block, then the linear unknowns solved there exactly
        inside = np.s_[:, :, block[0], block[1]]
        places = _lowest([s.squares[inside] for s in surfaces], family.shared)
        q = np.empty((len(places[0][0]), len(family.design.lower)))
        for number, (rows, grid) in enumerate(self.sides):
            f, i, j = places[number]
            at = f, i + (block[0].start or 0), j + (block[1].start or 0)
            v = grid.nonlinear(surfaces[number], at)
            floor = None if grid.floors is None else grid.floors[f]
            aims = None if relative is None else relative[:, rows]
            local = unknowns(family.law, grid.runs, weights[:, rows], v, aims, floor)
            q[:, family.slots[number]] = local
        if family.pooled:
            _fill_own(family, q, weights, relative)
        return q


def _lowest(squares: list[Array], shared: frozenset[str]) -> list[tuple[Indices, Indices, Indices]]:
    """Where the sum over mixtures is lowest: (floor, alpha, beta) of each row, per mixture."""
    # minimise each mixture over the axes that are its own, add what is left along the common ones,
    # and take the best common point; each mixture's own axes follow from it
    common = [axis for name, axis in SHARED_AXES.items() if name in shared]
    own = tuple(axis for axis in (1, 2, 3) if axis not in common)
    total = np.sum([s.min(axis=own, keepdims=True) for s in squares], axis=0)
    count = len(total)
    best = np.unravel_index(total.reshape(count, -1).argmin(axis=1), total.shape[1:])
    found = []
    for side in squares:
        there = side
        for axis in common:
            there = np.take_along_axis(there, best[axis - 1].reshape(-1, 1, 1, 1), axis=axis)
        at = list(np.unravel_index(there.reshape(count, -1).argmin(axis=1), there.shape[1:]))
        for axis in common:
            at[axis - 1] = best[axis - 1]
        found.append((at[0], at[1], at[2]))
    return found


def _fill_own(family: Family, q: Array, weights: Array, relative: Array | None) -> None:
    """Give each mixture its own best further parameters, the rest as pooled; changes q."""
    size, law = len(PARAMETERS), family.law
    if not law.extras or family.shared >= set(law.parameters):
        return
    tried = Grid(law, family.runs, stride=len(law.exponents_tried)).further
    targets = family.runs.z + (0.0 if relative is None else np.log(relative))
    for group in range(family.count):
        rows = family.group == group
        if not family.applies(group):
            continue
        design = Design.single(family.runs.select(rows), law)
        local = np.repeat(q[:, family.slots[0]][:, None], len(tried), axis=1)
        local[:, :, size:] = tried
        log_loss = design.log_loss(local.reshape(-1, local.shape[-1]))
        off = log_loss.reshape(len(q), len(tried), -1) - np.atleast_2d(targets)[:, None, rows]
        best = np.einsum("rcn,rn->rc", off**2, weights[:, rows]).argmin(axis=1)
        q[:, family.slots[group, size:]] = tried[best]
