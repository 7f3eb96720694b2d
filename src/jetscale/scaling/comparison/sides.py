"""Two mixtures fitted to their common cells, and what differs between them, with intervals.

Both sides of a replicate see the same draw of cells, or the same random signs: what a cell does to
both cancels in the difference. The fits are made twice, with a floor E for each mixture and with
one for both, because a floor and the exponents trade off against each other.
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from jetscale.scaling import bootstrap
from jetscale.scaling.comparison.ratios import ratios
from jetscale.scaling.engine.forms import law_named
from jetscale.scaling.engine.laws import exponents
from jetscale.scaling.estimate import Estimate, percentile_interval
from jetscale.scaling.fit import fit_mixture, fit_together, shortage
from jetscale.scaling.fitted import MixtureFit, StudyFit


@dataclass(frozen=True, slots=True, eq=False)
class Sides:
    """Both mixtures on their common cells."""

    fits: StudyFit
    """What they come from."""
    runs: tuple[pd.DataFrame, pd.DataFrame]
    own: tuple[MixtureFit, MixtureFit]
    """Fitted with a floor for each."""
    common: tuple[MixtureFit, MixtureFit]
    """Fitted with one floor for both."""

    def delta(self, name: str, shared_floor: bool = False) -> Estimate:
        """Difference of a frontier exponent, ``params_exponent`` or ``data_exponent``."""
        which = ("params_exponent", "data_exponent").index(name)
        a, b = self.common if shared_floor else self.own
        cost = self.fits.cost
        value = exponents(b.theta, cost)[which] - exponents(a.theta, cost)[which]
        drawn = [exponents(side.replicates.theta, cost)[which] for side in (a, b)]
        low, high = percentile_interval(drawn[1] - drawn[0], a.n_cells)
        reasons = {side.mixture: side.frontier[name].reason for side in (a, b)}
        return Estimate(value=float(value), low=low, high=high, reason=_joined(reasons))

    def at_budget(self, budget: float) -> list[Estimate]:
        """Ratios of N* and D* and the compute multiplier, b over a."""
        a, b = self.own
        point = ratios(a.theta, b.theta, budget, self.fits.cost)
        draws = ratios(a.replicates.theta, b.replicates.theta, budget, self.fits.cost)
        reason = _joined({s.mixture: bootstrap.not_identified(s.parameters) for s in (a, b)})
        found = []
        for value, values in zip(point, draws, strict=True):
            low, high = percentile_interval(values, a.n_cells)
            found.append(Estimate(value=float(value), low=low, high=high, reason=reason))
        return found


def _joined(reasons: dict[str, str]) -> str:
    return "; ".join(f"{name}: {why}" for name, why in reasons.items() if why)


def on_common_cells(fits: StudyFit, a: str, b: str) -> Sides | str:
    """Both mixtures on their common cells, or what is missing for that."""
    first, second = fits.mixtures[a], fits.mixtures[b]
    cells = np.intersect1d(first.replicates.cells, second.replicates.cells)
    common = fits.runs[fits.runs["cell"].isin(cells)]
    lacking = shortage(common, law_named(fits.options.law)) if len(cells) else "no common cell"
    if lacking:
        return f"on the common cells: {lacking}"
    runs = common[common["mixture"] == a], common[common["mixture"] == b]
    own = tuple(
        fitted if len(cells) == fitted.n_cells else _alone(fits, fitted.mixture, part)
        for fitted, part in zip((first, second), runs, strict=True)
    )
    return Sides(fits, runs, (own[0], own[1]), _with_one_floor(fits, runs, (own[0], own[1])))


def _alone(fits: StudyFit, name: str, runs: pd.DataFrame) -> MixtureFit:
    settings = (fits.cost, fits.delta, fits.replicates, fits.seed, fits.options)
    return fit_mixture(name, runs, *settings)


def _with_one_floor(
    fits: StudyFit,
    runs: tuple[pd.DataFrame, pd.DataFrame],
    own: tuple[MixtureFit, MixtureFit],
) -> tuple[MixtureFit, MixtureFit]:
    """Both fitted together; a law without floor has the same one for both anyway."""
    if own[0].law.largest_floor == 0:
        return own
    groups = {side.mixture: part for side, part in zip(own, runs, strict=True)}
    options = replace(fits.options, shared=("E",))
    found = fit_together(groups, fits.cost, fits.delta, fits.replicates, fits.seed, options)
    return found[own[0].mixture], found[own[1].mixture]
