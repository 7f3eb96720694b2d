"""Everything the report shows, computed once.

A table that does not allow one analysis still gets the others: what is missing is kept with its
reason, which the report prints in its place.
"""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pandas as pd

from jetscale import scaling
from jetscale.errors import FitError

T = TypeVar("T")
_MOST_BUDGETS = 8
_FEWEST_REPLICATES = 50
_TYPICAL_RATE = 1e14


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """A checked run table and what follows from it; None where the runs do not allow it."""

    runs: pd.DataFrame
    names: tuple[str, ...]
    """Mixtures, the baseline first."""
    paired: scaling.PairedStudy | None
    fits: scaling.StudyFit | None
    comparison: scaling.Comparison | None
    allocations: tuple[scaling.Allocation, ...]
    routes: Mapping[str, scaling.Routes]
    """The frontier by other routes, by mixture; empty without fits."""
    diagnostics: scaling.Diagnostics | None
    """Checks of the fits."""
    conventions: Mapping[str, scaling.MixtureConventions]
    """The frontier under other compute conventions, by mixture; empty without fits."""
    rate: tuple[float, str]
    """FLOP/s to turn compute into hours, and where the number is from."""
    digest: str
    """Of the checked run table: the same runs give the same."""
    missing: Mapping[str, str]
    """Why paired, fits or comparison is None."""


def analyse(frame: pd.DataFrame, budgets: Sequence[float] | None, replicates: int) -> Results:
    """Run every analysis a run table allows."""
    if replicates < _FEWEST_REPLICATES:
        raise FitError(f"replicates is {replicates}, needs at least {_FEWEST_REPLICATES}")
    runs = scaling.validate(frame)
    missing: dict[str, str] = {}
    pairs = _attempt("paired", missing, lambda: scaling.paired(runs))
    if pairs is not None:  # the baseline first, everywhere
        later = runs["mixture"] != pairs.baseline
        runs = pd.concat([runs[~later], runs[later]], ignore_index=True)
    fits = _attempt("fits", missing, lambda: scaling.fit(runs, replicates))
    comparison = None
    if fits is None:
        missing["comparison"] = missing["fits"]
    else:
        comparison = _attempt("comparison", missing, lambda: scaling.compare(fits))
    chosen = decades(fits) if budgets is None and fits is not None else budgets or ()
    return Results(
        runs=runs,
        names=tuple(dict.fromkeys(runs["mixture"])),
        paired=pairs,
        fits=fits,
        comparison=comparison,
        allocations=() if fits is None else tuple(scaling.allocate(fits, b) for b in chosen),
        routes={} if fits is None else scaling.all_routes(fits),
        diagnostics=None if fits is None else scaling.diagnose(fits),
        conventions={} if fits is None else scaling.conventions(fits),
        rate=training_rate(frame),
        digest=digest(runs),
        missing=missing,
    )


def training_rate(frame: pd.DataFrame) -> tuple[float, str]:
    """FLOP/s of the runs of a table and where the number is from; that of a GPU without times."""
    try:
        return scaling.measured_rate(frame)
    except FitError:
        return _TYPICAL_RATE, "that of a typical GPU, as the run table has no times"


def digest(runs: pd.DataFrame) -> str:
    """SHA-256 of the run table in a fixed order of rows."""
    columns = [name for name in ("mixture", "params", "examples", "seed", "loss") if name in runs]
    text = runs[columns].sort_values(columns).to_csv(index=False, float_format="%.17g")
    return hashlib.sha256(text.encode()).hexdigest()


def _attempt(what: str, missing: dict[str, str], make: Callable[[], T]) -> T | None:
    try:
        return make()
    except FitError as error:
        missing[what] = str(error)
        return None


def compute_range(fits: scaling.StudyFit) -> tuple[float, float]:
    """Smallest and largest FLOPs of the fitted runs."""
    ends = [fitted.window["flops"] for fitted in fits.mixtures.values()]
    return min(low for low, _ in ends), max(high for _, high in ends)


def decades(fits: scaling.StudyFit) -> tuple[float, ...]:
    """Powers of ten inside the measured compute range, and the next one beyond it."""
    low, high = (math.log10(end) for end in compute_range(fits))
    powers = np.arange(math.ceil(low), math.floor(high) + 2)
    step = math.ceil(len(powers) / _MOST_BUDGETS)
    return tuple(float(10.0**power) for power in powers[::-1][::step][::-1])
