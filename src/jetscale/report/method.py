"""What was held fixed and how the analysis was done, with every warning it raised."""

from importlib.metadata import version

from jetscale.report.html import (
    Context,
    Markup,
    bullets,
    join,
    number,
    paragraph,
    table,
    tag,
)
from jetscale.report.results import Results
from jetscale.scaling import StudyFit
from jetscale.scaling.engine.laws import EXPONENT_BOUNDS, FORMULA
from jetscale.words import short

_PACKAGES = ("jetscale", "numpy", "scipy", "pandas", "plotly")


def facts(results: Results) -> str:
    """The size of the study in one line."""
    runs = results.runs
    ends = {name: (runs[name].min(), runs[name].max()) for name in ("params", "examples")}
    n, d = (f"{short(low)} to {short(high)}" for low, high in ends.values())
    cells = runs["cell"].nunique()
    return (
        f"{len(runs)} runs: {_count(len(results.names), 'mixture')}, {_count(cells, 'cell')} "
        f"(N {n}, D {d}), {_count(runs['seed'].nunique(), 'seed')}"
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def held_fixed(context: Context) -> Markup:
    """The table of controls."""
    if context.held_fixed is None:
        return paragraph(
            "The run table does not say what was held fixed, so nothing here shows that the data "
            "composition alone varied between mixtures.",
            class_="open",
        )
    rows = [(name, str(value)) for name, value in context.held_fixed.items()]
    text = "These did not vary between mixtures; every record carries them."
    return join(paragraph(text), table(("control", "value"), rows, text=2))


def section(context: Context) -> Markup:
    """Conventions, fit settings, what was not checked, versions and all warnings."""
    fits = context.results.fits
    rows = _data_rows(context.results)
    warnings = list(context.warnings)
    diagnostics = Markup()
    if fits is not None:
        rows += _fit_rows(fits)
        warnings += fits.warnings
        warnings += [line for fitted in fits.mixtures.values() for line in fitted.warnings]
        diagnostics = join(tag("h3", "Diagnostics of the fits"), _diagnostics(fits))
    rows.append(("versions", ", ".join(f"{name} {version(name)}" for name in _PACKAGES)))
    shown = bullets(dict.fromkeys(warnings), "warnings") or paragraph("None.")
    how = table(("what", "how"), rows, text=2)
    return join(how, diagnostics, tag("h3", "All warnings"), shown)


def _data_rows(results: Results) -> list[tuple[str, str]]:
    runs = results.runs
    ladder = [short(value) for value in sorted(runs["params"].unique())]
    sizes = [short(value) for value in sorted(runs["examples"].unique())]
    return [
        ("runs", facts(results)),
        ("model sizes N", ", ".join(ladder)),
        ("data sizes D", ", ".join(sizes)),
        ("loss", "test loss at the end of training, as in the run table"),
        ("runs left out", "none, but for mixtures that are not fitted"),
    ]


def _fit_rows(fits: StudyFit) -> list[tuple[str, str]]:
    first = next(iter(fits.mixtures.values()))
    low, high = EXPONENT_BOUNDS
    return [
        ("law", FORMULA),
        ("objective", f"{first.objective}, every run with the same weight"),
        ("Huber width delta", f"{fits.delta:.4g} in log loss"),
        ("bounds", f"{low:g} ≤ alpha, beta ≤ {high:g}; E, A, B ≥ 0"),
        ("starts", f"{first.starts} grid points solved exactly, the best of each block polished"),
        ("intervals", f"{fits.interval}; {fits.replicates} replicates, seed {fits.seed}"),
        ("compute", fits.cost.convention),
    ]


def _diagnostics(fits: StudyFit) -> Markup:
    columns = (
        "mixture",
        "runs",
        "cells",
        "measured FLOPs",
        "starts at optimum",
        "gradient",
        "condition number",
        "at a bound",
        "degenerate replicates",
    )
    rows = [
        (
            name,
            fitted.n_runs,
            fitted.n_cells,
            " to ".join(map(number, fitted.window["flops"])),
            f"{fitted.starts_at_optimum} of {fitted.starts_polished}",
            number(fitted.gradient_norm, 2),
            number(fitted.condition, 2),
            ", ".join(fitted.at_bounds) or "none",
            f"{fitted.replicates_degenerate} of {fits.replicates}",
        )
        for name, fitted in fits.mixtures.items()
    ]
    return table(columns, rows)
