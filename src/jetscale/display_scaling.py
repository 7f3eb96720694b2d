"""Tables of what the analysis found; measured things first, fitted laws after them."""

from collections.abc import Iterable

from rich.table import Table

from jetscale.display import console, table
from jetscale.plan import short
from jetscale.scaling import (
    Allocation,
    Comparison,
    DataFactor,
    Estimate,
    PairedStudy,
    StudyFit,
)


def interval(estimate: Estimate, digits: int = 3) -> str:
    """``0.34 [0.31, 0.37]``, with a star where the runs do not determine the value."""
    value, low, high = (f"{x:.{digits}g}" for x in (estimate.value, estimate.low, estimate.high))
    star = "" if estimate.identified else " *"
    return f"{value} [{low}, {high}]{star}"


def show_paired(study: PairedStudy) -> None:
    """Loss differences and effective data of every pair of mixtures, by data size."""
    for pair in study.pairs:
        rows = table(
            f"Measured: loss of {pair.mixture} minus {pair.baseline}, same N, D and seed",
            "D",
            "difference",
            "lower in",
            "effective data",
        )
        for row in (*pair.by_examples, pair.overall):
            rows.add_row(
                "all" if row.examples is None else short(row.examples),
                _signed(row.difference),
                f"{row.n_lower} of {row.n_pairs}",
                _factor(row.data_factor),
            )
        console.print(rows)
    console.print(
        "95% intervals over cells. Effective data: by which factor the baseline would need more "
        "jets to reach the same loss; < and > are limits, where a loss lies beyond its curve.",
        style="dim",
    )
    _lines(f"not paired: {pair}: {why}" for pair, why in study.not_paired.items())


def _signed(estimate: Estimate) -> str:
    value, low, high = estimate.value, estimate.low, estimate.high
    return f"{value:+.3f} [{low:+.3f}, {high:+.3f}]"


def _factor(factor: DataFactor | None) -> str:
    if factor is None:
        return ""
    value, low, high = factor.factor.value, factor.factor.low, factor.factor.high
    return f"{factor.bound} x{value:.2g} [{low:.2g}, {high:.2g}]".strip()


def show_fit(fits: StudyFit) -> None:
    """Frontier exponents and law of every mixture, and whatever is not identified."""
    frontier = table("Frontier: N* ~ C^a, D* ~ C^b", "mixture", "a (params)", "b (data)", "cells")
    law = table("Law: L = E + A/N^alpha + B/D^beta", "mixture", "E", "alpha", "beta")
    for name, fitted in fits.mixtures.items():
        a, b = (fitted.frontier[key] for key in ("params_exponent", "data_exponent"))
        frontier.add_row(name, interval(a, 2), interval(b, 2), str(fitted.n_cells))
        law.add_row(name, *(interval(fitted.parameters[p], 2) for p in ("E", "alpha", "beta")))
    console.print(frontier)
    console.print(law)
    console.print(
        f"* not identified at this scale. 95% intervals: {fits.replicates} replicates of a "
        f"bootstrap over cells. Compute: {fits.cost.convention}",
        style="dim",
    )
    _warnings(fits)


def _warnings(fits: StudyFit) -> None:
    _lines(f"not fitted: {name}: {why}" for name, why in fits.not_fitted.items())
    _lines(fits.warnings)
    for fitted in fits.mixtures.values():
        _lines(fitted.warnings)


def show_comparison(comparison: Comparison) -> None:
    """Differences of exponents, pair by pair."""
    rows = table("Exponents: b minus a", "a", "b", "delta of N* exponent", "p", "verdict", left=2)
    for pair in comparison.pairs:
        delta = interval(pair.delta_params_exponent, 2)
        rows.add_row(
            pair.a,
            pair.b,
            delta,
            f"{pair.p_value:.2g}",
            pair.verdict.removesuffix(" at this scale"),
        )
    console.print(rows)
    method = comparison.pairs[0].to_dict()["method"]
    console.print(f"* not identified at this scale. p: {method}", style="dim")
    _lines(f"not compared: {pair}: {why}" for pair, why in comparison.not_compared.items())


def show_allocation(allocation: Allocation) -> None:
    """The answer for one budget: a sentence, the predictions, and what was measured within it."""
    console.print(_sentence(allocation))
    title = f"Predicted by the laws at {allocation.budget_flops:.3g} FLOPs"
    rows: Table = table(title, "mixture", "N* params", "D* jets", "loss", "best")
    for name, found in allocation.mixtures.items():
        rows.add_row(
            name if found.loss.identified else f"{name} *",
            _count(found.params),
            _count(found.examples),
            f"{found.loss.value:.3f} [{found.loss.low:.3f}, {found.loss.high:.3f}]",
            f"{found.best_share:.0%}",
        )
    console.print(rows)
    console.print(
        f"* optimum not identified at this scale. best: share of bootstrap replicates with the "
        f"lowest loss. Compute: {allocation.convention}",
        style="dim",
    )
    _show_measured(allocation)
    for found in allocation.mixtures.values():
        _lines(found.warnings)


def _show_measured(allocation: Allocation) -> None:
    rows = table("Measured: best cell within the budget", "mixture", "N", "D", "FLOPs", "loss")
    for name, found in allocation.mixtures.items():
        cell = found.measured
        if cell is None:
            rows.add_row(name, "none is that cheap")
            continue
        sizes = (short(cell.params), short(cell.examples), f"{cell.flops:.2g}")
        rows.add_row(name, *sizes, f"{cell.loss:.3f}")
    console.print(rows)


def _sentence(allocation: Allocation) -> str:
    """The answer in words, and where no law carries it, the best cell that was measured."""
    name, best = allocation.best, allocation.mixtures[allocation.best]
    measured = {n: f.measured for n, f in allocation.mixtures.items() if f.measured is not None}
    if measured and not allocation.best_identified:
        name = min(measured, key=lambda n: measured[n].loss)
        best = allocation.mixtures[name]
    answer = (
        f"For mixture {name} and budget {allocation.budget_flops:.3g} FLOPs: train "
        f"{_size(best.params.value)} parameters on {_size(best.examples.value)} jets, expect loss "
        f"{best.loss.value:.3f} [{best.loss.low:.3f}, {best.loss.high:.3f}]."
    )
    if allocation.best_identified:
        return answer
    cell = measured.get(name)
    known = (
        f" Measured within the budget: {short(cell.params)} parameters on {short(cell.examples)} "
        f"jets, loss {cell.loss:.3f}, the lowest of all mixtures."
        if cell
        else ""
    )
    return f"{answer} Not identified at this scale: a prediction to test, not to spend by.{known}"


def _count(estimate: Estimate) -> str:
    value, low, high = map(_size, (estimate.value, estimate.low, estimate.high))
    return f"{value} [{low}, {high}]"


def _size(value: float) -> str:
    """Parameters or jets in two digits; below one and beyond all reason there is no such run."""
    return "<1" if value < 1 else ">1e18" if value > 1e18 else short(value, 2)


def _lines(lines: Iterable[str]) -> None:
    for line in lines:
        console.print(f"- {line}")
