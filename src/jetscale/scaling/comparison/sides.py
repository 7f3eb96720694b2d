"""Two mixtures fitted to their common cells, and what differs between them, with intervals.

Both sides of a replicate see the same draw, so what a cell does to both cancels. They are fitted
with a floor E each and with one for both, because floor and exponents trade off.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from jetscale.scaling import bootstrap
from jetscale.scaling.cost import CostModel
from jetscale.scaling.engine.forms import Law, law_named
from jetscale.scaling.engine.laws import Array
from jetscale.scaling.estimate import Estimate
from jetscale.scaling.fit import fit_together, shortage
from jetscale.scaling.fitted import MixtureFit, StudyFit

_REPLICATES = 499  # of the fit with one floor, whose interval only has to agree


class Ratios(NamedTuple):
    """Frontiers of law b over law a at one budget, one value per row of theta."""

    params: Array  # N* of b over N* of a
    examples: Array  # D* of b over D* of a
    compute_multiplier: Array  # 2: b needs half the FLOPs for the loss of a, 0: none suffice


def ratios(law: Law, a: Array, b: Array, budget: float, cost: CostModel) -> Ratios:
    """Return how the frontiers of parameters a and b (..., P) compare at a budget in FLOPs.

    On the frontier N* ~ C^a, so L*(C) = E + G C^-g with g = alpha a, and the compute C' at which b
    reaches the loss of a follows in closed form.
    """
    first, second = law.optimum(a, budget, cost), law.optimum(b, budget, cost)
    E, power = b[..., 0], b[..., 3] * law.exponents(b, cost, budget)[0]
    above = first.loss - E  # what b's frontier has to fall to; none where a lies below b's floor
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        log_less = np.log((second.loss - E) / np.where(above > 0, above, np.nan)) / power
        multiplier = np.where(above > 0, np.exp(-log_less), 0.0)
        return Ratios(second.params / first.params, second.examples / first.examples, multiplier)


@dataclass(frozen=True, slots=True, eq=False)
class Sides:
    """Mixtures a and b on their common cells, or each on its own where they have too few."""

    fits: StudyFit  # what they come from
    runs: tuple[pd.DataFrame, pd.DataFrame]
    pair: tuple[MixtureFit, MixtureFit]  # their laws, with a floor for each
    unpaired: str = ""  # why they are not compared on common cells

    def with_one_floor(self) -> "Sides":
        """Return the same sides fitted together with one floor E for both."""
        if self.pair[0].law.largest_floor == 0:
            return self  # a law without floor has the same one for both anyway
        replicates = min(self.fits.options.replicates, _REPLICATES)
        options = replace(self.fits.options, shared=("E",), replicates=replicates)
        groups = {s.mixture: part for s, part in zip(self.pair, self.runs, strict=True)}
        first, second = fit_together(groups, self.fits.cost, self.fits.delta, options).values()
        return replace(self, pair=(first, second))

    @property
    def cells(self) -> int:
        """Cells that intervals rest on: common ones, or those of the mixture that has fewer."""
        return min(side.n_cells for side in self.pair)

    def delta(self, name: str) -> Estimate:
        """Return b minus a of an exponent, ``params_exponent`` or ``data_exponent``."""
        which = ("params_exponent", "data_exponent").index(name)
        at = self.fits.cost, self.fits.middle
        values = [side.law.exponents(side.theta, *at)[which] for side in self.pair]
        drawn = [side.law.exponents(side.replicates.theta, *at)[which] for side in self.pair]
        reasons = {side.mixture: side.frontier[name].reason for side in self.pair}
        moved = drawn[1] - drawn[0]
        return Estimate.of(values[1] - values[0], moved, self.cells, _joined(reasons))

    def at_budget(self, budget: float) -> list[Estimate]:
        """Return the ratios of N* and D* and the compute multiplier, b over a."""
        a, b = self.pair
        point = ratios(a.law, a.theta, b.theta, budget, self.fits.cost)
        drawn = a.replicates.theta, b.replicates.theta
        draws = ratios(a.law, *drawn, budget, self.fits.cost)
        reason = _joined({s.mixture: bootstrap.not_identified(s.parameters) for s in self.pair})
        both = zip(point, draws, strict=True)
        return [Estimate.of(value, values, self.cells, reason) for value, values in both]


def _joined(reasons: dict[str, str]) -> str:
    return "; ".join(f"{name}: {why}" for name, why in reasons.items() if why)


def on_common_cells(fits: StudyFit, a: str, b: str) -> Sides:
    """Return both mixtures on their common cells, or with their own where those are too few."""
    pair = fits.mixtures[a], fits.mixtures[b]
    cells = np.intersect1d(pair[0].replicates.cells, pair[1].replicates.cells)
    common = fits.runs[fits.runs["cell"].isin(cells)]
    lacking = shortage(common, law_named(fits.options.law)) if len(cells) else "no common cell"
    if lacking:
        return _independent(fits, pair, f"on the common cells: {lacking}")
    runs = [common[common["mixture"] == name] for name in (a, b)]
    first, second = (
        # a mixture that was run on more cells is fitted again to the common ones
        fitted
        if len(cells) == fitted.n_cells
        else fit_together({name: part}, fits.cost, fits.delta, fits.options)[name]
        for name, fitted, part in zip((a, b), pair, runs, strict=True)
    )
    return Sides(fits, (runs[0], runs[1]), (first, second))


def _independent(fits: StudyFit, pair: tuple[MixtureFit, MixtureFit], why: str) -> Sides:
    """Return mixtures with the fits they have; nothing that a cell does to both cancels."""
    first, second = pair
    runs = [fits.runs[fits.runs["mixture"] == side.mixture] for side in pair]
    # equal draws would make errors of unlike cells cancel: those of b are put in another order
    drawn = second.replicates
    order = np.random.default_rng(fits.options.seed).permutation(len(drawn.theta))
    names = ("theta", "low", "high", "degenerate")
    mixed = replace(drawn, **{name: getattr(drawn, name)[order] for name in names})
    return Sides(fits, (runs[0], runs[1]), (first, replace(second, replicates=mixed)), why)
