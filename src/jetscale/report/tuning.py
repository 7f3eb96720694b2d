"""The page of a search over learning rates: its figures and tables in one file."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from plotly.graph_objects import Figure

from jetscale.report import values
from jetscale.report.decisions import Finding
from jetscale.report.figures import tuning as figures
from jetscale.report.figures.drawing import Style, styles
from jetscale.report.page import Report, Section, lay_out
from jetscale.report.values import Cell, Reasons, table
from jetscale.scaling.tuning import AXES, FittedLaw
from jetscale.tuning import Tuning, exponent
from jetscale.words import counted, number, short

_PRE = "pretraining"


@dataclass(frozen=True, slots=True, kw_only=True)
class Searched:
    """What every section of the page is made from."""

    found: Tuning
    sweep: str  # the file, as the command that widens the search names it
    styles: Mapping[str, Style]
    figures: dict[str, Figure] = field(default_factory=dict)

    @property
    def missing(self) -> dict[str, str]:
        """Why there is no section of settings, where there is none."""
        why = "none was tried; `--try weight_decay=0,0.1` does so"
        return {} if self.found.settings else {"settings": why}


def answer(content: Searched, reasons: Reasons) -> dict[str, Any]:
    """The laws in words, and where the search has open ends."""
    found = content.found
    lines = [found.sentence, *([found.loose_sentence] if found.loose else [])]
    for start, why in found.kept.items():
        reason = why.removeprefix(f"{start}: ")
        lines.append(f"The law of {start} stays as it was: {reason}.")
    if found.widening:
        lines.append(f"Open ends: `jetscale tune {content.sweep} {found.widening}`")
    return {"answers": (), "sentences": lines}


def rates(content: Searched, reasons: Reasons) -> dict[str, Any]:
    """Loss against rate in every cell: a row of figures for each width."""
    runs = content.found.table
    runs = runs[runs["setting"] == ""]
    trunks, groups = runs["start"] == _PRE, []
    for title, part in (("Training", runs[~trunks]), ("Pretraining", runs[trunks])):
        rows = [
            values.panels(content.figures, dict(_cells(content, title, cells)))
            for _, cells in part.groupby("width", sort=True)
        ]
        groups += [(title, rows)] if rows else []
    return {"groups": groups}


def _cells(content: Searched, title: str, runs: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    """A figure for each data size of one width, by caption."""
    laws = content.found.laws
    for examples, cell in runs.groupby("examples", sort=True):
        one = cell.drop_duplicates("mixture")
        arms = zip(one["mixture"], one["start"], one["width"], one["steps"], strict=True)
        by_law = {
            name: laws.rate(start, width, steps)
            for name, start, width, steps in arms
            if start in laws.laws
        }
        caption = f"{title}: width {one['width'].iloc[0]}, D = {examples:,.0f}"
        yield caption, figures.rates(cell, by_law, content.styles)


def laws(content: Searched, reasons: Reasons) -> dict[str, Any]:
    """The laws as a table, and a figure for each start."""
    found, drawn = content.found, {}
    rows = [_law(start, law, found, reasons) for start, law in found.laws.laws.items()]
    for start in dict.fromkeys(o.start for o in found.optima):
        own = [o for o in found.optima if o.start == start]
        drawn[f"Best rate of {start}"] = figures.law(
            own, found.laws.laws.get(start), content.styles
        )
    tests = [found.laws.test, *found.laws.arms.values()]
    return {
        "table": table("Rate laws, at width 16 and 1000 steps", rows),
        "kept": list(found.kept),
        "tests": [str(test) for test in tests if not test.reason],
        "panels": values.panels(content.figures, drawn),
    }


def _law(start: str, law: FittedLaw, found: Tuning, reasons: Reasons) -> dict[str, object]:
    """A row: a law with the intervals of what was fitted."""
    rate = law.estimate(law.reference_width, law.reference_steps)
    shown = {f"by {axis}": reasons.estimate(exponent(law, axis)) for axis in AXES}
    kept = {f"by {axis}": Cell(number(exponent(law, axis).value), "kept") for axis in law.fixed}
    about = {"start": f"{start} (shared)" if found.laws.shared and start != _PRE else start}
    return about | {"rate": reasons.estimate(rate)} | shown | kept | {"cells": law.n_cells}


def cost(content: Searched, reasons: Reasons) -> dict[str, Any]:
    """The regret of every cell."""
    found = content.found
    optima = {(o.start, o.mixture, o.width, o.examples): o for o in found.optima}
    rows = []
    for r in found.regrets:
        best = optima[r.start, r.mixture, r.width, r.examples]
        regret = Cell(f"{r.regret:+.3f}", f"± {r.error:.3f}" if np.isfinite(r.error) else "")
        row = {"start": r.start, "mixture": r.mixture, "width": r.width, "D": short(r.examples)}
        row |= {"best rate": reasons.estimate(best.estimate), "law": number(r.rate)}
        row["regret"] = regret if r.within else Cell("outside", warns=True)
        rows.append(row | {"open end": Finding("end", best.edge, warns=True)})
    return {"table": table("What the law costs", rows, text=2)}


def settings(content: Searched, reasons: Reasons) -> dict[str, Any]:
    """Every setting that was tried beside the rates."""
    rows = [
        {
            "setting": one.setting,
            "loss": Cell(f"{one.effect:+.2%}", f"± {one.error:.2%}"),
            "pairs": one.pairs,
        }
        for one in content.found.settings
    ]
    taken = ", ".join(f"{name} = {value}" for name, value in content.found.taken.items())
    title = f"Other settings against the study's own; taken: {taken or 'none'}"
    return {"table": table(title, rows)}


def arms(content: Searched, reasons: Reasons) -> dict[str, Any]:
    """Whether all arms were searched alike, and how each was."""
    equal = content.found.equal
    rows = [{n.removeprefix("n_"): value for n, value in asdict(arm).items()} for arm in equal.arms]
    verdict = Finding("equal", str(equal), warns=not equal.equal)
    return {"verdict": verdict, "table": table("How each arm was searched", rows, text=2)}


SECTIONS = (
    Section("answer", "What the search says", answer),
    Section("search-rates", "Loss against rate", rates),
    Section("search-laws", "The law of each start", laws),
    Section("search-cost", "What the laws cost", cost),
    Section("search-settings", "Other settings", settings, "settings"),
    Section("search-arms", "Were all arms searched alike?", arms),
)


def search_page(found: Tuning, sweep: str) -> Report:
    """The page of a search; ``sweep`` is the file that `jetscale tune` was given."""
    runs = found.table.drop_duplicates("key")
    names, lost = list(found.table["mixture"].unique()), int(np.isinf(runs["loss"]).sum())
    content = Searched(found=found, sweep=sweep, styles=styles(names))
    widths, sizes = (sorted(set(runs[name])) for name in ("width", "examples"))
    facts = (
        f"{len(runs)} runs on validation jets: {counted(len(names), 'mixture')}, widths "
        f"{', '.join(map(str, widths))}, D {', '.join(map(short, sizes))}, "
        f"{counted(runs['seed'].nunique(), 'seed')}; {lost} diverged"
    )
    text = lay_out(SECTIONS, content, f"Learning rates of {found.study}", facts)
    return Report(text=text, figures=content.figures, name="tune.html")
