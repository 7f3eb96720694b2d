"""What `jetscale fit` and `jetscale compare` show: the measured part and the part with laws.

Either part can be missing: mixtures run on different model sizes cannot be paired, and two model
sizes make no law. What the runs allow is kept, and the reason for what they don't is one line.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, TypeVar

import pandas as pd

from jetscale.errors import FitError
from jetscale.scaling.budget import flops_budget
from jetscale.scaling.comparison.compare import Comparison, compare
from jetscale.scaling.comparison.paired import PairedStudy, paired
from jetscale.scaling.conventions import MixtureConventions, conventions
from jetscale.scaling.diagnostics.diagnose import Diagnostics, diagnose
from jetscale.scaling.fit import check_options, fit
from jetscale.scaling.fitted import Options, StudyFit, two_terms

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Both parts; at least one of them is there."""

    paired: PairedStudy | None
    laws: StudyFit | Comparison | None
    missing: tuple[str, ...]
    """A line for the part that is None."""
    diagnostics: Diagnostics | None = None
    """Checks of fitted laws; a comparison has none."""
    conventions: Mapping[str, MixtureConventions] = field(default_factory=dict)
    """Frontiers of fitted laws under other compute conventions, by mixture."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: those of the laws, with the key ``paired`` and the warnings."""
        plain = {} if self.laws is None else self.laws.to_dict()
        if self.diagnostics is not None:
            plain["diagnostics"] = self.diagnostics.to_dict()
            plain["conventions"] = {n: found.to_dict() for n, found in self.conventions.items()}
        return plain | {
            "paired": None if self.paired is None else self.paired.to_dict(),
            "warnings": [*plain.get("warnings", []), *self.missing],
        }


def summarise_fit(runs: pd.DataFrame, options: Options | None = None) -> Summary:
    """Paired losses, the law of each mixture with its checks, and other compute conventions.

    Raises
    ------
    TableError
        The table is unusable.
    FitError
        The runs allow neither.
    """
    options = options or Options()
    check_options(options)
    chosen = asdict(options)
    found = _summary(runs, "not fitted", lambda: fit(runs, **chosen))
    if not isinstance(found.laws, StudyFit):
        return found
    return replace(found, diagnostics=diagnose(found.laws), conventions=conventions(found.laws))


def summarise_comparison(
    runs: pd.DataFrame, budget: float | None = None, options: Options | None = None
) -> Summary:
    """Paired losses and differences of exponents; errors as for `summarise_fit`, `compare`."""
    options = options or Options()
    check_comparison(options, budget)
    chosen = asdict(options)
    return _summary(runs, "not compared", lambda: compare(fit(runs, **chosen), budget))


def check_comparison(options: Options, budget: float | None) -> None:
    """Refuse what no comparison can be made with; worth calling before a table is read.

    Raises
    ------
    FitError
        An option or the budget cannot be, or the law has more than two terms.
    """
    check_options(options)
    two_terms(options, "a comparison")
    if budget is not None:
        flops_budget(budget)


def _summary(runs: pd.DataFrame, label: str, make: Callable[[], StudyFit | Comparison]) -> Summary:
    missing: list[str] = []
    laws = _attempt(label, missing, make)
    pairs = _attempt("not paired", missing, lambda: paired(runs))
    if laws is None and pairs is None:
        raise FitError("; ".join(missing))
    return Summary(paired=pairs, laws=laws, missing=tuple(missing))


def _attempt(label: str, missing: list[str], make: Callable[[], T]) -> T | None:
    try:
        return make()
    except FitError as error:
        missing.append(f"{label}: {error}")
        return None
