"""Figures of what is measured: the mixtures, loss differences, effective data, and the losses."""

import html
import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
from plotly.graph_objects import Figure

from jetscale.measures.figure import AXES, MixtureMap
from jetscale.report.figures import drawing
from jetscale.report.figures.drawing import Style, bars, dots, empty, line, run_points
from jetscale.scaling import Estimate, PairedStudy
from jetscale.words import short

_MOST_SIZES, _RANGES = 16, 8  # model sizes with a figure each; else figures of so many ranges
_LIMITS = {">": "triangle-up-open", "<": "triangle-down-open", "<>": "star-diamond-open"}


def mixture_map(found: MixtureMap, styles: Mapping[str, Style]) -> Figure:
    """Mixtures as points of diversity and alignment; one that was not trained is neutral."""
    figure = empty(AXES["diversity"], AXES["alignment"], range=found.y_range)
    for name, point in found.points.items():
        style = styles.get(name) or Style(drawing.NEUTRAL, "circle")
        trace = dots([point.x], [point.y], style.colour, style.symbol, size=10)
        trace.update(
            name=html.escape(name),
            error_x=bars(point.x_bars[1:], point.x_bars[:1]),
            error_y=bars(point.y_bars[1:], point.y_bars[:1]),
            mode="markers+text",
            text=[html.escape(name)],
            textposition="top right",
            hovertemplate="%{fullData.name}<br>%{x:.3g} labels, alignment %{y:.2f}<extra></extra>",
        )
        figure.add_trace(trace)
    ends = [math.log10(end) for end in found.x_range]
    return figure.update_xaxes(type="log", range=ends, tickvals=found.ticks)


def differences(study: PairedStudy, styles: Mapping[str, Style]) -> Figure:
    """Mean paired loss difference to the baseline against D, with intervals."""
    title = f"loss − loss of {html.escape(study.baseline)}"
    return drawing.rule(_estimates(title, study, "difference", styles), y=0)


def data_factors(study: PairedStudy, styles: Mapping[str, Style]) -> Figure:
    """Effective-data factor against D; a limit is a triangle pointing to where it may be."""
    figure = drawing.rule(_estimates("effective-data factor", study, "data_factor", styles), y=1)
    ticks = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50]
    return figure.update_yaxes(type="log", tickvals=ticks, tickformat="~g")


def _estimates(title: str, study: PairedStudy, what: str, styles: Mapping[str, Style]) -> Figure:
    """Estimates by mixture against D with their intervals; an end that is unknown gets no bar."""
    figure, sizes = empty("training examples D", title), []
    pairs = [pair for pair in study.pairs if pair.baseline == study.baseline]
    for i, pair in enumerate(pairs):
        style, apart = styles[pair.mixture], drawing.shift(i, len(pairs))
        rows = [row for row in pair.by_examples if getattr(row, what) is not None]
        found: list[Estimate] = [getattr(row, what) for row in rows]
        examples = [row.examples or math.nan for row in rows]
        sizes += examples
        above = [e.high - e.value if math.isfinite(e.high) else 0.0 for e in found]
        below = [e.value - e.low if math.isfinite(e.low) and e.low else 0.0 for e in found]
        symbols = [_LIMITS.get(getattr(e, "bound", ""), style.symbol) for e in found]
        x, y = [size * apart for size in examples], [e.value for e in found]
        trace = dots(x, y, style.colour, symbols, size=9, mode="lines+markers")
        trace.update(
            name=html.escape(pair.mixture),
            customdata=examples,
            error_y=bars(above, below),
            line={"color": style.colour, "width": 1.5},
            hovertemplate="%{fullData.name}<br>D = %{customdata}<br>%{y:.4g}<extra></extra>",
        )
        figure.add_trace(trace)
    return drawing.data_axis(figure, sizes)


def losses(runs: pd.DataFrame, styles: Mapping[str, Style]) -> dict[str, Figure]:
    """Test loss against D, one figure per model size: runs as points, lines through seed means.

    Of many sizes a figure shows those of one range, without lines.
    """
    ends = drawing.loss_range(runs["loss"])
    found: dict[str, Figure] = {}
    many = runs["params"].nunique() > _MOST_SIZES
    sizes = np.log(runs["params"])
    groups = pd.cut(sizes, _RANGES, labels=False) if many else runs["params"]
    for _, part in runs.groupby(groups, sort=True):
        figure = empty("training examples D", "test loss", range=ends)
        for i, (name, style) in enumerate(styles.items()):
            own = part[part["mixture"] == name]
            apart = drawing.shift(i, len(styles))
            if not many:
                means = own.groupby("examples", sort=True)["loss"].mean()
                figure.add_trace(line(name, style, means.index * apart, means))
            figure.add_trace(run_points(name, style, own, own["examples"] * apart, own["loss"]))
        low, high = (short(float(end)) for end in (part["params"].min(), part["params"].max()))
        caption = f"N = {low}" if low == high else f"N = {low} to {high}"
        if caption in found:  # two sizes that look the same in three digits
            caption = f"N = {part['params'].min()}"
        found[caption] = drawing.data_axis(figure, runs["examples"])
    return found
