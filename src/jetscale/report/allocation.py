"""What the laws are for: the compute-optimal frontier, its comparison, and answers for budgets."""

from jetscale.report import figures
from jetscale.report.html import (
    Context,
    Markup,
    bullets,
    estimate,
    join,
    number,
    paragraph,
    table,
    tag,
)
from jetscale.report.results import compute_range
from jetscale.scaling import Allocation, Comparison, StudyFit
from jetscale.scaling.compare import INTERVAL
from jetscale.scaling.joint import METHOD


def frontier(context: Context) -> Markup:
    """N*(C), D*(C), the exponents, and whether they differ."""
    results = context.results
    if results.fits is None:
        return paragraph(f"There is no frontier: {results.missing['fits']}.")
    compared = (
        paragraph(f"Not compared: {results.missing['comparison']}.")
        if results.comparison is None
        else _comparison(results.comparison)
    )
    return join(
        paragraph(
            "The model size N* and the number of jets D* that reach the lowest loss at compute C. "
            "Bands are 95% intervals, cut at the frame; solid lines cover the measured compute, "
            "dashed lines are extrapolated by the law."
        ),
        context.key(),
        _loose(results.fits),
        _figures(context, results.fits),
        tag("h3", "Do the mixtures scale differently?"),
        compared,
    )


def _loose(fits: StudyFit) -> Markup:
    """A line for the mixtures whose frontier must not be used."""
    names = [n for n, f in fits.mixtures.items() if not f.frontier["params_exponent"].identified]
    if not names:
        return Markup()
    text = (
        f"Frontier not identified at this scale for {', '.join(names)}: the bands show how little"
    )
    return paragraph(f"{text} the runs say.", class_="open")


def _figures(context: Context, fits: StudyFit) -> Markup:
    ends = compute_range(fits)
    panels = {
        "Best model size against compute": figures.frontier(fits, context.styles, "params", ends),
        "Best number of jets against compute": figures.frontier(
            fits, context.styles, "examples", ends
        ),
        "Exponent a with its interval; open: not identified": figures.exponents(
            fits, context.styles
        ),
    }
    return context.figures.panels(panels)


def _comparison(comparison: Comparison) -> Markup:
    columns = ("a", "b", "cells", "exponent of N*: b − a", "exponent of D*: b − a", "p", "verdict")
    rows = [
        (
            pair.a,
            pair.b,
            pair.n_cells,
            estimate(pair.delta_params_exponent),
            estimate(pair.delta_data_exponent),
            number(pair.p_value, 2),
            pair.verdict,
        )
        for pair in comparison.pairs
    ]
    note = (
        f"Intervals: {INTERVAL}. p: equal alpha and beta of both mixtures; {METHOD}. A small p alone "
        "says that the fitted curves differ in shape, not that the exponents are known."
    )
    left_out = (f"{pair}: {why}" for pair, why in comparison.not_compared.items())
    return join(table(columns, rows, text=2), bullets(left_out, "open"), paragraph(note, "note"))


def budgets(context: Context) -> Markup:
    """Best N and D, expected loss and mixture for a row of budgets, then every warning."""
    results = context.results
    if results.fits is None:
        return paragraph(f"There is no allocation: {results.missing['fits']}.")
    columns = ("budget (FLOPs)", "mixture", "best N", "best D", "expected loss", "lowest loss in")
    rows = [row for answer in results.allocations for row in _rows(answer)]
    lines = dict.fromkeys(
        f"{number(answer.budget_flops)} FLOPs: {line}"
        for answer in results.allocations
        for mixture in answer.mixtures.values()
        for line in mixture.warnings
    )
    low, high = compute_range(results.fits)
    text = (
        f"Measured compute: {number(low)} to {number(high)} FLOPs. {results.fits.cost.convention}. "
        "The last column is the share of bootstrap replicates in which the mixture has the lowest "
        "expected loss."
    )
    summary = tag("summary", f"{len(lines)} warnings about these answers")
    warned = tag("details", summary, bullets(lines, "warnings")) if lines else Markup()
    return join(paragraph(text), table(columns, rows, text=2), warned)


def _rows(answer: Allocation) -> list[tuple[object, ...]]:
    return [
        (
            number(answer.budget_flops),
            name,
            estimate(found.params),
            estimate(found.examples),
            estimate(found.loss),
            f"{found.best_share:.0%}",
        )
        for name, found in answer.mixtures.items()
    ]
