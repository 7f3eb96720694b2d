"""A budget slider: N*, D*, loss and cost of every mixture as the reader drags.

The answers are computed here, at ten budgets per decade, and travel in the page as JSON; the script
of the page only looks them up. Prices are the reader's own and change the shown cost, not the
optimum; `jetscale allocate --money` finds the optimum when jets have a price.
"""

import json
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from jetscale.report.html import Context, Markup, join, number, paragraph, tag
from jetscale.report.results import compute_range
from jetscale.scaling import CostModel, Estimate, MixtureFit, StudyFit
from jetscale.scaling.bootstrap import not_identified
from jetscale.scaling.engine import laws
from jetscale.scaling.engine.laws import Array
from jetscale.scaling.estimate import percentile_interval
from jetscale.words import short

_PER_DECADE = 10
_BEYOND = 1.0  # decades on either side of the measured compute
_COLUMNS = ("mixture", "N*", "D*", "expected loss", "hours", "cost")
_PRICES = (
    ("rate", "training FLOP/s", "1e14"),
    ("hour", "price of a GPU-hour", "2"),
    ("jet", "price of a distinct jet", "0"),
)


def section(context: Context) -> Markup:
    """The slider, its table and the prices."""
    fits = context.results.fits
    if fits is None:
        return paragraph(f"There is no answer to drag: {context.results.missing['fits']}.")
    data = answers(fits)
    text = (
        "Drag the budget of one training run. Intervals are 95%; hours and cost are those of the "
        "run shown, at the prices below."
    )
    top = str(len(data["budgets"]) - 1)
    slider = tag(
        "input",
        id="budget",
        type="range",
        min="0",
        max=top,
        value=str(data["start"]),
        aria_label="Budget in FLOPs",
    )
    value = tag("output", id="budget-value", for_="budget")
    return join(
        paragraph(text),
        tag("div", tag("label", "Budget: ", value, for_="budget"), _void(slider), class_="slider"),
        tag("p", "", id="budget-note", class_="open"),
        _table(data),
        tag("div", *_prices(), class_="prices"),
        tag("script", _safe(data), type="application/json", id="budget-answers"),
    )


def answers(fits: StudyFit) -> dict[str, Any]:
    """Every answer as text, by budget and mixture.

    Returns
    -------
    dict
        ``budgets`` (as text), ``flops``, ``notes`` and ``rows``: per budget and mixture the texts
        of N*, D* and loss, and the numbers of D* (null without a usable optimum).
    """
    low, high = (math.log10(end) for end in compute_range(fits))
    first = math.floor((low - _BEYOND) * _PER_DECADE)
    last = math.ceil((high + _BEYOND) * _PER_DECADE)
    flops = 10.0 ** (np.arange(first, last + 1) / _PER_DECADE)
    columns = [_column(fitted, flops, fits.cost) for fitted in fits.mixtures.values()]
    return {
        "start": round((last - first) * 0.5),
        "budgets": [f"{number(float(c), 2)} FLOPs" for c in flops],
        "flops": [float(c) for c in flops],
        "notes": [_note(float(c), 10**low, 10**high) for c in flops],
        "mixtures": list(fits.mixtures),
        "rows": [list(row) for row in zip(*columns, strict=True)],
    }


def _column(fitted: MixtureFit, flops: Array, cost: CostModel) -> list[dict[str, Any]]:
    """The answers of one mixture at all budgets, as `jetscale.scaling.allocate` gives them."""
    reason = not_identified(fitted.parameters)
    point = laws.optimum(fitted.theta, flops, cost)
    draws = laws.optimum(fitted.replicates.theta[:, None], flops, cost)
    rows = []
    for i in range(len(flops)):
        ends = [percentile_interval(values[:, i], fitted.n_cells) for values in draws]
        found = [
            Estimate(value=float(values[i]), low=low, high=high, reason=reason)
            for values, (low, high) in zip(point, ends, strict=True)
        ]
        rows.append(_row(*found))
    return rows


def _row(params: Estimate, examples: Estimate, loss: Estimate) -> dict[str, Any]:
    usable = params.value >= 1 and examples.value >= 1 and math.isfinite(examples.value)
    return {
        "open": not loss.identified,
        "cells": [_text(params), _text(examples), _loss(loss)]
        if usable
        else [["–", ""], ["–", ""], ["no usable optimum", ""]],
        "examples": examples.value if usable else None,
    }


def _text(estimate: Estimate) -> list[str]:
    return [short(estimate.value), f"[{_end(estimate.low)}, {_end(estimate.high)}]"]


def _end(value: float) -> str:
    return "<1" if value < 1 else ">1e18" if not value <= 1e18 else short(value)


def _loss(estimate: Estimate) -> list[str]:
    return [number(estimate.value, 4), f"[{number(estimate.low, 4)}, {number(estimate.high, 4)}]"]


def _note(flops: float, low: float, high: float) -> str:
    if flops > high:
        return f"extrapolated by {math.log10(flops / high):.1f} decades beyond the measured compute"
    if flops < low:
        return f"extrapolated by {math.log10(low / flops):.1f} decades below the measured compute"
    return ""


def _table(data: dict[str, Any]) -> Markup:
    head = [
        tag("th", name, scope="col", class_="" if i else "text") for i, name in enumerate(_COLUMNS)
    ]
    body = [
        tag(
            "tr",
            tag("th", name, scope="row", class_="text"),
            *(tag("td", "") for _ in _COLUMNS[1:]),
        )
        for name in data["mixtures"]
    ]
    inside = tag("table", tag("thead", tag("tr", *head)), tag("tbody", *body), id="budget-table")
    return tag("div", inside, class_="scroll", tabindex="0")


def _prices() -> Iterator[Markup]:
    for name, label, value in _PRICES:
        field = tag("input", id=f"price-{name}", type="text", inputmode="decimal", value=value)
        yield tag("label", f"{label} ", _void(field), for_=f"price-{name}")


def _void(element: Markup) -> Markup:
    """An element that has no end tag."""
    return Markup(element.removesuffix("</input>"))


def _safe(data: dict[str, Any]) -> Markup:
    return Markup(json.dumps(data, allow_nan=False).replace("<", "\\u003c"))
