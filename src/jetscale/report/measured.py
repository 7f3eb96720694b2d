"""The measured part of the report: paired differences, effective data, and the losses.

Nothing here needs a law, so these sections are there whenever two mixtures share runs. A factor
that lies beyond the measured losses is shown as the limit it is.
"""

from collections.abc import Iterable

from jetscale.report import figures_measured as figures
from jetscale.report.html import (
    Context,
    Markup,
    bullets,
    estimate,
    interval,
    join,
    number,
    paragraph,
    table,
    tag,
)
from jetscale.scaling import DataFactor, Difference, PairedMixtures
from jetscale.scaling.comparison.paired import FACTOR_INTERVAL, INTERVAL

_COLUMNS = (
    "mixture",
    "against",
    "D",
    "loss difference",
    "lower in",
    "sizes N",
    "cells",
    "effective-data factor",
)


def differences(context: Context) -> Markup:
    """Paired loss differences and effective-data factors: figures, then the numbers."""
    study = context.results.paired
    if study is None:
        return paragraph(f"Nothing to compare: {context.results.missing['paired']}.")
    first = [pair for pair in study.pairs if pair.baseline == study.baseline]
    others = [pair for pair in study.pairs if pair.baseline != study.baseline]
    parts = [
        paragraph(
            "Runs that agree in model size, data and seed are compared directly; no law is "
            "assumed. The effective-data factor is how many times the data the baseline needs to "
            "reach the same loss: above 1 the mixture helps."
        ),
        context.key(),
    ]
    if first:
        panels = {
            f"Loss minus the loss of {study.baseline}: below 0 is better": figures.differences(
                study, context.styles
            ),
            "Effective-data factor: open triangles are limits": figures.data_factors(
                study, context.styles
            ),
        }
        parts += [context.figures.panels(panels), _table(first)]
    if others:
        parts.append(tag("details", tag("summary", "Other pairs of mixtures"), _table(others)))
    parts.append(bullets((f"{pair}: {why}" for pair, why in study.not_paired.items()), "open"))
    parts.append(paragraph(f"Differences: {INTERVAL}. Factors: {FACTOR_INTERVAL}.", class_="note"))
    return join(*parts)


def _table(pairs: Iterable[PairedMixtures]) -> Markup:
    rows = [
        (pair.mixture, pair.baseline, *_row(row))
        for pair in pairs
        for row in (pair.overall, *pair.by_examples)
    ]
    return table(_COLUMNS, rows, text=2)


def _row(row: Difference) -> tuple[object, ...]:
    size = "all" if row.examples is None else f"{row.examples:.0f}"
    lower = f"{row.n_lower} of {row.n_pairs} pairs"
    return size, estimate(row.difference), lower, row.n_sizes, row.n_cells, _factor(row.data_factor)


def _factor(factor: DataFactor | None) -> object:
    """The factor with its interval, or the limit it is."""
    if factor is None:
        return "–"
    if not factor.bound:
        return estimate(factor.factor)
    sign = {">": "at least ", "<": "at most "}.get(factor.bound, "limits only: about ")
    why = tag("span", factor.factor.reason, class_="range reason")
    ends = tag("span", interval(factor.factor), class_="range")
    return join(sign, number(factor.factor.value), ends, why)


def losses(context: Context) -> Markup:
    """Test loss against D for every model size, every seed a point."""
    runs = context.results.runs
    seeds = runs["seed"].nunique()
    text = (
        f"Test loss against the number of training jets D, for every model size N. Each point is a "
        f"run ({seeds} {'seed' if seeds == 1 else 'seeds'}); lines join the means over seeds."
    )
    panels = context.figures.panels(figures.losses(runs, context.styles), "small")
    return join(paragraph(text), context.key(), panels)
