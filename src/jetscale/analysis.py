"""Everything that follows from a run table, computed once: `analyse`.

A table that does not allow one analysis still gets the others: mixtures run on different model
sizes cannot be paired, and two model sizes make no law. What is missing is kept with its reason.
Commands, report and notebooks render an `Analysis`; what may be said is decided in its values.
"""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar, TypeVar

import numpy as np
import pandas as pd

from jetscale import scaling
from jetscale.errors import FitError
from jetscale.jsonable import HIDDEN
from jetscale.scaling import Allocation, Budget, Options, Routes, RouteShift, StudyFit, Verdict
from jetscale.scaling.comparison.claims import NOT_IDENTIFIED
from jetscale.scaling.direction import RISING, not_a_loss
from jetscale.scaling.goal import Answers, answers
from jetscale.scaling.table import digest, quantity_of
from jetscale.words import counted, number, with_interval

T = TypeVar("T")
Budgets = Sequence[float | Budget] | Callable[[StudyFit], Sequence[float]] | None
PARTS = ("paired", "fits", "comparison", "allocations", "routes", "diagnostics", "conventions")
_NAMED = 4  # mixtures a sentence names one by one
_MOST_BUDGETS = 8
_TYPICAL_RATE = 1e14
_NOT = {
    **{"paired": "not paired", "fits": "not fitted"},
    **{"comparison": "not compared", "allocations": "not allocated"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """A checked run table and what follows from it; None or empty where the runs do not allow it.

    A part that was not asked for is None or empty too, and has no reason in ``missing``.
    """

    runs: pd.DataFrame = field(repr=False, compare=False, metadata=HIDDEN)
    names: tuple[str, ...]  # mixtures, the baseline first
    paired: scaling.PairedStudy | None
    fits: StudyFit | None
    comparison: scaling.Comparison | None
    allocations: tuple[Allocation, ...]  # the answer for each budget
    routes: Mapping[str, Routes]  # the frontier by other routes, by mixture
    diagnostics: scaling.Diagnostics | None  # checks of the fits
    conventions: Mapping[str, scaling.MixtureConventions]  # the frontier under others, by mixture
    metric: Answers | None  # what a score in the place of the loss needs; None for a loss
    rate: tuple[float, str]  # FLOP/s to turn compute into hours, and where the number is from
    missing: Mapping[str, str]  # why a part is None or empty that was asked for
    json_also: ClassVar[tuple[str, ...]] = (
        *("digest", "quantity", "unlike", "measured_sentence", "law_sentence", "headline"),
        *("route_shifts",),
    )

    @property
    def digest(self) -> str:
        """SHA-256 of the run table in a fixed order of rows: the same runs give the same."""
        return digest(self.runs)

    @property
    def quantity(self) -> str:
        """What the laws are of: the loss, or what stands in its place."""
        return quantity_of(self.runs)

    @property
    def unlike(self) -> str:
        """Which mixtures were not searched alike for their learning rates; empty for none."""
        return scaling.unlike(self.runs)

    @property
    def route_shifts(self) -> tuple[RouteShift, ...]:
        """Differences of exponents between mixtures by routes other than the law."""
        return scaling.route_shifts(self.routes)

    @property
    def reasons(self) -> tuple[str, ...]:
        """A line for each part the runs do not allow; one reason is given once."""
        parts = {why: _NOT[part] for part, why in self.missing.items()}
        return tuple(f"{label}: {why}" for why, label in parts.items())

    @property
    def measured_sentence(self) -> str:
        """How the losses compare, with no law assumed."""
        if self.paired is None:
            return f"Nothing is compared: {self.missing.get('paired', 'it was not asked for')}."
        return self.paired.sentence

    @property
    def law_sentence(self) -> str:
        """What the laws say about the compute-optimal balance, or that they do not."""
        if self.fits is None:
            return f"No scaling law is fitted: {self.missing.get('fits', 'it was not asked for')}."
        if self.comparison is None:
            found = {n: fitted["a"] for n, fitted in self.fits.mixtures.items()}
            if len(found) > _NAMED and all(a.identified for a in found.values()):
                ends = sorted(found, key=lambda n: found[n].value)
                low, high = (f"{number(found[n].value, 2)} ({n})" for n in (ends[0], ends[-1]))
                return f"The compute-optimal balance: N* ∝ C^a with a from {low} to {high}."
            balance = "; ".join(
                f"{n} " + (f"N* ∝ C^{with_interval(a)}" if a.identified else NOT_IDENTIFIED)
                for n, a in found.items()
            )
            return f"The compute-optimal balance: {balance}."
        pairs = self.comparison.about(self.names[0])
        if all(pair.verdict is Verdict.NOT_IDENTIFIED for pair in pairs):
            reasons = [r for p in pairs for r in p.delta_params_exponent.reason.split("; ")]
            return (
                "Whether the mixtures differ in how the best model and data size grow with compute "
                f"is {NOT_IDENTIFIED} ({'; '.join(dict.fromkeys(reasons))}): a difference of "
                "exponents must not be read off these runs."
            )
        return f"Exponent a of the best model size N* ∝ C^a: {'; '.join(p.clause for p in pairs)}."

    @property
    def headline(self) -> str:
        """The law's balance, and where another route contradicts it or forecasts better."""
        apart = [name for name, one in self.routes.items() if one.disagree]
        better = {n: r.better for n, r in self.routes.items() if r.better not in ("", "law")}
        lines = [self.law_sentence]
        if apart:
            lines.append(f"Other routes contradict the law for {', '.join(apart)}.")
        for route in dict.fromkeys(better.values()):
            names = ", ".join(name for name, found in better.items() if found == route)
            lines.append(f"For {names} the {route} route forecasts held-out budgets better.")
        return " ".join(lines)

    def __str__(self) -> str:
        return f"{self.measured_sentence}\n{self.headline}"


def analyse(
    frame: pd.DataFrame,
    options: Options | None = None,
    *,
    parts: Collection[str] = PARTS,
    budget: float | None = None,
    budgets: Budgets = None,
    unlike_search: bool = False,
    fit: Callable[[pd.DataFrame, Options | None], StudyFit] = scaling.fit,
    progress: Callable[[str], None] = lambda stage: None,
) -> Analysis:
    """Run every analysis a run table allows; raises TableError where the table is unusable.

    Args:
        frame: A run table, see `jetscale.scaling.validate`.
        parts: Which of `PARTS` to make; all rest on the fits but ``paired``.
        budget: FLOPs at which frontiers are compared; by default the middle of the measured ones.
        budgets: Budgets to allocate, or what chooses them; by default one per decade measured and
            one beyond. Raises FitError where one cannot be that was given.
        unlike_search: Compare mixtures that were not searched alike for their learning rates.
        fit: What fits the laws, e.g. `jetscale.scaling.kept.kept_fit`, which remembers them.
        progress: Told what begins, in words.
    """
    runs, missing = scaling.validate(frame), dict[str, str]()
    if all(not_a_loss(part) == RISING for _, part in runs.groupby("mixture")):
        raise FitError(f"every mixture of the table {RISING}")

    def attempt(part: str, make: Callable[[], T]) -> T | None:
        """Return what ``make`` gives; where the runs do not allow it, keep the reason instead."""
        try:
            return make()
        except FitError as error:
            missing[part] = str(error)
            return None

    paired = attempt("paired", lambda: scaling.pair_runs(runs)) if "paired" in parts else None
    if paired is not None and runs["mixture"].iloc[0] != paired.baseline:
        later = runs["mixture"] != paired.baseline  # the baseline comes first everywhere
        runs = pd.concat([runs[~later], runs[later]], ignore_index=True)
    if asked := set(parts) - {"paired"}:
        laws = counted(runs["mixture"].nunique(), "mixture")
        progress(f"fitting the laws of {laws} to {len(runs):,} runs")
    fits = attempt("fits", lambda: fit(runs, options)) if asked else None
    comparison: scaling.Comparison | None = None
    if fits is None and "comparison" in asked:
        missing["comparison"] = missing["fits"]
    elif fits is not None and "comparison" in asked:
        progress("comparing the laws")
        how = partial(scaling.compare, fits, budget, unlike_search=unlike_search)
        comparison = attempt("comparison", how)
    by_route = {"routes", "allocations", "comparison"} & asked
    if fits and by_route:
        progress("the frontier by other routes")
    routes = scaling.all_routes(fits) if fits and by_route else {}
    if fits and asked & {"allocations", "diagnostics", "conventions"}:
        progress("checking the fits")
    allocations: tuple[Allocation, ...] = ()
    if fits is not None and "allocations" in asked:
        spend = partial(_spend, fits, budgets, routes)
        ours = budgets is None or callable(budgets)  # those given must be within reach
        allocations = (attempt("allocations", spend) or ()) if ours else spend()
    return Analysis(
        runs=runs,
        names=tuple(dict.fromkeys(runs["mixture"])),
        paired=paired,
        fits=fits,
        comparison=comparison,
        allocations=allocations,
        routes=routes,
        diagnostics=scaling.diagnose(fits) if fits and "diagnostics" in asked else None,
        conventions=scaling.conventions(fits) if fits and "conventions" in asked else {},
        metric=answers(fits) if fits and asked & {"fits", "allocations"} else None,
        rate=training_rate(frame),
        missing=missing,
    )


def _spend(
    fits: StudyFit, budgets: Budgets, routes: Mapping[str, Routes]
) -> tuple[Allocation, ...]:
    given = (budgets or decades)(fits) if budgets is None or callable(budgets) else budgets
    return tuple(scaling.allocate(fits, budget, routes=routes) for budget in given)


def training_rate(frame: pd.DataFrame) -> tuple[float, str]:
    """Return FLOP/s of the runs of a table and their source; those of a GPU without times."""
    try:
        return scaling.measured_rate(frame)
    except FitError:
        return _TYPICAL_RATE, "that of a typical GPU, as the run table has no times"


def decades(fits: StudyFit) -> tuple[float, ...]:
    """Return powers of ten inside the measured compute range, and the next one beyond it."""
    low, high = (math.log10(end) for end in fits.flops)
    inside = np.arange(math.ceil(low), math.floor(high) + 1)
    step = max(1, math.ceil(len(inside) / (_MOST_BUDGETS - 1)))  # the largest one is always there
    chosen = [*inside[::-1][::step][::-1], math.floor(high) + 1]
    return tuple(float(10.0**power) for power in chosen)


def largest_decade(fits: StudyFit) -> tuple[float]:
    """Return the largest power of ten within the measured compute, or else the largest compute."""
    low, high = fits.flops
    decade = 10.0 ** math.floor(math.log10(high))
    return (decade if decade >= low else high,)
