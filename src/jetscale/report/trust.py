"""Can the fits be trusted: what they forecast, what they rest on, what they leave open.

Every check is one line in a table, the worrying ones marked; figures show the whole of it.
"""

from collections.abc import Iterator

from scipy.stats import binom

from jetscale.report import figures_trust as figures
from jetscale.report.html import Context, Markup, estimate, join, number, paragraph, table, tag
from jetscale.scaling import Diagnostics, MixtureDiagnostics, StudyFit
from jetscale.scaling.estimate import CONFIDENCE

_SUSPICIOUS = 0.05


def section(context: Context) -> Markup:
    """The checks as a table, then forecasts, influence, profiles and the window scan."""
    found, fits = context.results.diagnostics, context.results.fits
    if found is None or fits is None:
        return paragraph(f"There is nothing to check: {context.results.missing['fits']}.")
    return join(
        paragraph(
            "A fit can be precise and wrong. These checks ask whether the law forecasts runs it "
            "has not seen, whether single cells decide the answer, and which exponents the runs "
            "exclude."
        ),
        _checks(found),
        tag("h3", "Would it have forecast the largest runs?"),
        paragraph(
            "The law is fitted without the largest model (filled) and without the fifth of the "
            "cells that cost most (open), and predicts them; bars are 95% prediction intervals. "
            "Errors of one sign mean that the law bends beyond the runs, and so would its "
            "extrapolation."
        ),
        _panels(context, found, "forecasts of held-out cells", figures.forecast),
        tag("h3", "Does it rest on single cells?"),
        paragraph(
            "Each point is a refit without one cell. Beyond the dotted lines the exponent moves by "
            "more than half its interval. Darker points are larger models."
        ),
        _panels(context, found, "influence of each cell", figures.influence),
        tag("h3", "Which exponents do the runs exclude?"),
        paragraph(
            "Profile likelihood: the objective with the exponent held and everything else at its "
            "best. Where a curve lies below the dotted line the exponent is inside its 95% "
            "interval; a curve that stays below it leaves the exponent open. In the maps, inner "
            "and outer regions hold 68% and 95%."
        ),
        context.key(),
        _profiles(context, found),
        _panels(context, found, "allowed alpha and beta", figures.exponent_map),
        tag("h3", "Does the window matter?"),
        paragraph(
            "The same fit without some of the runs. An exponent that leaves its interval by more "
            "than chance allows shows that the law does not hold over the whole window. Shifts "
            "are not judged where the runs do not identify the exponent."
        ),
        _windows(fits, found),
    )


def _checks(found: Diagnostics) -> Markup:
    rows = [(name, what, text) for name, one in found.mixtures.items() for what, text in _rows(one)]
    return table(("mixture", "check", "result"), rows, text=3)


def _rows(one: MixtureDiagnostics) -> Iterator[tuple[str, Markup]]:
    """Each check of a mixture as a line; those that warn are marked."""
    for forecast in one.forecasts:
        chance = binom.cdf(forecast.inside, len(forecast.cells), CONFIDENCE)
        warns = bool(forecast.reason) or chance < _SUSPICIOUS
        yield "forecast", _line(forecast.text, warns)
    yield "influence", _line(one.influence.text, one.influence.flagged)
    yield "residuals", _line(one.residuals.text, one.residuals.p_value < _SUSPICIOUS)
    for name, profile in one.profiles.items():
        ends = f"{name} {number(profile.value)} [{number(profile.low)}, {number(profile.high)}]"
        sides = [
            side
            for side, is_open in (("below", profile.open_low), ("above", profile.open_high))
            if is_open
        ]
        text = f"{ends}, open {' and '.join(sides)}" if sides else ends
        yield "profile likelihood", _line(text, bool(sides))


def _line(text: str, warns: bool) -> Markup:
    return tag("span", text, class_="open" if warns else "")


def _panels(context: Context, found: Diagnostics, what: str, draw: figures.Draw) -> Markup:
    drawn = {
        f"{name}: {what}": draw(one, context.styles[name]) for name, one in found.mixtures.items()
    }
    return context.figures.panels(drawn, "small")


def _profiles(context: Context, found: Diagnostics) -> Markup:
    drawn = {
        f"Profile of {name}": figures.profile(found, context.styles, name)
        for name in ("alpha", "beta")
    }
    return context.figures.panels(drawn)


def _windows(fits: StudyFit, found: Diagnostics) -> Markup:
    columns = ("mixture", "without", "cells", "a (N* ∝ C^a)", "alpha", "beta", "moved a")
    rows = [row for name in found.mixtures for row in _window_rows(fits, found, name)]
    return table(columns, rows, text=2)


def _window_rows(fits: StudyFit, found: Diagnostics, name: str) -> Iterator[list[object]]:
    full = fits.mixtures[name]
    numbers = (full.frontier["params_exponent"], full.parameters["alpha"], full.parameters["beta"])
    yield [name, "nothing", full.n_cells, *map(estimate, numbers), "–"]
    for window in found.mixtures[name].windows:
        if window.params_exponent is None or window.alpha is None or window.beta is None:
            yield [name, window.left_out, "–", f"not fitted: {window.reason}", "–", "–", "–"]
            continue
        numbers = (window.params_exponent, window.alpha, window.beta)
        judged = full.frontier["params_exponent"].identified and window.params_exponent.identified
        beyond = ", beyond chance" if window.significant else ""
        moved = f"{window.shift:+.3f}{beyond if judged else ', not judged'}"
        cells = (window.left_out, window.cells, *map(estimate, numbers))
        yield [name, *cells, _line(moved, window.significant)]
