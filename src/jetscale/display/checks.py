"""Tables of whether a fit can be trusted, one row per mixture, within 80 columns.

The whole of every check, cell by cell, is in the JSON and in the report.
"""

from collections.abc import Mapping

from rich.text import Text

from jetscale.display.console import console, table
from jetscale.scaling import Diagnostics, Estimate, MixtureConventions, MixtureDiagnostics, StudyFit
from jetscale.scaling.diagnostics.forecast import Forecast

_SHORT = {"6ND without embedding": "no embedding"}


def show_checks(
    fits: StudyFit, found: Diagnostics, conventions: Mapping[str, MixtureConventions]
) -> None:
    """Forecasts, influence, lack of fit and window, then the exponent by compute convention."""
    rows = table(
        "Can the fits be trusted?",
        "mixture",
        "largest N",
        "largest C",
        "worst cell",
        "misfit p",
        "window moves a",
    )
    rows.padding = (0, 1, 0, 0)
    for name, one in found.mixtures.items():
        identified = fits.mixtures[name].frontier["params_exponent"].identified
        rows.add_row(*map(Text, (name, *_checks(one, identified))))
    console.print(rows)
    console.print(
        "Largest N, C: mean error of a forecast of the runs of the largest model, or of most "
        "compute, from the others, and how many lie in their 95% prediction intervals. Worst cell: "
        "without it a moves by so many half widths of its interval. Misfit p: small where cells "
        "deviate from the law more than seeds do. Window: in how many refits without an edge of "
        "the grid a leaves its interval by more than chance; not judged where a is not identified.",
        style="dim",
    )
    _show_conventions(conventions)


def _checks(one: MixtureDiagnostics, identified: bool) -> tuple[str, ...]:
    """The cells of a row; a window is judged where the exponent is identified."""
    worst = one.influence.worst
    moved = sum(window.significant for window in one.windows)
    found = [window.params_exponent for window in one.windows]
    judged = sum(value is not None and value.identified for value in found)
    return (
        *map(_forecast, one.forecasts),
        "–" if worst is None else f"{abs(worst.relative_shift):.2f}",
        "–" if one.residuals.reason else f"{one.residuals.p_value:.2g}",
        f"{moved} of {judged}" if identified and judged else "not judged",
    )


def _forecast(found: Forecast) -> str:
    if found.reason:
        return "–"
    return f"{found.mean_error:+.1%} {found.inside}/{len(found.cells)}"


def _show_conventions(conventions: Mapping[str, MixtureConventions]) -> None:
    """The exponent a of every mixture, a column per convention."""
    names = list(dict.fromkeys(row.name for one in conventions.values() for row in one.rows))
    if len(names) < 2:
        return
    shown = [_SHORT.get(name, name) for name in names]
    rows = table("Exponent a by compute convention", "mixture", *shown)
    rows.padding = (0, 1, 0, 0)
    for mixture, one in conventions.items():
        values = {row.name: row.params_exponent for row in one.rows}
        rows.add_row(*map(Text, (mixture, *(_exponent(values.get(name)) for name in names))))
    console.print(rows)


def _exponent(value: Estimate | None) -> str:
    if value is None:
        return "–"
    return f"{value.value:.3f}{'' if value.identified else ' *'}"
