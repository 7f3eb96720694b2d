"""Tables of whether a fit can be trusted, one row per mixture, within 80 columns.

The whole of every check, cell by cell, is in the JSON and in the report.
"""

from collections.abc import Mapping

from jetscale.display.console import note, show_table
from jetscale.scaling import Diagnostics, MixtureConventions, MixtureDiagnostics, StudyFit

_SHORT = {"6ND without embedding": "no embedding"}


def show_checks(
    fits: StudyFit, found: Diagnostics, conventions: Mapping[str, MixtureConventions]
) -> None:
    """Show forecasts, influence, lack of fit and window, then the exponent by convention."""
    columns = ("mixture", "largest N", "largest C", "worst cell", "misfit p", "window moves a")
    checks = ((m, *_checks(one, fits[m]["a"].identified)) for m, one in found.mixtures.items())
    show_table("Can the fits be trusted?", columns, checks)
    note(
        "Largest N, C: mean error of a forecast of the runs of the largest model, or of most "
        "compute, from the others, and how many lie in their 95% prediction intervals. Worst cell: "
        "without it a moves by so many half widths of its interval. Misfit p: small where cells "
        "deviate from the law more than seeds do. Window: in how many refits without an edge of "
        "the grid a leaves its interval by more than chance; not judged where a is not identified."
    )
    names = list(dict.fromkeys(row.name for one in conventions.values() for row in one.rows))
    if len(names) < 2:
        return
    rows = []
    for mixture, counted in conventions.items():
        values = {row.name: row.params_exponent for row in counted.rows}
        cells = (
            "–" if value is None else f"{value.value:.3f}{'' if value.identified else ' *'}"
            for value in map(values.get, names)
        )
        rows.append((mixture, *cells))
    shown = (_SHORT.get(name, name) for name in names)
    show_table("Exponent a by compute convention", ("mixture", *shown), rows)


def _checks(one: MixtureDiagnostics, identified: bool) -> tuple[str, ...]:
    """The cells of a row; a window is judged where the exponent is identified."""
    worst, found = one.influence.worst, [window.params_exponent for window in one.windows]
    moved = sum(window.significant for window in one.windows)
    judged = sum(value is not None and value.identified for value in found)
    forecasts = [
        "–" if f.reason else f"{f.mean_error:+.1%} {f.inside}/{len(f.cells)}" for f in one.forecasts
    ]
    return (
        *forecasts,
        "–" if worst is None else f"{abs(worst.relative_shift):.2f}",
        "–" if one.residuals.reason else f"{one.residuals.p_value:.2g}",
        f"{moved} of {judged}" if identified and judged else "not judged",
    )
