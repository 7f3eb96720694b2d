"""Tables of what the analysis found; measured things first, fitted laws after them.

Everything fits 80 columns for mixtures named in up to 12 characters. Warnings of one mixture share
a line, and so do mixtures or pairs left out for the same reason.
"""

import math
from collections.abc import Iterable, Mapping, Sequence

from rich.markup import escape
from rich.table import Table
from rich.text import Text

from jetscale.display.checks import show_checks
from jetscale.display.console import console, table
from jetscale.scaling import (
    Allocation,
    Comparison,
    DataFactor,
    Estimate,
    PairedStudy,
    StudyFit,
    Summary,
)
from jetscale.scaling.comparison.joint import EXPONENTS
from jetscale.words import short

_DECIDED = 0.6
"""Share of replicates below which no mixture is called the better one."""
_FAR = 2.0
"""Decades beyond the measured compute at which a fitted law says little."""


def _table(title: str, *columns: str, left: int = 1) -> Table:
    """A table whose columns are two spaces apart."""
    out = table(escape(title), *columns, left=left)
    out.padding = (0, 1, 0, 0)
    return out


def _add(rows: Table, *cells: str) -> None:
    """Add a row of plain text: brackets are intervals or names, never markup."""
    rows.add_row(*map(Text, cells))


def interval(estimate: Estimate, form: str = ".2f") -> str:
    """``0.34 [0.31, 0.37]``, with a star where the runs do not determine the value."""
    value, low, high = (f"{x:{form}}" for x in (estimate.value, estimate.low, estimate.high))
    star = "" if estimate.identified else " *"
    return f"{value} [{low}, {high}]{star}"


def show_summary(summary: Summary) -> None:
    """The measured part, the part with laws, and a line for the one that is missing."""
    if summary.paired is not None:
        show_paired(summary.paired)
    if isinstance(summary.laws, StudyFit):
        show_fit(summary.laws)
        if summary.diagnostics is not None:
            show_checks(summary.laws, summary.diagnostics, summary.conventions)
    elif summary.laws is not None:
        show_comparison(summary.laws)
    _lines(summary.missing)


def show_paired(study: PairedStudy) -> None:
    """Loss differences and effective data of every pair of mixtures, by data size."""
    for pair in study.pairs:
        rows = _table(
            f"Measured: loss of {pair.mixture} minus {pair.baseline}, same N, D and seed",
            "D",
            "difference",
            "lower in",
            "effective data",
        )
        for row in (*pair.by_examples, pair.overall):
            _add(
                rows,
                "all" if row.examples is None else short(row.examples),
                _signed(row.difference),
                f"{row.n_lower} of {row.n_pairs}",
                _factor(row.data_factor),
            )
        console.print(rows)
    console.print(
        "95% intervals over model sizes (all: D averaged within each); the test set and training "
        "subsets that all sizes share are not covered. Effective data: by which factor the "
        "baseline would need more jets to reach the same loss; < and > are limits, where a loss "
        "lies beyond its curve.",
        style="dim",
    )
    _lines(_grouped("not paired", study.not_paired))


def _signed(estimate: Estimate) -> str:
    value, low, high = estimate.value, estimate.low, estimate.high
    return f"{value:+.3f}" + (" [one size]" if math.isnan(low) else f" [{low:+.3f}, {high:+.3f}]")


def _factor(factor: DataFactor | None) -> str:
    if factor is None:
        return ""
    value, low, high = factor.factor.value, factor.factor.low, factor.factor.high
    ends = "" if math.isnan(low) or math.isnan(high) else f" [{low:.2g}, {high:.2g}]"
    return f"{factor.bound} x{value:.2g}{ends}".strip()


def show_fit(fits: StudyFit) -> None:
    """Frontier exponents and law of every mixture, and whatever is not identified."""
    frontier = _table("Frontier: N* ~ C^a, D* ~ C^b", "mixture", "a (params)", "b (data)", "cells")
    first = next(iter(fits.mixtures.values()))
    shown = [name for name in first.parameters if name not in ("A", "B")]
    law = _table(f"Law: {first.law.formula}", "mixture", *shown)
    for name, fitted in fits.mixtures.items():
        a, b = (fitted.frontier[key] for key in ("params_exponent", "data_exponent"))
        _add(frontier, name, interval(a), interval(b), str(fitted.n_cells))
        _add(law, name, *(interval(fitted.parameters[p], ".2g") for p in shown))
    console.print(frontier)
    console.print(law)
    common = f" Common to all mixtures: {', '.join(fits.options.shared)}."
    console.print(
        f"* not identified at this scale.{common if fits.options.shared else ''} "
        f"Objective: {first.objective}. Intervals: "
        f"{fits.interval}; {fits.replicates} replicates. Compute: {fits.cost.convention}",
        style="dim",
    )
    _lines(fits.warnings)
    _lines(_folded({name: fitted.warnings for name, fitted in fits.mixtures.items()}))


def show_comparison(comparison: Comparison) -> None:
    """Differences of exponents, tests, verdicts and ratios, pair by pair."""
    deltas = _table("Exponent of N*: b minus a", "a", "b", "own floors E", "one floor E", left=2)
    for pair in comparison.pairs:
        both = (pair.delta_params_exponent, pair.delta_params_exponent_shared_floor)
        _add(deltas, pair.a, pair.b, *map(interval, both))
    console.print(deltas)
    _show_tests(comparison)
    _lines(f"{pair.b} minus {pair.a}: {pair.verdict}" for pair in comparison.pairs)
    console.print(
        f"* not identified at this scale. Intervals: {comparison.interval}. A shift of the "
        "exponent is claimed only where p for alpha, beta is below 0.05, both intervals lie on "
        "the same side of zero and both exponents are identified: a small p alone says that the "
        "curves differ in shape.",
        style="dim",
    )
    _show_ratios(comparison)
    _lines(_grouped("not compared", comparison.not_compared))


def _show_tests(comparison: Comparison) -> None:
    """p-values, one hypothesis per column."""
    shared = [test.shared for test in comparison.pairs[0].tests]
    names = ["one law" if len(found) > len(EXPONENTS) else ", ".join(found) for found in shared]
    rows = _table("Can both laws share it? p-values", "a", "b", *names, "swapped", left=2)
    for pair in comparison.pairs:
        p_values = [*(test.p_value for test in pair.tests), pair.permutation.p_value]
        _add(rows, pair.a, pair.b, *(f"{p:.2g}" for p in p_values))
    console.print(rows)
    console.print(
        "p, Holm-corrected over pairs: laws that share what heads the column against a law for "
        "each, by bootstrap of the null; swapped: one law, floor included, by permutation of "
        "labels.",
        style="dim",
    )


def _show_ratios(comparison: Comparison) -> None:
    budget = comparison.pairs[0].budget
    console.print(
        f"At {budget:.2g} FLOPs, b over a; compute x2: the loss of a takes b half the FLOPs.",
        style="dim",
    )
    _lines(
        f"{pair.b} over {pair.a}: N* {_ratio(pair.params_ratio)}, "
        f"D* {_ratio(pair.examples_ratio)}, compute {_ratio(pair.compute_multiplier)}"
        for pair in comparison.pairs
    )


def _ratio(estimate: Estimate) -> str:
    ends = f"x{_times(estimate.value)} [{_times(estimate.low)}, {_times(estimate.high)}]"
    return ends if estimate.identified else f"{ends} *"


def _times(value: float) -> str:
    """Two digits; what is beyond any use is shown as a bound."""
    return "<0.001" if value < 1e-3 else ">1000" if value > 1e3 else f"{value:.2g}"


def show_allocation(allocation: Allocation) -> None:
    """The answer for one budget: a sentence, the predictions, and what was measured within it."""
    console.print(Text(_sentence(allocation)))
    title = f"Predicted by the laws at {allocation.budget.amount:.3g} {allocation.budget.unit}"
    title += ", measured model sizes" if allocation.ladder else ""
    in_flops = allocation.budget.unit == "FLOPs"
    several = len(allocation.mixtures) > 1
    share = ("best",) if several else ()
    rows = _table(title, "mixture", "N* params", "D* jets", "loss", *share)
    for name, found in allocation.mixtures.items():
        _add(
            rows,
            name if found.loss.identified else f"{name} *",
            _count(found.params, allocation.ladder),
            _count(found.examples),
            f"{found.loss.value:.3f} [{found.loss.low:.3f}, {found.loss.high:.3f}]",
            *((f"{found.best_share:.0%}",) if several else ()),
        )
    console.print(rows)
    if allocation.budget.terms:
        console.print(f"Prices: {allocation.budget.terms}.", style="dim")
    if not in_flops:
        runs = ", ".join(f"{name} {found.flops:.2g}" for name, found in allocation.mixtures.items())
        console.print(Text(f"FLOPs of these runs: {runs}."), style="dim")
    _lines(_moved(allocation))
    meaning = " best: share of bootstrap replicates with the lowest loss." if several else ""
    console.print(
        f"* optimum not identified at this scale.{meaning} Compute: {allocation.convention}",
        style="dim",
    )
    _show_measured(allocation)
    _lines(_grouped("not fitted", allocation.not_fitted))
    _lines(allocation.warnings)
    _lines(_folded({name: found.warnings for name, found in allocation.mixtures.items()}))


def _moved(allocation: Allocation) -> Iterable[str]:
    """How far the price of jets moves each optimum."""
    for name, found in allocation.mixtures.items():
        if (free := found.jets_free) is not None:
            yield (
                f"{name}: {found.jets_share:.0%} of the budget pays for jets; if they were free, "
                f"N* {_size(float(free.params))}, D* {_size(float(free.examples))}, "
                f"loss {float(free.loss):.3f}"
            )


def _show_measured(allocation: Allocation) -> None:
    rows = _table("Measured within the budget", "mixture", "N", "D", "FLOPs", "loss")
    for name, found in allocation.mixtures.items():
        cell = found.measured
        if cell is None:
            _add(rows, name, "none is that cheap")
            continue
        sizes = (short(cell.params), short(cell.examples), f"{cell.flops:.2g}")
        _add(rows, name, *sizes, f"{cell.loss:.3f}")
    console.print(rows)


def _sentence(allocation: Allocation) -> str:
    """The answer in words: the law's where it is identified, else the best measured cell first."""
    budget = f"budget {allocation.budget.amount:.3g} {allocation.budget.unit}"
    far = _far(allocation)
    if allocation.best_identified:
        return (
            f"For mixture {allocation.best} and {budget}: "
            f"{_advice(allocation, allocation.best)}.{far}{_undecided(allocation)}"
        )
    measured = {n: f.measured for n, f in allocation.mixtures.items() if f.measured is not None}
    loose = (
        "Not identified at this scale: the runs do not determine the laws, so what they predict "
    )
    if not measured:
        advice = _advice(allocation, allocation.best)
        return (
            f"{loose}is to be tested, not spent by. For {allocation.best} and {budget}: {advice}."
            f"{far}"
        )
    name = min(measured, key=lambda n: measured[n].loss)
    cell = measured[name]
    rank = f", the lowest of {len(measured)} mixtures" if len(measured) > 1 else ""
    return (
        f"For mixture {name} and {budget}: {short(cell.params)} parameters on "
        f"{short(cell.examples)} jets reached loss {cell.loss:.3f}, measured{rank}. {loose}for "
        f"it is to be tested, not spent by: {_advice(allocation, name)}."
        f"{far}{_other(allocation, name)}"
    )


def _far(allocation: Allocation) -> str:
    """A sentence for a budget outside the measured compute, by how many decades."""
    beyond = allocation.decades_beyond
    if not beyond:
        return ""
    side = "above" if beyond > 0 else "below"
    return (
        f" This budget lies {abs(beyond):.1f} decades {side} the measured compute: an extrapolation"
        f"{', and at that distance a guess' if abs(beyond) > _FAR else ''}."
    )


def _undecided(allocation: Allocation) -> str:
    """A sentence where the choice of mixture is not much better than a coin."""
    shares = {name: found.best_share for name, found in allocation.mixtures.items()}
    if len(shares) == 1 or max(shares.values()) >= _DECIDED:
        return ""
    shown = ", ".join(f"{name} {share:.0%}" for name, share in shares.items())
    return f" The mixtures are not told apart here: lowest loss in {shown} of replicates."


def _other(allocation: Allocation, name: str) -> str:
    """Which mixture the laws prefer where it is not the best measured one."""
    if allocation.best == name:
        return ""
    share = allocation.mixtures[allocation.best].best_share
    return f" Those laws would choose {allocation.best}, in {share:.0%} of replicates."


def _advice(allocation: Allocation, name: str) -> str:
    """The run to make, in words."""
    found = allocation.mixtures[name]
    if found.params.value < 1 or found.examples.value < 1:
        return "no usable optimum, less than one parameter or jet"
    loss, params = found.loss, found.params.value
    return (
        f"train {short(params) if allocation.ladder else _size(params)} parameters on "
        f"{_size(found.examples.value)} jets, "
        f"expect loss {loss.value:.3f} [{loss.low:.3f}, {loss.high:.3f}]"
    )


def _count(estimate: Estimate, ladder: Sequence[float] = ()) -> str:
    """Value and interval; sizes of a ladder as they are."""
    shown = short if ladder else _size
    value, low, high = map(shown, (estimate.value, estimate.low, estimate.high))
    return f"{value} [{low}, {high}]"


def _size(value: float) -> str:
    """Parameters or jets in two digits; below one and beyond all reason there is no such run."""
    return "<1" if value < 1 else ">1e18" if value > 1e18 else short(value, 2)


def _folded(warnings: Mapping[str, Iterable[str]]) -> Iterable[str]:
    """The warnings of each mixture as one line that names it once."""
    for name, lines in warnings.items():
        bare = [line.removeprefix(f"{name}: ") for line in lines]
        if bare:
            yield f"{name}: {'; '.join(bare)}"


def _grouped(label: str, reasons: Mapping[str, str]) -> Iterable[str]:
    """One line per reason, naming all it holds for."""
    for why in dict.fromkeys(reasons.values()):
        names = ", ".join(name for name, reason in reasons.items() if reason == why)
        yield f"{label}: {names}: {why}"


def _lines(lines: Iterable[str]) -> None:
    """Remarks below the tables."""
    for line in lines:
        console.print(Text(f"- {line}"))
