"""Everything that follows from a run table, computed once: `analyse`.

A table that does not allow one analysis still gets the others: mixtures run on different model
sizes cannot be paired, and two model sizes make no law. What is missing is kept with its reason.
Commands, report and notebooks render an `Analysis`; what may be said is decided in its values.

    found = analyse(runs)
    print(found.measured_sentence)      how the losses compare, no law assumed
    print(found.law_sentence)           what the laws add, or that they add nothing
    found.missing.get("fits")           why there is no law
"""

import hashlib
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, TypeVar

import numpy as np
import pandas as pd

from jetscale.as_json import HIDDEN
from jetscale.errors import FitError
from jetscale.scaling import (
    Allocation,
    Budget,
    Comparison,
    Diagnostics,
    MixtureConventions,
    Options,
    PairedStudy,
    Routes,
    StudyFit,
    Verdict,
    all_routes,
    allocate,
    compare,
    conventions,
    diagnose,
    fit,
    measured_rate,
    pair_runs,
    validate,
)
from jetscale.scaling.comparison.claims import NOT_IDENTIFIED
from jetscale.words import with_interval

T = TypeVar("T")
PARTS = ("paired", "fits", "comparison", "allocations", "routes", "diagnostics", "conventions")
_MOST_BUDGETS = 8
_TYPICAL_RATE = 1e14
_NOT = {"paired": "not paired", "fits": "not fitted", "comparison": "not compared"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """A checked run table and what follows from it; None or empty where the runs do not allow it.

    A part that was not asked for is None or empty too, and has no reason in ``missing``.
    """

    runs: pd.DataFrame = field(repr=False, compare=False, metadata=HIDDEN)
    names: tuple[str, ...]
    """Mixtures, the baseline first."""
    paired: PairedStudy | None
    fits: StudyFit | None
    comparison: Comparison | None
    allocations: tuple[Allocation, ...]
    """The answer for each budget."""
    routes: Mapping[str, Routes]
    """The frontier by other routes, by mixture."""
    diagnostics: Diagnostics | None
    """Checks of the fits."""
    conventions: Mapping[str, MixtureConventions]
    """The frontier under other compute conventions, by mixture."""
    rate: tuple[float, str]
    """FLOP/s to turn compute into hours, and where the number is from."""
    missing: Mapping[str, str]
    """Why ``paired``, ``fits`` or ``comparison`` is None."""
    json_also: ClassVar[tuple[str, ...]] = ("digest", "measured_sentence", "law_sentence")

    @property
    def digest(self) -> str:
        """SHA-256 of the run table in a fixed order of rows: the same runs give the same."""
        columns = ["mixture", "params", "examples", "seed", "loss"]
        text = self.runs[columns].sort_values(columns).to_csv(index=False, float_format="%.17g")
        return hashlib.sha256(text.encode()).hexdigest()

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
            clauses = []
            for name, fitted in self.fits.mixtures.items():
                value = fitted.frontier["params_exponent"]
                text = f"N* ∝ C^{with_interval(value)}" if value.identified else NOT_IDENTIFIED
                clauses.append(f"{name} {text}")
            return f"The compute-optimal balance: {'; '.join(clauses)}."
        pairs = self.comparison.about(self.names[0])
        if all(pair.verdict is Verdict.NOT_IDENTIFIED for pair in pairs):
            reasons = [r for p in pairs for r in p.delta_params_exponent.reason.split("; ")]
            return (
                "Whether the mixtures differ in how the best model and data size grow with compute "
                f"is {NOT_IDENTIFIED} ({'; '.join(dict.fromkeys(reasons))}): a difference of "
                "exponents must not be read off these runs."
            )
        clauses = [pair.clause for pair in pairs]
        return f"Exponent a of the best model size N* ∝ C^a: {'; '.join(clauses)}."

    def __str__(self) -> str:
        return f"{self.measured_sentence}\n{self.law_sentence}"


def analyse(
    frame: pd.DataFrame,
    options: Options | None = None,
    *,
    parts: Collection[str] = PARTS,
    budget: float | None = None,
    budgets: Sequence[float | Budget] | None = None,
) -> Analysis:
    """Run every analysis a run table allows.

    Args:
        frame: A run table, see `jetscale.scaling.validate`.
        options: What to fit and how.
        parts: Which of `PARTS` to make; all rest on the fits but ``paired``.
        budget: FLOPs at which frontiers are compared; by default the middle of the measured
            compute.
        budgets: Budgets to allocate; by default one per decade of the measured range and one
            beyond.

    Raises:
        TableError: The table is unusable.
        FitError: A budget cannot be.
    """
    runs, missing = validate(frame), dict[str, str]()
    found = _attempt("paired", missing, lambda: pair_runs(runs)) if "paired" in parts else None
    if found is not None and runs["mixture"].iloc[0] != found.baseline:
        # the baseline comes first everywhere
        later = runs["mixture"] != found.baseline
        runs = pd.concat([runs[~later], runs[later]], ignore_index=True)
    fits = None
    if set(parts) - {"paired"}:
        fits = _attempt("fits", missing, lambda: fit(runs, options))
    comparison = None
    if "comparison" in parts:
        if fits is None:
            missing["comparison"] = missing["fits"]
        else:
            comparison = _attempt("comparison", missing, lambda: compare(fits, budget))
    asked = set(parts) if fits is not None else set()
    chosen: Sequence[float | Budget] = ()
    if fits is not None and "allocations" in asked:
        chosen = decades(fits) if budgets is None else budgets
    return Analysis(
        runs=runs,
        names=tuple(dict.fromkeys(runs["mixture"])),
        paired=found,
        fits=fits,
        comparison=comparison,
        allocations=tuple(allocate(fits, one) for one in chosen) if fits else (),
        routes=all_routes(fits) if fits and "routes" in asked else {},
        diagnostics=diagnose(fits) if fits and "diagnostics" in asked else None,
        conventions=conventions(fits) if fits and "conventions" in asked else {},
        rate=training_rate(frame),
        missing=missing,
    )


def training_rate(frame: pd.DataFrame) -> tuple[float, str]:
    """Return FLOP/s of the runs of a table and their source; those of a GPU without times."""
    try:
        return measured_rate(frame)
    except FitError:
        return _TYPICAL_RATE, "that of a typical GPU, as the run table has no times"


def _attempt(part: str, missing: dict[str, str], make: Callable[[], T]) -> T | None:
    """Return what ``make`` gives; where the runs do not allow it, keep the reason instead."""
    try:
        return make()
    except FitError as error:
        missing[part] = str(error)
        return None


def decades(fits: StudyFit) -> tuple[float, ...]:
    """Return powers of ten inside the measured compute range, and the next one beyond it."""
    low, high = (math.log10(end) for end in fits.flops)
    powers = np.arange(math.ceil(low), math.floor(high) + 2)
    step = math.ceil(len(powers) / _MOST_BUDGETS)
    return tuple(float(10.0**power) for power in powers[::-1][::step][::-1])
