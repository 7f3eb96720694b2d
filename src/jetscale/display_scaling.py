"""Tables of what the analysis found; measured things first, fitted laws after them.

Everything fits 80 columns for mixtures named in up to 12 characters. Warnings of one mixture share
a line, and so do mixtures or pairs left out for the same reason.
"""

import math
from collections.abc import Iterable, Mapping

from rich.markup import escape
from rich.table import Table
from rich.text import Text

from jetscale.display import console, table
from jetscale.plan import short
from jetscale.scaling import (
    Allocation,
    Comparison,
    DataFactor,
    Estimate,
    PairedStudy,
    StudyFit,
    Summary,
)


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
    console.print(
        f"* not identified at this scale. Objective: {first.objective}. Intervals: "
        f"{fits.interval}; {fits.replicates} replicates. Compute: {fits.cost.convention}",
        style="dim",
    )
    _lines(fits.warnings)
    _lines(_folded({name: fitted.warnings for name, fitted in fits.mixtures.items()}))


def show_comparison(comparison: Comparison) -> None:
    """Differences of exponents, pair by pair."""
    rows = _table("Exponents: b minus a", "a", "b", "delta of N* exponent", "p", "verdict", left=2)
    rows.columns[-1].no_wrap = False
    for pair in comparison.pairs:
        delta = interval(pair.delta_params_exponent)
        _add(
            rows,
            pair.a,
            pair.b,
            delta,
            f"{pair.p_value:.2g}",
            pair.verdict.removesuffix(" at this scale"),
        )
    console.print(rows)
    method = comparison.pairs[0].to_dict()["method"]
    console.print(
        f"* not identified at this scale. p: {method}. The verdict claims a shift of the exponent "
        "only where p is below 0.05, the interval excludes zero and both exponents are identified: "
        "a small p alone says that the curves differ in shape.",
        style="dim",
    )
    _show_ratios(comparison)
    _lines(_grouped("not compared", comparison.not_compared))


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
            _count(found.params),
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
    meaning = " best: share of bootstrap replicates with the lowest loss." if several else ""
    console.print(
        f"* optimum not identified at this scale.{meaning} Compute: {allocation.convention}",
        style="dim",
    )
    _show_measured(allocation)
    _lines(_grouped("not fitted", allocation.not_fitted))
    _lines(allocation.warnings)
    _lines(_folded({name: found.warnings for name, found in allocation.mixtures.items()}))


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
    if allocation.best_identified:
        return (
            f"For mixture {allocation.best} and {budget}: {_advice(allocation, allocation.best)}."
        )
    measured = {n: f.measured for n, f in allocation.mixtures.items() if f.measured is not None}
    loose = (
        "Not identified at this scale: the runs do not determine the laws, so what they predict "
    )
    if not measured:
        advice = _advice(allocation, allocation.best)
        return (
            f"{loose}is to be tested, not spent by. For {allocation.best} and {budget}: {advice}."
        )
    name = min(measured, key=lambda n: measured[n].loss)
    cell = measured[name]
    rank = f", the lowest of {len(measured)} mixtures" if len(measured) > 1 else ""
    return (
        f"For mixture {name} and {budget}: {short(cell.params)} parameters on "
        f"{short(cell.examples)} jets reached loss {cell.loss:.3f}, measured{rank}. {loose}for "
        f"it is to be tested, not spent by: {_advice(allocation, name)}."
    )


def _advice(allocation: Allocation, name: str) -> str:
    found = allocation.mixtures[name]
    if found.params.value < 1 or found.examples.value < 1:
        return "no usable optimum, less than one parameter or jet"
    loss = found.loss
    return (
        f"train {_size(found.params.value)} parameters on {_size(found.examples.value)} jets, "
        f"expect loss {loss.value:.3f} [{loss.low:.3f}, {loss.high:.3f}]"
    )


def _count(estimate: Estimate) -> str:
    value, low, high = map(_size, (estimate.value, estimate.low, estimate.high))
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
