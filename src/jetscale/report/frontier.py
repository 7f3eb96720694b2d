"""What the laws are for: the compute-optimal frontier, how mixtures differ in it, and budgets.

A prediction never stands alone: beside it is the best cell that was run within the budget, and a
mixture is only called the best where the laws behind the choice are identified.
"""

from typing import Any

from jetscale.report import decisions
from jetscale.report.figures import law as figures
from jetscale.report.values import Context, Reasons, Table, table
from jetscale.scaling import Comparison
from jetscale.words import number, short

_ONE_LAW = 3
"""Laws that share more parameters than this share all of them."""


def frontier(context: Context, reasons: Reasons) -> dict[str, Any]:
    """N*(C), D*(C), the exponents, and whether they differ."""
    fits, styles = context.results.fits, context.styles
    assert fits is not None
    ends = fits.flops
    drawn = {
        "Best model size against compute": figures.frontier(fits, styles, "params", ends),
        "Best number of jets against compute": figures.frontier(fits, styles, "examples", ends),
        "Exponent a with its interval; open: not identified": figures.exponents(fits, styles),
    }
    isoflop = {
        f"{name}: isoFLOP profiles and minima": figures.isoflop(
            name, routes.routes[1], context.results.runs, fits.cost, styles[name]
        )
        for name, routes in context.results.routes.items()
        if routes.routes[1].points
    }
    rows = {name: one.rows for name, one in context.results.conventions.items()}
    comparison = context.results.comparison
    return {
        "loose": decisions.loose_frontiers(fits),
        "panels": context.panels(drawn),
        "routes": _routes(context, reasons),
        "isoflop": context.panels(isoflop),
        "conventions": _conventions(context, reasons),
        "meanings": {row.name: row.convention for one in rows.values() for row in one},
        "not_compared": context.results.missing.get("comparison", ""),
        "pairs": comparison and _pairs(comparison, reasons),
    }


def _routes(context: Context, reasons: Reasons) -> Table:
    """Exponent of N* by joint law, isoFLOP and envelope, and the verdict per mixture."""
    rows = []
    for name, found in context.results.routes.items():
        exponents = {
            route.name: reasons.estimate(route.params_exponent, missing=route.missing)
            for route in found.routes
        }
        rows.append({"mixture": name} | exponents | {"verdict": found.verdict})
    return table("Exponents by other routes", rows)


def _conventions(context: Context, reasons: Reasons) -> Table:
    """Exponents under every compute convention that changes them."""
    rows = [
        {
            "mixture": name,
            "compute": row.name,
            "a (N* ∝ C^a)": reasons.estimate(row.params_exponent, missing=row.reason),
            "b (D* ∝ C^b)": reasons.estimate(row.data_exponent, missing=row.reason),
            "at C": number(row.budget, 2),
            "N*": short(row.params.value) if row.params else "–",
            "D*": short(row.examples.value) if row.examples else "–",
        }
        for name, one in context.results.conventions.items()
        for row in one.rows
        if row is one.rows[0] or not decisions.changes_nothing(row, one.rows[0])
    ]
    return table("Exponents by compute convention", rows, text=2)


def _pairs(comparison: Comparison, reasons: Reasons) -> dict[str, Any]:
    """Differences of exponents, nested tests, and ratios of the frontiers of every pair."""
    exponents, p_values, ratios = [], [], []
    for pair in comparison.pairs:
        names: dict[str, object] = {"a": pair.a, "b": pair.b}
        shared_floor = pair.delta_params_exponent_shared_floor
        exponents.append(
            names
            | {
                "cells": pair.n_cells,
                "exponent of N*: b − a": reasons.estimate(pair.delta_params_exponent),
                "with one floor E": reasons.estimate(shared_floor),
                "exponent of D*: b − a": reasons.estimate(pair.delta_data_exponent),
                "verdict": pair.verdict.text,
            }
        )
        tests = {
            "one law" if len(test.shared) > _ONE_LAW else ", ".join(test.shared): test.p_value
            for test in pair.tests
        }
        if pair.permutation is not None:
            tests["labels swapped"] = pair.permutation.p_value
        p_values.append(names | {name: number(p, 2) for name, p in tests.items()})
        ratios.append(
            names
            | {
                "N*: b over a": reasons.estimate(pair.params_ratio, 2),
                "D*: b over a": reasons.estimate(pair.examples_ratio, 2),
                "compute for equal loss: a over b": reasons.estimate(pair.compute_multiplier, 2),
            }
        )
    return {
        "exponents": table("Differences of exponents", exponents, text=2),
        "interval": comparison.interval,
        "tests": table("p-values", p_values, text=2),
        "method": comparison.pairs[0].method,
        "budget": number(comparison.pairs[0].budget, 2),
        "ratios": table("Ratios of the frontiers", ratios, text=2),
        "left_out": [f"{pair}: {why}" for pair, why in comparison.not_compared.items()],
    }


def budgets(context: Context, reasons: Reasons) -> dict[str, Any]:
    """Prediction and best measured cell for a row of budgets, then every warning."""
    fits, answers = context.results.fits, context.results.allocations
    assert fits is not None
    low, high = fits.flops
    rows = []
    for answer in answers:
        for name, found in answer.mixtures.items():
            cell = found.measured
            row: dict[str, object] = {
                "budget (FLOPs)": number(answer.budget_flops),
                "mixture": name,
                "N*": reasons.estimate(found.params),
                "D*": reasons.estimate(found.examples),
                "expected loss": reasons.estimate(found.loss),
                "measured N": short(cell.params) if cell else "all cost more",
                "measured D": short(cell.examples) if cell else "–",
                "measured loss": number(cell.loss, 4) if cell else "–",
            }
            crown = (
                {"lowest loss in": f"{found.best_share:.0%}"}
                if decisions.may_choose(answers)
                else {}
            )
            rows.append(row | crown)
    return {
        "low": number(low),
        "high": number(high),
        "convention": fits.cost.convention,
        "choice": decisions.choice(answers),
        "table": table("What a budget buys", rows, text=2),
        "warnings": decisions.allocation_warnings(answers),
    }
