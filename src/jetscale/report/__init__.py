"""The report of a study: one HTML file with figures that opens anywhere, without a network.

It leads with what is measured, then shows what the fitted laws add, and prints every caveat the
analysis raised: a quantity the runs do not determine is shown with its interval and the reason.

    write_report(runs, Path("report.html"), title="Quickstart", held_fixed=controls)
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from jetscale.files import atomic_path
from jetscale.report import allocation, answer, law, measured, method, slider
from jetscale.report.drawing import styles
from jetscale.report.html import Context, Markup, page, tag
from jetscale.report.results import analyse

__all__ = ["write_report"]

SECTIONS = (
    ("answer", "What the study says", answer.section),
    ("measured", "Measured differences", measured.differences),
    ("losses", "Losses", measured.losses),
    ("law", "The law of each mixture", law.section),
    ("frontier", "The compute-optimal frontier", allocation.frontier),
    ("slider", "Ask for a budget", slider.section),
    ("allocation", "What a budget buys", allocation.budgets),
    ("held-fixed", "What was held fixed", method.held_fixed),
    ("method", "How it was done", method.section),
)


def write_report(
    frame: pd.DataFrame,
    out: Path,
    *,
    title: str,
    held_fixed: Mapping[str, Any] | None,
    warnings: Sequence[str] = (),
    budgets: Sequence[float] | None = None,
    replicates: int = 1000,
) -> Path:
    """Analyse a run table and write the report.

    Parameters
    ----------
    frame
        A run table, see `jetscale.scaling.validate`.
    out
        The HTML file.
    held_fixed
        What did not vary between mixtures, name to value; None where nobody recorded it.
    warnings
        What is known about the runs beforehand, e.g. cells that are not done yet.
    budgets
        FLOPs of the allocation table; by default one per decade of the measured range.
    replicates
        Bootstrap replicates per mixture, at least 50.

    Raises
    ------
    TableError
        The table is unusable.
    FitError
        A budget or the number of replicates is.
    StorageError
        The file cannot be written.
    """
    results = analyse(frame, budgets, replicates)
    context = Context(results, styles(results.names), held_fixed, tuple(warnings))
    sections = [
        tag("section", tag("h2", name), make(context), id=anchor) for anchor, name, make in SECTIONS
    ]
    contents = [tag("a", name, href=f"#{anchor}") for anchor, name, _ in SECTIONS]
    text = page(
        title=title,
        facts=method.facts(results),
        contents=Markup("".join(contents)),
        body=Markup("\n".join(sections)),
        figures=context.figures,
    )
    with atomic_path(out) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return out
