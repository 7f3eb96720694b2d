"""Tables of what the analysis found; measured things first, fitted laws after them."""

from collections.abc import Iterable

from rich.table import Table

from jetscale.display import console, table
from jetscale.plan import short
from jetscale.scaling import Allocation, Comparison, Estimate, PairedStudy, StudyFit


def interval(estimate: Estimate, digits: int = 3) -> str:
    """``0.34 [0.31, 0.37]``, with a star where the runs do not determine the value."""
    value, low, high = (f"{x:.{digits}g}" for x in (estimate.value, estimate.low, estimate.high))
    star = "" if estimate.identified else " *"
    return f"{value} [{low}, {high}]{star}"


def _count(estimate: Estimate) -> str:
    value, low, high = map(short, (estimate.value, estimate.low, estimate.high))
    return f"{value} [{low}, {high}]" + ("" if estimate.identified else " *")


def show_paired(study: PairedStudy) -> None:
    """Loss differences and effective data of every pair of mixtures, by data size."""
    rows = table(
        "Measured: loss of a mixture minus its baseline, same N, D and seed",
        "mixture - baseline",
        "D",
        "difference",
        "lower in",
        "effective data x",
    )
    for pair in study.pairs:
        name = f"{pair.mixture} - {pair.baseline}"
        for row in (*pair.by_examples, pair.overall):
            factor = row.data_factor
            rows.add_row(
                name,
                "all" if row.examples is None else short(row.examples),
                interval(row.difference, 2),
                f"{row.n_lower} of {row.n_pairs}",
                f"{factor.bound} {interval(factor.factor, 2)}".strip() if factor else "",
            )
            name = ""
        rows.add_section()
    console.print(rows)
    console.print(
        "95% intervals over cells. Effective data: the factor of downstream jets by which "
        "the baseline would need more to reach the same loss.",
        style="dim",
    )
    _lines(f"not paired: {pair}: {why}" for pair, why in study.not_paired.items())


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
        rows.add_row(pair.a, pair.b, delta, f"{pair.p_value:.2g}", pair.verdict)
    console.print(rows)
    method = comparison.pairs[0].to_dict()["method"]
    console.print(f"* not identified at this scale. p: {method}, Holm-corrected", style="dim")
    _lines(f"not compared: {pair}: {why}" for pair, why in comparison.not_compared.items())


def show_allocation(allocation: Allocation) -> None:
    """The answer for one budget, one row per mixture, then one sentence."""
    rows: Table = table(
        f"Budget {allocation.budget_flops:.3g} FLOPs",
        "mixture",
        "N* params",
        "D* jets",
        "loss",
        "best in",
    )
    for name, found in allocation.mixtures.items():
        share = f"{found.best_share:.0%}"
        rows.add_row(
            name, _count(found.params), _count(found.examples), interval(found.loss), share
        )
    console.print(rows)
    best = allocation.mixtures[allocation.best]
    console.print(
        f"For mixture {allocation.best} and budget {allocation.budget_flops:.3g} FLOPs: train "
        f"{short(best.params.value)} parameters on {short(best.examples.value)} jets, expect loss "
        f"{best.loss.value:.3f} [{best.loss.low:.3f}, {best.loss.high:.3f}]."
    )
    console.print(f"Compute: {allocation.convention}", style="dim")
    for found in allocation.mixtures.values():
        _lines(found.warnings)


def _lines(lines: Iterable[str]) -> None:
    for line in lines:
        console.print(f"- {line}")
