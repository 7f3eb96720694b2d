"""Do two mixtures scale differently? Differences of frontier exponents, ratios, and tests.

Only cells both mixtures were run on count, where there are enough; else fits to the cells of each
are compared, and the pair says so (`sides`). `claims` decides what may be claimed. Mixture
weights often change the height of the curve alone (arXiv 2302.09650): no shift is the ordinary
outcome, not a failure.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import ClassVar, TypeVar

import pandas as pd

from jetscale.errors import FitError
from jetscale.jsonable import HIDDEN, json_key
from jetscale.scaling.budget import flops_budget
from jetscale.scaling.comparison import joint, labels
from jetscale.scaling.comparison.claims import NOT_IDENTIFIED, Verdict, holm, judge
from jetscale.scaling.comparison.joint import NestedTest, Pair
from jetscale.scaling.comparison.labels import LabelTest
from jetscale.scaling.comparison.sides import Sides, on_common_cells
from jetscale.scaling.engine.forms import law_named
from jetscale.scaling.engine.objective import Objective
from jetscale.scaling.estimate import Estimate
from jetscale.scaling.fitted import StudyFit
from jetscale.scaling.searched import unlike
from jetscale.scaling.table import quantity_of
from jetscale.shown import Shown, frame_of, row_of
from jetscale.words import number, with_interval

_REPLICATES = 499  # replicates of a test, where the fits have as many
_PER_PAIR, _MOST = 100, 999
"""Of the test that claims rest on, at least and at most: Holm's correction multiplies the smallest
p-value by the pairs."""
_MANY = 10  # pairs from which those without the first mixture are asked about exponents alone
Test = TypeVar("Test", NestedTest, LabelTest)


@dataclass(frozen=True, slots=True, kw_only=True)
class PairComparison:
    """Exponents of mixture b minus those of mixture a, on their common cells."""

    a: str
    b: str
    n_cells: int  # common cells; 0 where fits to the cells of each are compared
    unpaired: str  # why they are; empty where cells are common
    delta_params_exponent: Estimate  # b minus a of the exponent of N*
    delta_data_exponent: Estimate  # b minus a of the exponent of D*
    delta_params_exponent_shared_floor: Estimate | None  # one floor E for both; None: not needed
    budget: float = field(metadata=json_key("budget_flops"))  # of the following three
    params_ratio: Estimate  # N* of b over that of a
    examples_ratio: Estimate  # D* of b over that of a
    compute_multiplier: Estimate  # compute a needs over b's for the loss of a at the budget
    statistic: float  # relative loss of fit when the exponents are shared
    p_value_uncorrected: float
    p_value: float  # of equal exponents, Holm-corrected over all pairs of the study
    tests: tuple[NestedTest, ...]  # what the laws can have in common, all exponents included
    permutation: LabelTest | None  # one law for both, from swapped labels; None: not asked for
    method: str  # how the p-values of the tests were made
    verdict: Verdict
    json_also: ClassVar[tuple[str, ...]] = ("verdict_text",)

    @property
    def verdict_text(self) -> str:
        """The verdict in words."""
        return self.verdict.text

    @property
    def clause(self) -> str:
        """The difference and what may be claimed of it, without a stop."""
        if self.verdict is Verdict.NOT_IDENTIFIED:
            return f"{self.b} against {self.a} {NOT_IDENTIFIED}"
        change = f"{with_interval(self.delta_params_exponent)}, {self.verdict.text}"
        return f"{self.b} minus {self.a} is {change} (p = {number(self.p_value, 2)})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison(Shown):
    """All pairs of fitted mixtures."""

    pairs: tuple[PairComparison, ...]
    not_compared: Mapping[str, str]  # pairs and mixtures left out, and why
    convention: str = field(metadata=json_key("compute"))  # that the exponents refer to
    interval: str  # how the intervals were made
    difference: str = "b minus a"
    quantity: str = field(default="loss", metadata=HIDDEN)  # what the laws are of

    @property
    def verdicts(self) -> dict[tuple[str, str], Verdict]:
        """The verdict on the exponent of N* by pair (a, b)."""
        return {(pair.a, pair.b): pair.verdict for pair in self.pairs}

    @property
    def unpaired(self) -> dict[str, str]:
        """Pairs compared by fits to the cells of each, and why."""
        return {f"{pair.b} - {pair.a}": pair.unpaired for pair in self.pairs if pair.unpaired}

    def about(self, mixture: str) -> tuple[PairComparison, ...]:
        """Return the pairs that hold a mixture, or all where none does."""
        return tuple(p for p in self.pairs if mixture in (p.a, p.b)) or self.pairs

    def to_frame(self) -> pd.DataFrame:
        """Return a row per pair: exponents of b minus a; at the budget, b over a."""
        with_ends = (
            *("delta_params_exponent", "delta_data_exponent"),
            *("params_ratio", "examples_ratio", "compute_multiplier"),
        )
        columns = " ".join(f"{name} {name}_low {name}_high" for name in with_ends)
        columns = f"a b n_cells verdict p_value delta_params_exponent_identified {columns} budget"
        return frame_of(map(row_of, self.pairs), columns)


def compare(
    fits: StudyFit,
    budget: float | None = None,
    *,
    questions: Collection[tuple[str, ...]] | None = None,
    pairs_of_study: int = 0,
    unlike_search: bool = False,
) -> Comparison:
    """Compare the exponents of every pair of fitted mixtures, and their frontiers at a budget.

    All is said of b relative to a, on the cells both were run on and with the same draws, or from
    fits to the cells of each with independent draws. Law, objective and intervals are those of the
    fits; p-values are corrected over the pairs (Holm). Of more than ten pairs, those without the
    first mixture are tested for equal exponents alone, and the fit with one floor is made where it
    can withdraw a claim. Raises FitError where fewer than two mixtures are fitted or the budget
    cannot be used.

    Args:
        fits: What `fit` returned, for a law of N and D alone and without shared parameters.
        budget: FLOPs at which N*, D* and the compute for equal loss are compared; by default the
            geometric middle of the measured compute.
        questions: Keys of `joint.questions` to test; that of the exponents, on which the verdict
            rests, is always tested. By default all, and swapped labels too. With fewer, the fit
            with one floor is made only where it can withdraw a claim.
        pairs_of_study: Pairs that p-values are corrected for, where more than are here.
        unlike_search: Compare mixtures that were not searched alike for their learning rates.
    """
    fits.check_comparable()
    if (why := unlike(fits.runs)) and not unlike_search:
        raise FitError(f"{why}; run `jetscale tune` for all of them, or ask for it (--unlike)")
    at = fits.middle if budget is None else flops_budget(budget).amount
    options, first = fits.options, next(iter(fits.mixtures))
    law, seed = law_named(options.law), options.seed
    asked = [
        q for q in joint.questions(law) if questions is None or q in (law.deciding, *questions)
    ]
    pairs = list(combinations(fits.mixtures, 2))
    count = max(len(pairs), pairs_of_study)
    replicates = min(options.replicates, max(_REPLICATES, min(_PER_PAIR * count, _MOST)))
    sides: list[Sides] = []
    found: dict[tuple[str, ...], dict[int, NestedTest]] = {question: {} for question in asked}
    swapped: dict[int, LabelTest] = {}
    for place, (a, b) in enumerate(pairs):
        side = on_common_cells(fits, a, b)
        objective = Objective(fits.options.objective, fits.delta)
        pair = Pair(*side.runs, law, objective, side.pair[0].uncertainty == "trunks")
        sides.append(side)
        # of many pairs, those with the first mixture are asked everything
        whole = len(pairs) <= _MANY or a == first
        for question in asked if whole else [law.deciding]:
            draws, of = replicates, count if question == law.deciding else 1
            draws = draws if question == law.deciding else min(draws, _REPLICATES)
            found[question][place] = joint.nested_test(pair, question, draws, seed, of)
        if questions is None and whole and not side.unpaired:  # swapped on common cells alone
            swapped[place] = labels.label_test(pair, min(replicates, _REPLICATES), seed)
    # Holm's correction runs over the pairs, hypothesis by hypothesis
    for question, tests in found.items():
        found[question] = _corrected(tests, pairs_of_study)
    swapped = _corrected(swapped, pairs_of_study)
    return Comparison(
        pairs=tuple(
            _pair(
                side,
                tuple(tests[place] for tests in found.values() if place in tests),
                swapped.get(place),
                at,
                questions is None and (len(pairs) <= _MANY or side.pair[0].mixture == first),
            )
            for place, side in enumerate(sides)
        ),
        not_compared=dict(fits.not_fitted),
        convention=fits.cost.convention,
        interval=("" if all(side.unpaired for side in sides) else "paired ") + fits.interval,
        quantity=quantity_of(fits.runs),
    )


def _corrected(tests: Mapping[int, Test], hypotheses: int) -> dict[int, Test]:
    """Return tests of one hypothesis by place of the pair, with Holm-corrected p-values."""
    p_values = holm([test.p_value_uncorrected for test in tests.values()], hypotheses)
    return {
        place: replace(test, p_value=p)
        for (place, test), p in zip(tests.items(), p_values, strict=True)
    }


def _pair(
    sides: Sides,
    tests: tuple[NestedTest, ...],
    permutation: LabelTest | None,
    budget: float,
    thorough: bool,
) -> PairComparison:
    """Return all that is said of a pair, with the verdict."""
    (exponents,) = (test for test in tests if test.shared == sides.pair[0].law.deciding)
    params_ratio, examples_ratio, multiplier = sides.at_budget(budget)
    delta, one_floor = sides.delta("params_exponent"), None
    verdict = judge(delta, delta, exponents.p_value)
    if thorough or verdict.claims_shift:  # one floor for both can only withdraw a claim
        one_floor = sides.with_one_floor().delta("params_exponent")
        verdict = judge(delta, one_floor, exponents.p_value)
    first, second = sides.pair
    return PairComparison(
        a=first.mixture,
        b=second.mixture,
        n_cells=0 if sides.unpaired else first.n_cells,
        unpaired=sides.unpaired,
        delta_params_exponent=delta,
        delta_data_exponent=sides.delta("data_exponent"),
        delta_params_exponent_shared_floor=one_floor,
        budget=budget,
        params_ratio=params_ratio,
        examples_ratio=examples_ratio,
        compute_multiplier=multiplier,
        statistic=exponents.statistic,
        p_value_uncorrected=exponents.p_value_uncorrected,
        p_value=exponents.p_value,
        tests=tests,
        permutation=permutation,
        method=joint.METHOD_TRUNKS if first.uncertainty == "trunks" else joint.METHOD,
        verdict=verdict,
    )
