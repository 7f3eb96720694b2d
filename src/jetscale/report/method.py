"""The first and the last sections: the answer, what was held fixed, the checklist, the method."""

from importlib.metadata import version
from typing import Any

from jetscale.report import decisions
from jetscale.report.values import Context, Reasons, Table, table
from jetscale.scaling import StudyFit
from jetscale.scaling.engine.laws import EXPONENT_BOUNDS
from jetscale.words import number, short

_PACKAGES = ("jetscale", "numpy", "scipy", "pandas", "plotly")


def answer(context: Context, reasons: Reasons) -> dict[str, Any]:
    """The measured sentence and the one of the laws."""
    return {"sentences": (context.results.measured_sentence, context.results.law_sentence)}


def held_fixed(context: Context, reasons: Reasons) -> dict[str, Any]:
    """The table of controls."""
    held = context.held_fixed or {}
    rows = [{"control": name, "value": value} for name, value in held.items()]
    return {"table": table("What was held fixed", rows, text=2)}


def checklist(context: Context, reasons: Reasons) -> dict[str, Any]:
    """Every item with its answer."""
    found = decisions.checklist(context.results, context.held_fixed)
    rows = [{"item": item.name, "answer": item} for item in found]
    return {"table": table("Checklist", rows, text=2)}


def method(context: Context, reasons: Reasons) -> dict[str, Any]:
    """What the checklist does not ask: settings, versions, diagnostics and every warning."""
    runs, fits = context.results.runs, context.results.fits
    sizes = [", ".join(map(short, sorted(runs[name].unique()))) for name in ("params", "examples")]
    how = dict(zip(("model sizes N", "data sizes D"), sizes, strict=True))
    how["loss"] = "test loss at the end of training, as in the run table"
    warnings = list(context.warnings)
    if fits is not None:
        how["bounds"] = "{:g} ≤ alpha, beta ≤ {:g}; E, A, B ≥ 0".format(*EXPONENT_BOUNDS)
        how["Huber width delta"] = f"{fits.delta:.4g} in log loss"
        how["seed of the replicates"] = str(fits.seed)
        warnings += fits.warnings
        warnings += [line for fitted in fits.mixtures.values() for line in fitted.warnings]
    how["versions"] = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    return {
        "how": table("Method", [{"what": name, "how": text} for name, text in how.items()], text=2),
        "diagnostics": fits and diagnostics(fits),
        "warnings": list(dict.fromkeys(warnings)),
    }


def diagnostics(fits: StudyFit) -> Table:
    """Convergence and conditioning of every fit."""
    rows = [
        {
            "mixture": name,
            "runs": fitted.n_runs,
            "cells": fitted.n_cells,
            "measured FLOPs": " to ".join(map(number, fitted.window["flops"])),
            "starts at optimum": f"{fitted.starts_at_optimum} of {fitted.starts_polished}",
            "gradient": number(fitted.gradient_norm, 2),
            "condition number": number(fitted.condition, 2),
            "at a bound": ", ".join(fitted.at_bounds) or "none",
            "degenerate replicates": f"{fitted.replicates_degenerate} of {fits.replicates}",
        }
        for name, fitted in fits.mixtures.items()
    ]
    return table("Diagnostics of the fits", rows)
