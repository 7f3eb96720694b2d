"""The report of a study: one HTML file with figures that opens anywhere, without a network.

It leads with what is measured, then shows what the fitted laws add, and prints every caveat the
analysis raised: a quantity the runs do not determine is shown with its interval and the reason.

    make_report(runs, title="Quickstart", held_fixed=controls).write(Path("report.html"))
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from plotly.graph_objects import Figure

from jetscale.report import (
    allocation,
    answer,
    checklist,
    law,
    measured,
    method,
    mixtures,
    slider,
    trust,
)
from jetscale.report.drawing import styles
from jetscale.report.html import Context, Markup, page, tag
from jetscale.report.results import analyse
from jetscale.store.local import atomic_path

__all__ = ["Report", "make_report"]

SECTIONS = (
    ("answer", "What the study says", answer.section),
    ("mixtures", "Diversity and alignment of the mixtures", mixtures.section),
    ("measured", "Measured differences", measured.differences),
    ("losses", "Losses", measured.losses),
    ("law", "The law of each mixture", law.section),
    ("trust", "Can the fits be trusted?", trust.section),
    ("frontier", "The compute-optimal frontier", allocation.frontier),
    ("slider", "Ask for a budget", slider.section),
    ("allocation", "What a budget buys", allocation.budgets),
    ("held-fixed", "What was held fixed", method.held_fixed),
    ("checklist", "Checklist of scaling-law reporting", checklist.section),
    ("method", "How it was done", method.section),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A finished page and the figures in it."""

    text: str
    """The HTML file."""
    figures: Mapping[str, Figure]
    """By caption."""

    def texts(self) -> dict[str, str]:
        """The page and every figure as Plotly JSON, by file name."""
        figures = {
            f"figures/{number:02d}-{_slug(caption)}.json": figure.to_json()
            for number, (caption, figure) in enumerate(self.figures.items(), start=1)
        }
        return {"report.html": self.text} | figures

    def write(self, out: Path) -> Path:
        """Write the page; raises StorageError where that is refused."""
        with atomic_path(out) as temporary:
            temporary.write_text(self.text, encoding="utf-8")
        return out


def make_report(
    frame: pd.DataFrame,
    *,
    title: str,
    held_fixed: Mapping[str, Any] | None,
    warnings: Sequence[str] = (),
    measures: Mapping[str, Any] | None = None,
    budgets: Sequence[float] | None = None,
    replicates: int = 1000,
) -> Report:
    """Analyse a run table and lay out the report.

    Parameters
    ----------
    frame
        A run table, see `jetscale.scaling.validate`.
    held_fixed
        What did not vary between mixtures, name to value; None where nobody recorded it.
    warnings
        What is known about the runs beforehand, e.g. cells that are not done yet.
    measures
        Diversity and alignment of the mixtures as `jetscale.measures.MeasureTable.to_dict` has
        them; None where they were not measured.
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
    """
    results = analyse(frame, budgets, replicates)
    context = Context(results, styles(results.names), held_fixed, tuple(warnings), measures)
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
    return Report(text=text, figures=context.figures.by_caption())


def _slug(caption: str) -> str:
    """A caption as a file name."""
    return re.sub(r"[^a-z0-9]+", "-", caption.lower()).strip("-")
