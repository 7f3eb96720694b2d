"""Do two mixtures scale differently: differences of exponents, nested tests, frontiers compared.

A shift is claimed only where interval and test agree and the exponents are identified; everything
else in these tables is there so that a reader can see why.
"""

from collections.abc import Callable, Iterable

from jetscale.report.html import (
    Context,
    Markup,
    bullets,
    estimate,
    join,
    number,
    paragraph,
    table,
)
from jetscale.scaling import Comparison, Estimate, PairComparison

_ONE_LAW = 3
"""Laws that share more parameters than this share all of them."""


def section(context: Context) -> Markup:
    """Exponents, tests and ratios of every pair of mixtures."""
    comparison = context.results.comparison
    if comparison is None:
        return paragraph(f"Not compared: {context.results.missing['comparison']}.")
    left_out = (f"{pair}: {why}" for pair, why in comparison.not_compared.items())
    return join(
        _exponents(comparison),
        paragraph(f"Intervals: {comparison.interval}.", "note"),
        _tests(comparison),
        paragraph(
            f"p-values that both laws have in common what heads the column: "
            f"{comparison.pairs[0].method}. A small p alone says that the fitted curves differ in "
            "shape, not that the exponents are known.",
            "note",
        ),
        _ratios(comparison),
        bullets(left_out, "open"),
    )


def _rows(
    comparison: Comparison, cells: Callable[[PairComparison], Iterable[object]]
) -> list[tuple[object, ...]]:
    return [(pair.a, pair.b, *cells(pair)) for pair in comparison.pairs]


def _exponents(comparison: Comparison) -> Markup:
    columns = (
        "a",
        "b",
        "cells",
        "exponent of N*: b − a",
        "with one floor E",
        "exponent of D*: b − a",
        "verdict",
    )

    def cells(pair: PairComparison) -> Iterable[object]:
        deltas = (
            pair.delta_params_exponent,
            pair.delta_params_exponent_shared_floor,
            pair.delta_data_exponent,
        )
        return pair.n_cells, *map(estimate, deltas), pair.verdict

    return table(columns, _rows(comparison, cells), text=2)


def _tests(comparison: Comparison) -> Markup:
    shared = [test.shared for test in comparison.pairs[0].tests]
    names = ["one law" if len(found) > _ONE_LAW else ", ".join(found) for found in shared]

    def cells(pair: PairComparison) -> Iterable[object]:
        values = [*(test.p_value for test in pair.tests), pair.permutation.p_value]
        return [number(p, 2) for p in values]

    return table(("a", "b", *names, "labels swapped"), _rows(comparison, cells), text=2)


def _ratios(comparison: Comparison) -> Markup:
    budget = comparison.pairs[0].budget
    columns = ("a", "b", "N*: b over a", "D*: b over a", "compute for equal loss: a over b")

    def cells(pair: PairComparison) -> Iterable[object]:
        return map(_ratio, (pair.params_ratio, pair.examples_ratio, pair.compute_multiplier))

    return join(
        paragraph(f"At {number(budget, 2)} FLOPs, the geometric middle of the measured compute:"),
        table(columns, _rows(comparison, cells), text=2),
    )


def _ratio(value: Estimate) -> Markup:
    return estimate(value, 2)
