"""The page: its first and last sections, and all of them rendered by their templates.

The page is one file: Plotly's library and all figures are in it, and a content security policy
forbids the browser to load anything else. Text is escaped by the templates.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple, Unpack

import pandas as pd
import plotly.io
import plotly.offline
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from plotly.graph_objects import Figure

from jetscale import __version__
from jetscale.analysis import analyse
from jetscale.answers import Answer
from jetscale.report import curves as training_curves
from jetscale.report import decisions, laws, measured
from jetscale.report import slider as budget_slider
from jetscale.report.figures.drawing import styles
from jetscale.report.values import Context, Reasons, Table, table
from jetscale.scaling import Options, StudyFit, fit
from jetscale.scaling.comparison.claims import NOT_IDENTIFIED
from jetscale.scaling.engine.laws import EXPONENT_BOUNDS
from jetscale.scaling.fitted import Settings
from jetscale.scaling.table import noun_of
from jetscale.scaling.tuning import TrainingCurve
from jetscale.store.local import atomic_path
from jetscale.words import number, of_noun, of_quantity, short

_PACKAGES = ("jetscale", "numpy", "scipy", "pandas", "plotly")


def answer(context: Context, reasons: Reasons) -> dict[str, Any]:
    """The three answers, and what doubles a score where one is in the place of the loss."""
    results = context.results
    shown = [
        {"title": one.title, "table": _rows(one), "sentences": one.sentences}
        for one in context.answers.all
    ]
    beware = (f"Beware: {results.unlike}.",) if results.unlike else ()
    goals = [f"{goal.text}." for goal in results.metric.goals] if results.metric else []
    return {"answers": shown, "sentences": (*beware, *goals)}


def _rows(one: Answer) -> Table | None:
    """The small table of an answer."""
    if not one.rows:
        return None
    header, *rows = one.rows
    return table(one.question, [dict(zip(header, row, strict=True)) for row in rows])


def held_fixed(context: Context, reasons: Reasons) -> dict[str, Any]:
    """The table of the recipe."""
    rows = [{"control": n, "value": value} for n, value in (context.held_fixed or {}).items()]
    return {"table": table("What was held fixed", rows, text=2)}


def checklist(context: Context, reasons: Reasons) -> dict[str, Any]:
    """Every item with its answer."""
    found = decisions.checklist(context.results, context.held_fixed)
    rows = [{"item": item.name, "answer": item} for item in found]
    return {"table": table("Checklist", rows, text=2)}


def method(context: Context, reasons: Reasons) -> dict[str, Any]:
    """What the checklist does not ask: settings, versions, diagnostics and other warnings."""
    runs, fits = context.results.runs, context.results.fits
    sizes = [", ".join(map(short, sorted(runs[name].unique()))) for name in ("params", "examples")]
    how = dict(zip(("model sizes N", "data sizes D"), sizes, strict=True))
    how["loss"] = "test loss at the end of training, as in the run table"
    warnings = list(context.warnings)
    if fits is not None:
        how["bounds"] = "{:g} ≤ alpha, beta ≤ {:g}; E, A, B ≥ 0".format(*EXPONENT_BOUNDS)
        how["Huber width delta"] = f"{fits.delta:.4g} in log loss"
        how["seed of the replicates"] = str(fits.options.seed)
        warnings += fits.warnings
        warnings += [line for fitted in fits.mixtures.values() for line in fitted.warnings]
    how["versions"] = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    return {
        "how": table("Method", [{"what": name, "how": text} for name, text in how.items()], text=2),
        "diagnostics": fits and diagnostics(fits),
        # what is not identified has a star in the law's section, and a reason
        "warnings": [line for line in dict.fromkeys(warnings) if NOT_IDENTIFIED not in line],
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
            "degenerate replicates": f"{fitted.replicates_degenerate} of {fits.options.replicates}",
        }
        for name, fitted in fits.mixtures.items()
    ]
    return table("Diagnostics of the fits", rows)


class Section(NamedTuple):
    """A section: its anchor, which also names its template, its title, and what fills it."""

    anchor: str
    title: str
    fill: Callable[[Any, Reasons], dict[str, Any]]  # from the content of the page
    needs: str = ""  # what the section cannot do without, a key of the content's ``missing``
    folded: bool = False  # shown as its title alone until it is asked for


SECTIONS = (
    Section("answer", "What the study says", answer),
    Section("mixtures", "Diversity and alignment of the mixtures", measured.mixtures, "measures"),
    Section("measured", "Measured differences", measured.differences, "paired"),
    Section("losses", "Losses", measured.losses),
    Section("law", "The law of each mixture", laws.law, "fits"),
    Section("trust", "Can the fits be trusted?", laws.trust, "fits"),
    Section("curves", "Do the training curves collapse?", training_curves.collapsed, "curves"),
    Section("frontier", "The compute-optimal frontier", laws.frontier, "fits"),
    Section("slider", "Ask for a budget", budget_slider.slider, "fits"),
    Section("allocation", "What a budget buys", laws.budgets, "allocations", True),
    Section("held-fixed", "What was held fixed", held_fixed, "held_fixed", True),
    Section("checklist", "Checklist of scaling-law reporting", checklist, folded=True),
    Section("method", "How it was done", method, folded=True),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A finished page and the figures in it."""

    text: str  # the HTML file
    figures: Mapping[str, Figure]  # by caption
    name: str = "report.html"
    answers: str = ""  # the three answers as plain text

    def texts(self) -> dict[str, str]:
        """The page and every figure as Plotly JSON, by file name."""
        texts = {self.name: self.text}
        for i, (caption, figure) in enumerate(self.figures.items(), start=1):
            slug = re.sub(r"[^a-z0-9]+", "-", caption.lower()).strip("-")
            texts[f"figures/{i:02d}-{slug}.json"] = figure.to_json()
        return texts

    def write(self, out: str | Path) -> Path:
        """Write the page; raises StorageError where that is refused."""
        with atomic_path(Path(out)) as temporary:
            temporary.write_text(self.text, encoding="utf-8")
        return Path(out)


def make_report(
    frame: pd.DataFrame,
    *,
    title: str,
    held_fixed: Mapping[str, Any] | None,
    warnings: Sequence[str] = (),
    measures: Mapping[str, Any] | None = None,
    budgets: Sequence[float] | None = None,
    curves: Sequence[TrainingCurve] | None = None,
    options: Options | None = None,
    fit: Callable[[pd.DataFrame, Options | None], StudyFit] = fit,
    progress: Callable[[str], None] = lambda stage: None,
    **settings: Unpack[Settings],
) -> Report:
    """Analyse a run table and lay out the report.

    Args:
        frame: A run table, see `jetscale.scaling.validate`.
        held_fixed: What did not vary between mixtures, by name; None where nobody recorded it.
        warnings: What is known about the runs beforehand, e.g. runs that are not done yet.
        measures: As `jetscale.measures.load_measures` has it; None where nothing was measured.
        budgets: FLOPs of the allocation table; by default one per decade of the measured range.
        curves: Training curves of the runs; None where only their table is known.
        options: What to fit and how; ``settings`` are fields of it and override it.
        fit: What fits the laws.
        progress: Told what begins, in words.

    Raises TableError for an unusable table, FitError for such a budget.
    """
    asked = replace(options or Options(), **settings)
    results = analyse(frame, asked, budgets=budgets, fit=fit, progress=progress)
    looks, known = styles(results.names), tuple(warnings)
    context = Context(results, looks, held_fixed, known, measures, curves)
    page = render(context, title)
    return Report(text=page, figures=context.figures, answers=context.answers.text)


def render(context: Context, title: str) -> str:
    """The report; sections with nothing to show stand behind the others."""
    missing = context.missing
    order = sorted(SECTIONS, key=lambda section: section.needs in missing)
    quantity, noun = context.results.quantity, noun_of(context.results.runs)

    def named(text: str) -> str:
        return of_noun(of_quantity(text, quantity), noun)

    page = lay_out(order, context, title, decisions.facts(context.results), named)
    # what is read, not tags, styles and scripts
    page = _SHOWN.sub(lambda m: m[0] if m[0][0] == "<" else named(m[0]), page)
    return _COLUMN.sub(lambda m: f'data-name="{named(m[1])}"', page)


_COLUMN = re.compile(r'data-name="([^"]*)"')  # what a narrow screen shows beside a cell
_SHOWN = re.compile(r"<(script|style)\b.*?<[/]\1>|<[^>]*>|[^<]+", re.DOTALL)


def lay_out(
    sections: Sequence[Section],
    content: Any,
    title: str,
    facts: str,
    named: Callable[[str], str] = str,
) -> str:
    """A whole file: sections filled from ``content``, which has styles, figures and missing.

    ``named`` changes the titles of axes.
    """
    # a name that a template misspells is an error, not a gap
    templates = Environment(undefined=StrictUndefined, autoescape=True)
    templates.loader = PackageLoader("jetscale.report")
    templates.trim_blocks = templates.lstrip_blocks = True
    templates.policies["json.dumps_kwargs"] = {"allow_nan": False}
    templates.filters["code"] = with_code
    missing, filled, told = content.missing, [], set[str]()
    for section in sections:
        reasons, why = Reasons(), missing.get(section.needs, "")
        values = {} if why else section.fill(content, reasons)
        filled.append((section, values, reasons.texts, "see above" if why in told else why))
        told |= {why} - {""}
    figures = {
        f"figure-{i}": json.loads(plotly.io.to_json(figure))
        for i, figure in enumerate(content.figures.values(), start=1)
    }
    axes = [axis for drawn in figures.values() for axis in drawn["layout"].values()]
    for heading in (axis["title"] for axis in axes if isinstance(axis, dict) and "title" in axis):
        heading["text"] = named(heading["text"])
    return templates.get_template("page.html").render(
        title=title,
        facts=facts,
        sections=filled,
        styles=content.styles,
        not_identified=NOT_IDENTIFIED,
        version=__version__,
        plotly=Markup(plotly.offline.get_plotlyjs()),
        figures=figures,
    )


def with_code(text: str) -> Markup:
    """Text as HTML with what stands in backticks as code.

    >>> with_code("`jetscale fit` <now>")
    Markup('<code>jetscale fit</code> &lt;now&gt;')
    """
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))
