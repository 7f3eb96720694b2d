"""The sections of the fitted laws: parameters, checks, frontier and budgets.

A prediction never stands alone: beside it is the best cell that was run within the budget.
"""

import math
from collections.abc import Iterator
from typing import Any

from jetscale.report import decisions
from jetscale.report.decisions import Finding
from jetscale.report.figures import law as figures
from jetscale.report.figures.drawing import alike
from jetscale.report.values import Cell, Context, Reasons, table
from jetscale.scaling import Comparison, Diagnostics, Estimate, StudyFit, Verdict
from jetscale.scaling.engine.laws import PARAMETERS
from jetscale.words import number, short

_A, _B = "a (N* ∝ C^a)", "b (D* ∝ C^b)"


def law(context: Context, reasons: Reasons) -> dict[str, Any]:
    """Parameters and exponents with intervals, fits and residuals."""
    fits, runs, styles = context.fits, context.results.runs, context.styles
    rows = []
    # under a law about pretraining, mixtures from scratch have fewer parameters than the others
    parameters = dict.fromkeys(n for one in fits.mixtures.values() for n in one.parameters)
    for name, fitted in fits.mixtures.items():
        shown: dict[str, Estimate | None] = {n: fitted.parameters.get(n) for n in parameters}
        shown |= {_A: fitted.frontier["params_exponent"], _B: fitted.frontier["data_exponent"]}
        cells = {column: reasons.estimate(value) for column, value in shown.items()}
        rows.append({"mixture": name} | cells | {"worst residual": f"{fitted.worst_residual:.1%}"})
    # All residual panels share one scale, so that a bad fit looks bad beside a good one.
    limit = 1.15 * 100 * max(fitted.worst_residual for fitted in fits.mixtures.values())
    limit = max(limit, 0.1) if math.isfinite(limit) else 100.0
    mixtures = fits.mixtures.items()
    drawn = {f"{n}: runs and law": figures.law_fit(one, runs, styles[n]) for n, one in mixtures}
    off = {f"{n}: residuals": figures.residuals(one, runs, styles[n], limit) for n, one in mixtures}
    return {
        "formula": fits.law,
        "parameters": table("Parameters of the laws", rows),
        "not_fitted": [f"{name}: not fitted: it {why}" for name, why in fits.not_fitted.items()],
        "fits": context.panels(alike(drawn)),
        "residuals": context.panels(alike(off)),
    }


def trust(context: Context, reasons: Reasons) -> dict[str, Any]:
    """The checks as a table, then forecasts, influence, profiles and the window scan."""
    found, styles = context.results.diagnostics, context.styles
    assert found is not None
    checks = {name: list(decisions.trust_checks(one)) for name, one in found.mixtures.items()}
    rows = [
        {"mixture": name, "check": check.name, "result": check}
        for name, made in checks.items()
        for check in made
    ]
    verdicts = [{"mixture": n, "verdict": decisions.trusted(made)} for n, made in checks.items()]

    def panels(what: str, draw: figures.Draw) -> dict[str, str]:
        """One figure per mixture."""
        return context.panels(
            alike({f"{n}: {what}": draw(one, styles[n]) for n, one in found.mixtures.items()})
        )

    profiles = ((f"Profile of {n}", figures.profile(found, styles, n)) for n in ("alpha", "beta"))
    windows = _windows(context.fits, found, reasons)
    # in the order of the page, which numbers the figures
    return {
        "verdicts": table("Verdicts on the fits", verdicts, text=2),
        "checks": table("Checks of the fits", rows, text=3),
        "forecasts": panels("forecasts of held-out cells", figures.forecast),
        "influence": panels("influence of each cell", figures.influence),
        "profiles": context.panels(dict(profiles)),
        "maps": panels("allowed alpha and beta", figures.exponent_maps(found)),
        "windows": table("Fits without some runs", windows, text=2),
    }


def _windows(fits: StudyFit, found: Diagnostics, reasons: Reasons) -> Iterator[dict[str, object]]:
    """The full fit of each mixture, then the fits without the edges of its window."""

    def row(name: str, without: str, cells: int, reason: str, a: Estimate | None) -> Any:
        """A fit: its exponent a, or why it could not be made."""
        shown = Cell(f"not fitted: {reason}") if reason else reasons.estimate(a)
        return {"mixture": name, "without": without, "cells": cells or "–", _A: shown}

    for name, one in found.mixtures.items():
        full = fits.mixtures[name]
        exponent = full.frontier["params_exponent"]
        yield row(name, "nothing", full.n_cells, "", exponent) | {"moved a": "–"}
        for window in one.windows:
            moved = decisions.window_shift(window, exponent.identified)
            a, why = window.params_exponent, window.reason
            shown = row(name, window.left_out, window.cells, why, a)
            yield shown | {"moved a": moved}


def frontier(context: Context, reasons: Reasons) -> dict[str, Any]:
    """N*(C), D*(C), the exponents, and whether they differ."""
    results, fits, styles = context.results, context.fits, context.styles
    drawn = {
        "Best model size against compute": figures.frontier(fits, styles, "params"),
        "Best number of examples against compute": figures.frontier(fits, styles, "examples"),
        "Exponent a; open: *": figures.exponents(fits, styles),
    }
    isoflop = {
        f"{name}: isoFLOP profiles and minima": figures.isoflop(name, found.routes[1], styles[name])
        for name, found in results.routes.items()
        if found.routes[1].points
    }
    routes = [
        {
            "mixture": name,
            "verdict": Finding("routes", one.verdict, one.disagree),
            **{r.name: reasons.estimate(r.params_exponent, missing=r.missing) for r in one.routes},
        }
        for name, one in results.routes.items()
    ]
    rows = [(n, row, one.rows[0]) for n, one in results.conventions.items() for row in one.rows]
    conventions = [
        {
            "mixture": name,
            "compute": row.name,
            _A: reasons.estimate(row.params_exponent, missing=row.reason),
            "at C": number(row.budget, 2),
            "N*": short(row.params.value) if row.params else "–",
            "D*": short(row.examples.value) if row.examples else "–",
        }
        for name, row, own in rows
        if row is own or not decisions.changes_nothing(row, own)
    ]
    return {
        "loose": decisions.loose_frontiers(fits),
        "panels": context.panels(drawn),
        "routes": table("Exponents by other routes", routes, text=2),
        "isoflop": context.panels(alike(isoflop)),
        "conventions": table("Exponents by compute convention", conventions, text=2),
        "meanings": {row.name: row.convention for _, row, _ in rows},
        "not_compared": results.missing.get("comparison", ""),
        "pairs": results.comparison and _pairs(results.comparison, reasons),
    }


def _pairs(comparison: Comparison, reasons: Reasons) -> dict[str, Any]:
    """Differences of exponents, nested tests, and ratios of the frontiers of every pair."""
    exponents, p_values, ratios = [], [], []
    first = comparison.pairs[0]
    asked = [test.shared for test in first.tests]
    for pair in comparison.pairs:
        names: dict[str, object] = {"a": pair.a, "b": pair.b}
        differences = {
            "verdict": "*" if pair.verdict is Verdict.NOT_IDENTIFIED else pair.verdict.text,
            "cells": pair.n_cells,
            "exponent of N*: b − a": reasons.estimate(pair.delta_params_exponent),
            "with one floor E": reasons.estimate(pair.delta_params_exponent_shared_floor),
            "exponent of D*: b − a": reasons.estimate(pair.delta_data_exponent),
        }
        exponents.append(names | differences)
        found = {test.shared: test.p_value for test in pair.tests}
        tests = {
            "one law" if shared == PARAMETERS else ", ".join(shared): found.get(shared)
            for shared in asked
        }
        if first.permutation is not None:
            swapped = pair.permutation
            tests["labels swapped"] = None if swapped is None else swapped.p_value
        p_values.append(
            names | {name: "–" if p is None else number(p, 2) for name, p in tests.items()}
        )
        over = {
            "N*: b over a": pair.params_ratio,
            "D*: b over a": pair.examples_ratio,
            "compute for equal loss: a over b": pair.compute_multiplier,
        }
        ratios.append(names | {name: reasons.estimate(ratio, 2) for name, ratio in over.items()})
    return {
        "exponents": table("Differences of exponents", exponents, text=3),
        "interval": comparison.interval,
        "tests": table("p-values", p_values, text=2),
        "method": comparison.pairs[0].method,
        "budget": number(comparison.pairs[0].budget, 2),
        "ratios": table("Ratios of the frontiers", ratios, text=2),
        "left_out": [f"{pair}: {why}" for pair, why in comparison.not_compared.items()],
    }


def budgets(context: Context, reasons: Reasons) -> dict[str, Any]:
    """Prediction and best measured cell for a row of budgets, then every warning."""
    fits, answers = context.fits, context.results.allocations
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
            if decisions.may_choose(answers):
                row["lowest loss in"] = f"{found.best_share:.0%}"
            if found.band:
                row["N within 1%"] = " to ".join(map(short, found.band.params))
            rows.append(row)
    said = {*fits.warnings, *(f"{n}: {one.verdict}" for n, one in context.results.routes.items())}
    return {
        "choice": decisions.choice(answers),
        "table": table("What a budget buys", rows, text=2),
        "warnings": [line for line in decisions.allocation_warnings(answers) if line not in said],
    }
