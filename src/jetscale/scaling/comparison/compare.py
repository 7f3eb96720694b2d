"""Do two mixtures scale differently? Differences of frontier exponents, ratios, and tests.

Only cells both mixtures were run on count (`sides`). Beside the differences with their intervals
stand nested tests of what the laws have in common (`joint`) and a permutation of labels
(`labels`); what may be claimed from them is decided in `claims`. Mixture weights often change the
height of the curve alone (arXiv 2302.09650): no shift is the ordinary outcome, not a failure.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, TypeVar

import numpy as np

from jetscale.errors import FitError
from jetscale.scaling.budget import flops_budget
from jetscale.scaling.comparison import joint, labels
from jetscale.scaling.comparison.claims import holm, verdict
from jetscale.scaling.comparison.joint import NestedTest, Pair
from jetscale.scaling.comparison.labels import LabelTest
from jetscale.scaling.comparison.sides import Sides, on_common_cells
from jetscale.scaling.engine.forms import law_named
from jetscale.scaling.engine.objective import Objective
from jetscale.scaling.estimate import Estimate
from jetscale.scaling.fitted import StudyFit, two_terms

_REPLICATES = 499
"""Replicates of a test, where the fits have as many."""
_PER_PAIR = 100
"""At least as many per pair: Holm's correction multiplies the smallest p-value by the pairs."""
Test = TypeVar("Test", NestedTest, LabelTest)
Tests = tuple[list[NestedTest], LabelTest]


@dataclass(frozen=True, slots=True, kw_only=True)
class PairComparison:
    """Exponents of mixture b minus those of mixture a, on their common cells."""

    a: str
    b: str
    n_cells: int
    """Common cells."""
    delta_params_exponent: Estimate
    delta_data_exponent: Estimate
    delta_params_exponent_shared_floor: Estimate
    """The same as the first with one floor E for both mixtures."""
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
    tests: tuple[NestedTest, ...]
    """What the laws can have in common, (alpha, beta) included."""
    permutation: LabelTest
    """One law for both, from swapped labels."""
    method: str
    """How the p-values of the tests were made."""
    verdict: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        shared_floor = self.delta_params_exponent_shared_floor
        return {
            "a": self.a,
            "b": self.b,
            "n_cells": self.n_cells,
            "delta_params_exponent": self.delta_params_exponent.to_dict(),
            "delta_data_exponent": self.delta_data_exponent.to_dict(),
            "delta_params_exponent_shared_floor": shared_floor.to_dict(),
            "budget_flops": self.budget,
            "params_ratio": self.params_ratio.to_dict(),
            "examples_ratio": self.examples_ratio.to_dict(),
            "compute_multiplier": self.compute_multiplier.to_dict(),
            "statistic": self.statistic,
            "p_value_uncorrected": self.p_value_uncorrected,
            "p_value": self.p_value,
            "tests": [test.to_dict() for test in self.tests],
            "permutation": self.permutation.to_dict(),
            "method": self.method,
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

    Of b minus a: delta a with a = beta / (alpha + p beta), on the cells both were run on and with
    the same draws; N*_b / N*_a, D*_b / D*_a and the compute multiplier C_a / C_b at equal loss
    (`ratios`); F = (S_shared - S_free) / S_free of nested laws against its bootstrap null
    (`joint`); swapped labels (`labels`). Holm's correction runs over the pairs.

    Law, objective and intervals are those of the fits. A test takes up to 499 of their replicates,
    or 100 per pair.

    Parameters
    ----------
    fits
        What `fit` returned, for a law of N and D alone and without shared parameters.
    budget
        FLOPs at which N*, D* and the compute for equal loss are compared; by default the
        geometric middle of the measured compute.

    Raises
    ------
    FitError
        Fewer than two mixtures are fitted, no pair has enough common cells, the fits share
        parameters, or the budget is not a finite number above zero.
    """
    _check(fits)
    at = _middle(fits) if budget is None else flops_budget(budget).amount
    not_compared = dict(fits.not_fitted)
    drafts = []
    pairs = list(combinations(fits.mixtures, 2))
    replicates = min(fits.replicates, max(_REPLICATES, _PER_PAIR * len(pairs)))
    for a, b in pairs:
        sides = on_common_cells(fits, a, b)
        if isinstance(sides, str):
            not_compared[f"{b} - {a}"] = sides
            continue
        drafts.append((sides, _tested(sides, replicates)))
    if not drafts:
        raise FitError("; ".join(f"{pair}: {why}" for pair, why in not_compared.items()))
    corrected = _corrected([tests for _, tests in drafts])
    return Comparison(
        pairs=tuple(
            _pair(sides, tests, at) for (sides, _), tests in zip(drafts, corrected, strict=True)
        ),
        not_compared=not_compared,
        convention=fits.cost.convention,
        interval=f"paired {fits.interval}",
    )


def _check(fits: StudyFit) -> None:
    two_terms(fits.options, "comparison")
    if fits.options.shared:
        raise FitError(
            f"the fits share {', '.join(fits.options.shared)}: a comparison tests what mixtures "
            "share; fit without it"
        )
    if len(fits.mixtures) < 2:
        reasons = "; ".join(f"{name} {why}" for name, why in fits.not_fitted.items())
        raise FitError(f"a comparison needs two fitted mixtures; {reasons or 'the table has one'}")


def _tested(sides: Sides, replicates: int) -> Tests:
    """All tests of a pair; p-values are not corrected yet."""
    fits = sides.fits
    law, objective = law_named(fits.options.law), Objective(fits.options.objective, fits.delta)
    pair = Pair(*sides.runs, law, objective, _by_trunk(sides))
    nested = [
        joint.nested_test(pair, shared, replicates, fits.seed) for shared in joint.questions(law)
    ]
    return nested, labels.label_test(pair, replicates, fits.seed)


def _by_trunk(sides: Sides) -> bool:
    return sides.own[0].uncertainty == "trunks"


def _corrected(tests: list[Tests]) -> list[Tests]:
    """Holm's correction over the pairs, hypothesis by hypothesis."""
    by_question = [_holm(found) for found in zip(*(nested for nested, _ in tests), strict=True)]
    permutations = _holm([labelled for _, labelled in tests])
    return [
        ([found[number] for found in by_question], labelled)
        for number, labelled in enumerate(permutations)
    ]


def _holm(tests: Iterable[Test]) -> list[Test]:
    found = list(tests)
    p_values = holm([test.p_value_uncorrected for test in found])
    return [replace(test, p_value=p) for test, p in zip(found, p_values, strict=True)]


def _pair(sides: Sides, tests: Tests, budget: float) -> PairComparison:
    nested, permutation = tests
    (exponents,) = (test for test in nested if test.shared == joint.EXPONENTS)
    params_ratio, examples_ratio, multiplier = sides.at_budget(budget)
    delta = sides.delta("params_exponent")
    shared_floor = sides.delta("params_exponent", shared_floor=True)
    return PairComparison(
        a=sides.own[0].mixture,
        b=sides.own[1].mixture,
        n_cells=sides.own[0].n_cells,
        delta_params_exponent=delta,
        delta_data_exponent=sides.delta("data_exponent"),
        delta_params_exponent_shared_floor=shared_floor,
        budget=budget,
        params_ratio=params_ratio,
        examples_ratio=examples_ratio,
        compute_multiplier=multiplier,
        statistic=exponents.statistic,
        p_value_uncorrected=exponents.p_value_uncorrected,
        p_value=exponents.p_value,
        tests=tuple(nested),
        permutation=permutation,
        method=joint.METHOD_TRUNKS if _by_trunk(sides) else joint.METHOD,
        verdict=verdict(delta, shared_floor, exponents.p_value),
    )


def _middle(fits: StudyFit) -> float:
    """Geometric middle of the measured compute."""
    ends = np.array([fitted.window["flops"] for fitted in fits.mixtures.values()])
    return math.sqrt(float(ends[:, 0].min()) * float(ends[:, 1].max()))
