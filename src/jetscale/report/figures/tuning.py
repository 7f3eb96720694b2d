"""Figures of a search over rates, and of the training curves that check what came of it.

Loss against rate has a mixture's colour; in the law of a start, wider models are darker and the
symbol is the mixture's. What the runs do not determine has an open symbol.
"""

import html
import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from plotly.graph_objects import Figure, Scatter

from jetscale.report.figures import drawing
from jetscale.report.figures.drawing import Style, bars, dots, empty, line, run_points
from jetscale.scaling.tuning import CellOptimum, FittedLaw, TrainingCurve, normalise

_DASHES = 24  # over the height of a figure, where 1 to 4 mixtures share a line evenly
_SHARES = np.linspace(0.1, 1, 46)  # before them curves are in their warm-up


def rates(cell: pd.DataFrame, by_law: Mapping[str, float], styles: Mapping[str, Style]) -> Figure:
    """Loss against peak rate in one cell: runs, means and, dashed, the rates of the laws.

    A run that diverged stands at the top; the mean of its rate is not drawn.
    """
    finite = cell[np.isfinite(cell["loss"])]
    ends = drawing.loss_range(finite["loss"]) if len(finite) else [0.0, 1.0]
    figure = empty("peak rate", "validation loss", range=ends)
    for name, runs in cell.groupby("mixture", sort=False):
        style, own = styles[str(name)], finite[finite["mixture"] == name]
        means = runs.groupby("rate")["loss"].mean()
        means = means[np.isfinite(means)]
        figure.add_trace(line(str(name), style, means.index, means))
        points = run_points(str(name), style, own, own["rate"], own["loss"])
        about = "%{fullData.name}<br>rate %{x:.3g}, seed %{customdata[2]}<br>"
        figure.add_trace(points.update(hovertemplate=f"{about}%{{y:.4g}}<extra></extra>"))
        lost = runs[~np.isfinite(runs["loss"])]
        if len(lost):
            top = dots(lost["rate"].tolist(), [ends[1]] * len(lost), style.colour, "x", size=9)
            top.update(name=html.escape(str(name)), customdata=lost[["seed"] * 3].to_numpy())
            hover = about + "diverged<extra></extra>"
            figure.add_trace(top.update(cliponaxis=False, hovertemplate=hover))
    for name, rate in by_law.items():
        figure.add_trace(_dashed(name, by_law, ends, styles[name], f"law: {rate:.3g}"))
    ticks = sorted(set(cell["rate"]))
    ticks = ticks[:: math.ceil(len(ticks) / 6)]
    texts = [f"{tick:.2g}" for tick in ticks]
    return figure.update_xaxes(type="log", tickvals=ticks, ticktext=texts)


def _dashed(
    name: str, by_law: Mapping[str, float], ends: Sequence[float], style: Style, hover: str
) -> Scatter:
    """A vertical line at the rate of a mixture; those at one rate have the dashes in turn."""
    same = [other for other, rate in by_law.items() if math.isclose(rate, by_law[name])]
    edges = np.linspace(ends[0], ends[1], _DASHES + 1)
    dash = (edges[1] - edges[0]) / 2
    own = edges[:-1][same.index(name) :: len(same)]
    y = np.stack([own, own + dash, np.full(len(own), np.nan)], axis=1).ravel()
    return line(name, style, [by_law[name]] * len(y), y, hover)


def law(optima: Sequence[CellOptimum], fitted: FittedLaw | None, styles: Iterable[str]) -> Figure:
    """Best rate of each cell of a start against its steps; the law is a line for each width."""
    figure = empty("optimiser steps", "best peak rate")
    reached = sorted(o.steps for o in optima)
    steps = np.geomspace(0.8 * reached[0], 1.25 * reached[-1], 30)
    symbols = {name: style.symbol for name, style in drawing.styles(list(styles)).items()}
    for width, opacity in drawing.shades(o.width for o in optima):
        faded = Style(drawing.NEUTRAL, "circle").shade(opacity)
        label = f"width {width:.0f}"
        if fitted is not None:
            curve = [fitted.rate(width, one) for one in steps]
            figure.add_trace(line(label, faded, steps, curve, "%{x:.3g} steps<br>law: %{y:.3g}"))
            at = {"x": math.log10(steps[-1]), "y": math.log10(curve[-1]), "text": label}
            figure.add_annotation(**at, xanchor="left", showarrow=False, font={"size": 11})
        part = [o for o in optima if o.width == width and math.isfinite(o.best_loss)]
        apart = [drawing.shift(list(symbols).index(o.mixture), len(symbols)) for o in part]
        found = [o.estimate for o in part]
        marks = [symbols[o.mixture] + ("" if o.identified else "-open") for o in part]
        x = [o.steps * by for o, by in zip(part, apart, strict=True)]
        ends = ([e.high - e.value for e in found], [e.value - e.low for e in found])
        trace = dots(x, [e.value for e in found], faded.colour, marks, error_y=bars(*ends))
        about = [[html.escape(o.mixture), o.examples, html.escape(o.reason)] for o in part]
        hover = f"%{{customdata[0]}}, {label}, D = %{{customdata[1]}}<br>%{{y:.3g}}"
        hover += "<br>%{customdata[2]}<extra></extra>"
        figure.add_trace(trace.update(name=label, customdata=about, hovertemplate=hover))
    figure.update_layout(margin_r=64)
    return drawing.data_axis(figure.update_yaxes(type="log"), reached)


def curves(ladder: Sequence[TrainingCurve], out: set[float], style: Style) -> Figure:
    """Normalised training curves of a mixture at one D, a mean over seeds for each size."""
    figure = empty("share of the training", "loss / last loss")
    for params, opacity in drawing.shades(curve.params for curve in ladder):
        normal = [normalise(curve) for curve in ladder if curve.params == params]
        shares = _SHARES[max(x[0] for x, _ in normal) <= _SHARES]
        mean = np.exp(np.mean([np.interp(shares, x, y) for x, y in normal], axis=0))
        hover = f"N = {params:.0f}<br>%{{x:.2f}}: %{{y:.3f}}"
        trace = line(ladder[0].mixture, style.shade(opacity), shares, mean, hover)
        figure.add_trace(trace.update(line_dash="dash" if params in out else "solid"))
    return figure
