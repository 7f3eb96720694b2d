"""The fitted law of each mixture: parameters, fit and residuals."""

import math

from jetscale.report import figures_law as figures
from jetscale.report.html import (
    Context,
    Markup,
    bullets,
    estimate,
    join,
    paragraph,
    table,
    tag,
)
from jetscale.scaling import StudyFit
from jetscale.scaling.engine.laws import FORMULA, PARAMETERS


def section(context: Context) -> Markup:
    """Parameters and exponents with intervals, fits and residuals."""
    fits = context.results.fits
    if fits is None:
        return paragraph(f"No law is fitted: {context.results.missing['fits']}.")
    text = (
        f"{FORMULA} is fitted to every mixture; the exponents of the compute-optimal frontier, "
        "N* ∝ C^a and D* ∝ C^b, follow from alpha and beta. A number that the runs do not "
        "determine is marked; its value and interval are shown for completeness, not for use."
    )
    return join(
        paragraph(text),
        _parameters(fits),
        bullets((f"{name}: not fitted: it {why}" for name, why in fits.not_fitted.items()), "open"),
        tag("h3", "Fit and residuals"),
        paragraph("Darker curves and points are larger models.", class_="note"),
        _fits(context, fits),
    )


def _parameters(fits: StudyFit) -> Markup:
    columns = ["mixture", *PARAMETERS, "a (N* ∝ C^a)", "b (D* ∝ C^b)", "worst residual"]
    rows = [
        [
            name,
            *(estimate(fitted.parameters[parameter]) for parameter in PARAMETERS),
            estimate(fitted.frontier["params_exponent"]),
            estimate(fitted.frontier["data_exponent"]),
            f"{fitted.worst_residual:.1%}",
        ]
        for name, fitted in fits.mixtures.items()
    ]
    return table(columns, rows)


def _fits(context: Context, fits: StudyFit) -> Markup:
    runs = context.results.runs
    limit = 1.15 * 100 * max(fitted.worst_residual for fitted in fits.mixtures.values())
    limit = max(limit, 0.1) if math.isfinite(limit) else 100.0
    panels = {}
    for name, fitted in fits.mixtures.items():
        panels[f"{name}: runs and law"] = figures.law_fit(fitted, runs, context.styles[name])
    for name, fitted in fits.mixtures.items():
        style = context.styles[name]
        panels[f"{name}: residuals"] = figures.residuals(fitted, runs, style, limit)
    return context.figures.panels(panels, "small")
