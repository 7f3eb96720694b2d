"""The sections of the fitted laws: parameters, checks, frontier, budgets, and the budget slider.

A prediction never stands alone: beside it is the best cell that was run within the budget. The
answers of the slider are computed here, at ten budgets per decade; the script of the page looks
them up. Its prices are the reader's own and change the shown cost, not the optimum.
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from jetscale.report import decisions
from jetscale.report.figures import law as figures
from jetscale.report.values import Cell, Context, Reasons, table
from jetscale.scaling import Comparison, Diagnostics, Estimate, MixtureFit, StudyFit
from jetscale.scaling.bootstrap import not_identified
from jetscale.scaling.engine.laws import Array
from jetscale.scaling.estimate import percentile_interval
from jetscale.words import number, short, size

_A, _B = "a (N* ∝ C^a)", "b (D* ∝ C^b)"
_ONE_LAW = 3  # laws that share more parameters than this share all of them
_PER_DECADE = 10
_BEYOND = 1.0  # decades on either side of the measured compute
_NO_OPTIMUM = [["–", ""], ["–", ""], ["no usable optimum", ""]]


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
    for name, fitted in mixtures:
        drawn[f"{name}: residuals"] = figures.residuals(fitted, runs, styles[name], limit)
    return {
        "formula": fits.law,
        "parameters": table("Parameters of the laws", rows),
        "not_fitted": [f"{name}: not fitted: it {why}" for name, why in fits.not_fitted.items()],
        "panels": context.panels(drawn),
    }


def trust(context: Context, reasons: Reasons) -> dict[str, Any]:
    """The checks as a table, then forecasts, influence, profiles and the window scan."""
    found, styles = context.results.diagnostics, context.styles
    assert found is not None
    rows = [
        {"mixture": name, "check": check.name, "result": check}
        for name, one in found.mixtures.items()
        for check in decisions.trust_checks(one)
    ]

    def panels(what: str, draw: figures.Draw) -> dict[str, str]:
        """One figure per mixture."""
        return context.panels(
            {f"{n}: {what}": draw(one, styles[n]) for n, one in found.mixtures.items()}
        )

    profiles = ((f"Profile of {n}", figures.profile(found, styles, n)) for n in ("alpha", "beta"))
    windows = _windows(context.fits, found, reasons)
    # in the order of the page, which numbers the figures
    return {
        "checks": table("Checks of the fits", rows, text=3),
        "forecasts": panels("forecasts of held-out cells", figures.forecast),
        "influence": panels("influence of each cell", figures.influence),
        "profiles": context.panels(dict(profiles)),
        "maps": panels("allowed alpha and beta", figures.exponent_maps(found)),
        "windows": table("Fits without some runs", windows, text=2),
    }


def _windows(fits: StudyFit, found: Diagnostics, reasons: Reasons) -> Iterator[dict[str, object]]:
    """The full fit of each mixture, then the fits without the edges of its window."""

    def row(name: str, without: str, cells: int, reason: str, *numbers: Estimate | None) -> Any:
        """A fit: its exponent a, alpha and beta, or why it could not be made."""
        a, alpha, beta = (reasons.estimate(value) for value in numbers)
        if reason:
            a = Cell(f"not fitted: {reason}")
        start = {"mixture": name, "without": without, "cells": cells or "–"}
        return start | {_A: a, "alpha": alpha, "beta": beta}

    for name, one in found.mixtures.items():
        full = fits.mixtures[name]
        exponent = full.frontier["params_exponent"]
        numbers = (exponent, full.parameters["alpha"], full.parameters["beta"])
        yield row(name, "nothing", full.n_cells, "", *numbers) | {"moved a": "–"}
        for window in one.windows:
            refit = (window.params_exponent, window.alpha, window.beta)
            moved = decisions.window_shift(window, exponent.identified)
            shown = row(name, window.left_out, window.cells, window.reason, *refit)
            yield shown | {"moved a": moved}


def frontier(context: Context, reasons: Reasons) -> dict[str, Any]:
    """N*(C), D*(C), the exponents, and whether they differ."""
    results, fits, styles = context.results, context.fits, context.styles
    drawn = {
        "Best model size against compute": figures.frontier(fits, styles, "params"),
        "Best number of examples against compute": figures.frontier(fits, styles, "examples"),
        "Exponent a with its interval; open: not identified": figures.exponents(fits, styles),
    }
    isoflop = {
        f"{name}: isoFLOP profiles and minima": figures.isoflop(name, found.routes[1], styles[name])
        for name, found in results.routes.items()
        if found.routes[1].points
    }
    routes = [
        {
            "mixture": name,
            **{r.name: reasons.estimate(r.params_exponent, missing=r.missing) for r in one.routes},
            "verdict": one.verdict,
        }
        for name, one in results.routes.items()
    ]
    rows = [(n, row, one.rows[0]) for n, one in results.conventions.items() for row in one.rows]
    conventions = [
        {
            "mixture": name,
            "compute": row.name,
            _A: reasons.estimate(row.params_exponent, missing=row.reason),
            _B: reasons.estimate(row.data_exponent, missing=row.reason),
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
        "routes": table("Exponents by other routes", routes),
        "isoflop": context.panels(isoflop),
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
            "cells": pair.n_cells,
            "exponent of N*: b − a": reasons.estimate(pair.delta_params_exponent),
            "with one floor E": reasons.estimate(pair.delta_params_exponent_shared_floor),
            "exponent of D*: b − a": reasons.estimate(pair.delta_data_exponent),
            "verdict": pair.verdict.text,
        }
        exponents.append(names | differences)
        found = {test.shared: test.p_value for test in pair.tests}
        tests = {
            "one law" if len(shared) > _ONE_LAW else ", ".join(shared): found.get(shared)
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
    low, high = map(number, fits.flops)
    return {
        "low": low,
        "high": high,
        "convention": fits.cost.convention,
        "choice": decisions.choice(answers),
        "table": table("What a budget buys", rows, text=2),
        "warnings": decisions.allocation_warnings(answers),
    }


def slider(context: Context, reasons: Reasons) -> dict[str, Any]:
    """The answers, and the prices the reader starts from."""
    rate, source = context.results.rate
    prices = (
        ("rate", "training FLOP/s", number(rate)),
        ("hour", "price of a GPU-hour", "2"),
        ("example", "price of a distinct example", "0"),
    )
    return {"data": answers(context.fits), "prices": prices, "rate_source": source}


def answers(fits: StudyFit) -> dict[str, Any]:
    """Per budget and mixture the texts of N*, D* and loss, and D* (None: no usable optimum)."""
    low, high = (math.log10(end) for end in fits.flops)
    first = math.floor((low - _BEYOND) * _PER_DECADE)
    last = math.ceil((high + _BEYOND) * _PER_DECADE)
    flops = 10.0 ** (np.arange(first, last + 1) / _PER_DECADE)
    columns = [_column(fits, fitted, flops) for fitted in fits.mixtures.values()]
    return {
        "start": round((last - first) * 0.5),
        "budgets": [f"{number(float(c), 2)} FLOPs" for c in flops],
        "flops": [float(c) for c in flops],
        "notes": [decisions.extrapolation(float(c), 10**low, 10**high) for c in flops],
        "mixtures": list(fits.mixtures),
        "rows": [list(row) for row in zip(*columns, strict=True)],
    }


def _column(fits: StudyFit, fitted: MixtureFit, flops: Array) -> list[dict[str, Any]]:
    """The answers of one mixture at all budgets, as `jetscale.scaling.allocate` gives them."""
    is_open = bool(not_identified(fitted.parameters, fitted.law))
    best = figures.best_runs(fits, fitted, fitted.theta, flops)
    draws = figures.best_runs(fits, fitted, fitted.replicates.theta[:, None], flops)
    rows: list[dict[str, Any]] = []
    for i in range(len(flops)):
        params, examples, loss = (float(values[i]) for values in best)
        n, d, ends = (percentile_interval(values[:, i], fitted.n_cells) for values in draws)
        # Without a whole parameter and a whole example there is nothing to train.
        usable = params >= 1 and examples >= 1 and math.isfinite(examples)
        limits = ["[{}, {}]".format(*(size(end, 3) for end in interval)) for interval in (n, d)]
        shown = [number(loss, 4), "[{}, {}]".format(*(number(end, 4) for end in ends))]
        cells = [[short(params), limits[0]], [short(examples), limits[1]], shown]
        answer = (cells, examples) if usable else (_NO_OPTIMUM, None)
        rows.append({"open": is_open, "cells": answer[0], "examples": answer[1]})
    return rows
