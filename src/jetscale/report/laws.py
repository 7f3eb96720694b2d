"""The sections of the fitted laws: parameters, fits and residuals, and the checks of the fits."""

import math
from collections.abc import Iterator
from typing import Any

from jetscale.report.decisions import trust_checks, window_shift
from jetscale.report.figures import law as law_figures
from jetscale.report.figures import trust as trust_figures
from jetscale.report.values import Cell, Context, Reasons, table
from jetscale.scaling import Diagnostics, Estimate, StudyFit
from jetscale.scaling.engine.laws import FORMULA, PARAMETERS


def law(context: Context, reasons: Reasons) -> dict[str, Any]:
    """Parameters and exponents with intervals, fits and residuals."""
    fits, runs = context.results.fits, context.results.runs
    assert fits is not None
    rows = []
    for name, fitted in fits.mixtures.items():
        shown = {parameter: fitted.parameters[parameter] for parameter in PARAMETERS} | {
            "a (N* ∝ C^a)": fitted.frontier["params_exponent"],
            "b (D* ∝ C^b)": fitted.frontier["data_exponent"],
        }
        cells = {column: reasons.estimate(value) for column, value in shown.items()}
        rows.append({"mixture": name} | cells | {"worst residual": f"{fitted.worst_residual:.1%}"})
    # All residual panels share one scale, so that a bad fit looks bad beside a good one.
    limit = 1.15 * 100 * max(fitted.worst_residual for fitted in fits.mixtures.values())
    limit = max(limit, 0.1) if math.isfinite(limit) else 100.0
    drawn = {}
    for name, fitted in fits.mixtures.items():
        drawn[f"{name}: runs and law"] = law_figures.law_fit(fitted, runs, context.styles[name])
    for name, fitted in fits.mixtures.items():
        style = context.styles[name]
        drawn[f"{name}: residuals"] = law_figures.residuals(fitted, runs, style, limit)
    return {
        "formula": FORMULA,
        "parameters": table("Parameters of the laws", rows),
        "not_fitted": [f"{name}: not fitted: it {why}" for name, why in fits.not_fitted.items()],
        "panels": context.panels(drawn),
    }


def trust(context: Context, reasons: Reasons) -> dict[str, Any]:
    """The checks as a table, then forecasts, influence, profiles and the window scan."""
    fits, found = context.results.fits, context.results.diagnostics
    assert fits is not None
    assert found is not None
    checks = [
        {"mixture": name, "check": check.name, "result": check}
        for name, one in found.mixtures.items()
        for check in trust_checks(one)
    ]

    def panels(what: str, draw: trust_figures.Draw) -> Any:
        """One figure per mixture."""
        drawn = {f"{n}: {what}": draw(one, context.styles[n]) for n, one in found.mixtures.items()}
        return context.panels(drawn)

    forecasts = panels("forecasts of held-out cells", trust_figures.forecast)
    influence = panels("influence of each cell", trust_figures.influence)
    profiles = {
        f"Profile of {name}": trust_figures.profile(found, context.styles, name)
        for name in ("alpha", "beta")
    }
    return {
        "checks": table("Checks of the fits", checks, text=3),
        "forecasts": forecasts,
        "influence": influence,
        "profiles": context.panels(profiles),
        "maps": panels("allowed alpha and beta", trust_figures.exponent_maps(found)),
        "windows": table("Fits without some runs", _windows(fits, found, reasons), text=2),
    }


def _windows(fits: StudyFit, found: Diagnostics, reasons: Reasons) -> Iterator[dict[str, object]]:
    """The full fit of each mixture, then the fits without the edges of its window."""

    def row(name: str, without: str, cells: int, reason: str, *numbers: Estimate | None) -> Any:
        """A fit: its exponent a, alpha and beta, or why it could not be made."""
        a, alpha, beta = (reasons.estimate(value) for value in numbers)
        if reason:
            a = Cell(f"not fitted: {reason}")
        start = {"mixture": name, "without": without, "cells": cells or "–"}
        return start | {"a (N* ∝ C^a)": a, "alpha": alpha, "beta": beta}

    for name, one in found.mixtures.items():
        full = fits.mixtures[name]
        exponent = full.frontier["params_exponent"]
        numbers = (exponent, full.parameters["alpha"], full.parameters["beta"])
        yield row(name, "nothing", full.n_cells, "", *numbers) | {"moved a": "–"}
        for window in one.windows:
            refit = (window.params_exponent, window.alpha, window.beta)
            moved = window_shift(window, exponent.identified)
            shown = row(name, window.left_out, window.cells, window.reason, *refit)
            yield shown | {"moved a": moved}
