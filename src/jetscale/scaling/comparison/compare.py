"""Do two mixtures scale differently? Differences of frontier exponents, and a test.

Only cells both mixtures were run on count, and both sides of a replicate see the same draw of
cells: what a cell does to both cancels. An interval of the difference and a test of equal
exponents answer the same question with different assumptions and can disagree; a shift is claimed
only where both agree and the exponents are identified on both sides. Mixture weights often change
the height of the curve alone (arXiv 2302.09650): no shift is the ordinary outcome, not a failure.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from jetscale.errors import FitError
from jetscale.scaling import bootstrap
from jetscale.scaling.budget import flops_budget
from jetscale.scaling.comparison import joint
from jetscale.scaling.comparison.ratios import ratios
from jetscale.scaling.engine.laws import exponents
from jetscale.scaling.estimate import Estimate, percentile_interval
from jetscale.scaling.fit import MixtureFit, StudyFit, fit_mixture, shortage
from jetscale.scaling.fitted import two_terms

_SIGNIFICANT = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class PairComparison:
    """Exponents of mixture b minus those of mixture a, on their common cells."""

    a: str
    b: str
    n_cells: int
    """Common cells."""
    delta_params_exponent: Estimate
    delta_data_exponent: Estimate
    budget: float
    """FLOPs at which the following three hold."""
    params_ratio: Estimate
    """N* of b over that of a."""
    examples_ratio: Estimate
    """D* of b over that of a."""
    compute_multiplier: Estimate
    """Compute a needs over that which b needs for the loss of a at the budget."""
    statistic: float
    """Relative loss of fit when alpha and beta are shared."""
    p_value_uncorrected: float
    p_value: float
    """Of equal (alpha, beta), Holm-corrected over all pairs of the study."""
    verdict: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "a": self.a,
            "b": self.b,
            "n_cells": self.n_cells,
            "delta_params_exponent": self.delta_params_exponent.to_dict(),
            "delta_data_exponent": self.delta_data_exponent.to_dict(),
            "budget_flops": self.budget,
            "params_ratio": self.params_ratio.to_dict(),
            "examples_ratio": self.examples_ratio.to_dict(),
            "compute_multiplier": self.compute_multiplier.to_dict(),
            "statistic": self.statistic,
            "p_value_uncorrected": self.p_value_uncorrected,
            "p_value": self.p_value,
            "method": joint.METHOD,
            "verdict": self.verdict,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """All pairs of fitted mixtures."""

    pairs: tuple[PairComparison, ...]
    not_compared: Mapping[str, str]
    """Pairs and mixtures left out, and why."""
    convention: str
    """The compute convention the exponents refer to."""
    interval: str
    """How the intervals were made."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "pairs": [pair.to_dict() for pair in self.pairs],
            "not_compared": dict(self.not_compared),
            "difference": "b minus a",
            "interval": self.interval,
            "compute": self.convention,
        }


def compare(fits: StudyFit, budget: float | None = None) -> Comparison:
    """Compare the exponents of every pair of fitted mixtures, and their frontiers at a budget.

    Parameters
    ----------
    fits
        What `fit` returned.
    budget
        FLOPs at which N*, D* and the compute for equal loss are compared; by default the
        geometric middle of the measured compute.

    Raises
    ------
    FitError
        Fewer than two mixtures are fitted, no pair has enough common cells, or the budget is not a
        finite number above zero.
    """
    two_terms(fits, "comparison")
    at = _middle(fits) if budget is None else flops_budget(budget).amount
    not_compared = dict(fits.not_fitted)
    if len(fits.mixtures) < 2:
        reasons = "; ".join(f"{name} {why}" for name, why in not_compared.items())
        raise FitError(f"a comparison needs two fitted mixtures; {reasons or 'the table has one'}")
    drafts = []
    for a, b in combinations(fits.mixtures, 2):
        sides = _on_common_cells(fits, a, b)
        if isinstance(sides, str):
            not_compared[f"{b} - {a}"] = sides
            continue
        first, second = (_runs(fits, side) for side in sides)
        test = joint.equal_exponents(first, second, fits.delta, fits.replicates, fits.seed)
        drafts.append((sides, test))
    if not drafts:
        raise FitError("; ".join(f"{pair}: {why}" for pair, why in not_compared.items()))
    corrected = holm([test.p_value for _, test in drafts])
    pairs = (
        _pair(fits, sides, test, p, at) for (sides, test), p in zip(drafts, corrected, strict=True)
    )
    return Comparison(
        pairs=tuple(pairs),
        not_compared=not_compared,
        convention=fits.cost.convention,
        interval=f"paired {fits.interval}",
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction of p-values, in the order given.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p)
    steps = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(steps, 1.0)
    return [float(value) for value in corrected]


def _on_common_cells(fits: StudyFit, a: str, b: str) -> tuple[MixtureFit, MixtureFit] | str:
    """Both mixtures fitted to their common cells alone, or what is missing for that."""
    first, second = fits.mixtures[a], fits.mixtures[b]
    cells = np.intersect1d(first.replicates.cells, second.replicates.cells)
    common = fits.runs[fits.runs["cell"].isin(cells)]
    lacking = shortage(common) if len(cells) else "no common cell"
    if lacking:
        return f"on the common cells: {lacking}"
    sides = []
    for fitted in (first, second):
        if len(cells) == fitted.n_cells:
            sides.append(fitted)
            continue
        part = common[common["mixture"] == fitted.mixture]
        sides.append(
            fit_mixture(
                fitted.mixture,
                part,
                fits.cost,
                fits.delta,
                fits.replicates,
                fits.seed,
                options=fits.options,
            )
        )
    return sides[0], sides[1]


def _runs(fits: StudyFit, side: MixtureFit) -> pd.DataFrame:
    runs = fits.runs
    return runs[(runs["mixture"] == side.mixture) & runs["cell"].isin(side.replicates.cells)]


def _pair(
    fits: StudyFit,
    sides: tuple[MixtureFit, MixtureFit],
    test: joint.JointTest,
    corrected: float,
    budget: float,
) -> PairComparison:
    a, b = sides
    at_budget = _at_budget(fits, a, b, budget)
    points = [exponents(side.theta, fits.cost) for side in sides]
    draws = [exponents(side.replicates.theta, fits.cost) for side in sides]
    deltas = []
    for i, name in enumerate(("params_exponent", "data_exponent")):
        low, high = percentile_interval(draws[1][i] - draws[0][i], a.n_cells)
        reasons = [
            f"{side.mixture}: {side.frontier[name].reason}"
            for side in sides
            if not side.frontier[name].identified
        ]
        value = float(points[1][i] - points[0][i])
        deltas.append(Estimate(value=value, low=low, high=high, reason="; ".join(reasons)))
    return PairComparison(
        a=a.mixture,
        b=b.mixture,
        n_cells=a.n_cells,
        delta_params_exponent=deltas[0],
        delta_data_exponent=deltas[1],
        budget=budget,
        params_ratio=at_budget[0],
        examples_ratio=at_budget[1],
        compute_multiplier=at_budget[2],
        statistic=test.statistic,
        p_value_uncorrected=test.p_value,
        p_value=corrected,
        verdict=_verdict(deltas[0], corrected),
    )


def _middle(fits: StudyFit) -> float:
    """Geometric middle of the measured compute."""
    ends = np.array([fitted.window["flops"] for fitted in fits.mixtures.values()])
    return math.sqrt(float(ends[:, 0].min()) * float(ends[:, 1].max()))


def _at_budget(fits: StudyFit, a: MixtureFit, b: MixtureFit, budget: float) -> list[Estimate]:
    """Ratios of N* and D* and the compute multiplier, b over a, with paired intervals."""
    point = ratios(a.theta, b.theta, budget, fits.cost)
    draws = ratios(a.replicates.theta, b.replicates.theta, budget, fits.cost)
    loose = [bootstrap.not_identified(side.parameters) for side in (a, b)]
    reason = "; ".join(
        f"{side.mixture}: {why}" for side, why in zip((a, b), loose, strict=True) if why
    )
    found = []
    for value, values in zip(point, draws, strict=True):
        low, high = percentile_interval(values, a.n_cells)
        found.append(Estimate(value=float(value), low=low, high=high, reason=reason))
    return found


def _verdict(delta: Estimate, p_value: float) -> str:
    """What may be claimed about the params exponent of b relative to a."""
    if not delta.identified:
        return "not identified at this scale"
    interval, test = not delta.low <= 0 <= delta.high, p_value < _SIGNIFICANT
    if interval and test:
        return "steered to larger models" if delta.value > 0 else "steered to more data"
    if interval or test:
        return "no shift claimed: the interval and the test disagree"
    return "no shift shown"
