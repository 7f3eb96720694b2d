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

from jetscale.errors import FitError
from jetscale.jsonable import json_key
from jetscale.scaling.budget import flops_budget
from jetscale.scaling.comparison import joint, labels
from jetscale.scaling.comparison.claims import NOT_IDENTIFIED, Verdict, holm, judge
from jetscale.scaling.comparison.joint import EXPONENTS, NestedTest, Pair
from jetscale.scaling.comparison.labels import LabelTest
from jetscale.scaling.comparison.sides import Sides, on_common_cells
from jetscale.scaling.engine.forms import law_named
from jetscale.scaling.engine.objective import Objective
from jetscale.scaling.estimate import Estimate
from jetscale.scaling.fitted import StudyFit
from jetscale.scaling.searched import unlike
from jetscale.words import number, with_interval

_REPLICATES = 499  # replicates of a test, where the fits have as many
_PER_PAIR = 100  # at least: Holm's correction multiplies the smallest p-value by the pairs
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
    statistic: float  # relative loss of fit when alpha and beta are shared
    p_value_uncorrected: float
    p_value: float  # of equal (alpha, beta), Holm-corrected over all pairs of the study
    tests: tuple[NestedTest, ...]  # what the laws can have in common, (alpha, beta) included
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
class Comparison:
    """All pairs of fitted mixtures."""

    pairs: tuple[PairComparison, ...]
    not_compared: Mapping[str, str]  # pairs and mixtures left out, and why
    convention: str = field(metadata=json_key("compute"))  # that the exponents refer to
    interval: str  # how the intervals were made
    difference: str = "b minus a"

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

    def __str__(self) -> str:
        """Return a line per pair."""
        return "\n".join(pair.clause for pair in self.pairs)


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
    fits to the cells of each with independent draws. Law,
    objective and intervals are those of the fits; a test takes up to 499 of their replicates, or
    100 per pair, and p-values are corrected over the pairs (Holm). Raises FitError where fewer than
    two mixtures are fitted or the budget cannot be used.

    Args:
        fits: What `fit` returned, for a law of N and D alone and without shared parameters.
        budget: FLOPs at which N*, D* and the compute for equal loss are compared; by default the
            geometric middle of the measured compute.
        questions: Keys of `joint.QUESTIONS` to test; (alpha, beta), on which the verdict rests, is
            always tested. By default all, and swapped labels too. With fewer, the fit with one
            floor is made only where it can withdraw a claim.
        pairs_of_study: Pairs that p-values are corrected for, where more than are here.
        unlike_search: Compare mixtures that were not searched alike for their learning rates.
    """
    fits.check_comparable()
    if (why := unlike(fits.runs)) and not unlike_search:
        raise FitError(f"{why}; run `jetscale tune` for all of them, or ask for it (--unlike)")
    at = fits.middle if budget is None else flops_budget(budget).amount
    thorough, law = questions is None, law_named(fits.options.law)
    asked = [q for q in joint.questions(law) if questions is None or q in (EXPONENTS, *questions)]
    pairs = list(combinations(fits.mixtures, 2))
    count = max(len(pairs), pairs_of_study)
    replicates = min(fits.replicates, max(_REPLICATES, _PER_PAIR * count))
    not_compared = dict(fits.not_fitted)
    sides: list[Sides] = []
    nested: list[list[NestedTest]] = []
    swapped: list[LabelTest | None] = []
    for a, b in pairs:
        found = on_common_cells(fits, a, b)
        objective = Objective(fits.options.objective, fits.delta)
        pair = Pair(*found.runs, law, objective, found.pair[0].uncertainty == "trunks")
        sides.append(found)
        nested.append([joint.nested_test(pair, q, replicates, fits.seed) for q in asked])
        if thorough:
            swap = None if found.unpaired else labels.label_test(pair, replicates, fits.seed)
            swapped.append(swap)
    # Holm's correction runs over the pairs, hypothesis by hypothesis
    by_question = [_corrected(tests, pairs_of_study) for tests in zip(*nested, strict=True)]
    permutations: list[LabelTest | None] = [None] * len(sides)
    if thorough:  # labels can be swapped on common cells alone
        done = iter(_corrected([test for test in swapped if test], pairs_of_study))
        permutations = [test and next(done) for test in swapped]
    by_pair = zip(sides, zip(*by_question, strict=True), permutations, strict=True)
    return Comparison(
        pairs=tuple(_pair(*found, at, thorough) for found in by_pair),
        not_compared=not_compared,
        convention=fits.cost.convention,
        interval=f"paired {fits.interval}",
    )


def _corrected(tests: Collection[Test], hypotheses: int) -> list[Test]:
    """Return tests of one hypothesis in all pairs with Holm-corrected p-values."""
    p_values = holm([test.p_value_uncorrected for test in tests], hypotheses)
    return [replace(test, p_value=p) for test, p in zip(tests, p_values, strict=True)]


def _pair(
    sides: Sides,
    tests: tuple[NestedTest, ...],
    permutation: LabelTest | None,
    budget: float,
    thorough: bool,
) -> PairComparison:
    """Return all that is said of a pair, with the verdict."""
    (exponents,) = (test for test in tests if test.shared == EXPONENTS)
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
