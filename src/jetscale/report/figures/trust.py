"""Figures of the checks of a fit: profiles, exponent maps, influence of cells, forecasts.

Pure functions from diagnostics to Plotly figures; a mixture keeps its colour, larger models are
darker.
"""

import html
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from plotly.graph_objects import Contour, Figure

from jetscale.report.figures import drawing
from jetscale.report.figures.drawing import Style, dots, empty, line
from jetscale.scaling import Diagnostics, MixtureDiagnostics

Draw = Callable[[MixtureDiagnostics, Style], Figure]
_TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2)
_HIGHEST = 3.0
"""Profiles are drawn up to this many times the limit."""


def profile(found: Diagnostics, styles: Mapping[str, Style], parameter: str) -> Figure:
    """Profile of one exponent, a curve per mixture; the line marks the 95% interval."""
    figure = empty(parameter, "increase / its 95% limit", range=[0, _HIGHEST])
    for name, one in found.mixtures.items():
        curve = one.profiles[parameter]
        rise = [value / curve.threshold for value in curve.increase]
        style, hover = styles[name], f"{parameter} = %{{x:.3f}}"
        figure.add_trace(line(name, style, curve.values, rise, hover))
        best = dots([curve.value], [0.0], style.colour, style.symbol, hoverinfo="skip")
        figure.add_trace(best.update(name=html.escape(name), cliponaxis=False))
    return drawing.rule(figure, y=1)


def exponent_maps(found: Diagnostics) -> Draw:
    """What draws the map of a mixture, on axes that hold the maps of all mixtures."""
    maps = [one.map for one in found.mixtures.values()]
    axes = ([one.beta for one in maps], [one.alpha for one in maps])
    ends = [(min(g[0] for g in grids), max(g[-1] for g in grids)) for grids in axes]
    return partial(exponent_map, ends=ends)


def exponent_map(
    one: MixtureDiagnostics, style: Style, ends: Sequence[tuple[float, float]]
) -> Figure:
    """Regions of (alpha, beta) the runs allow, 68% and 95%; ``ends`` of beta, then of alpha."""
    figure = empty("beta", "alpha")
    found = one.map
    for level, opacity in zip(reversed(found.levels), (0.25, 0.6), strict=True):
        level_of = {"type": "constraint", "operation": ">", "value": level}
        look = {"fillcolor": style.faded(opacity), "line": {"color": style.colour, "width": 1}}
        grid = {"x": found.beta, "y": found.alpha, "z": found.increase, "contours": level_of}
        figure.add_trace(Contour(**grid, **look, showscale=False, hoverinfo="skip"))
    best = [one.profiles[name].value for name in ("beta", "alpha")]
    hover = "beta = %{x:.3f}<br>alpha = %{y:.3f}<extra></extra>"
    figure.add_trace(dots(best[:1], best[1:], style.colour, style.symbol, hovertemplate=hover))
    for update, reach in zip((figure.update_xaxes, figure.update_yaxes), ends, strict=True):
        update(type="log", range=np.log10(reach).tolist(), tickvals=_TICKS)
    return figure


def influence(one: MixtureDiagnostics, style: Style) -> Figure:
    """Shift of the exponent a without each cell, in half widths of its interval."""
    cells = [cell for cell in one.influence.cells if not cell.reason]
    limit = 1.1 * max([1.0, *(abs(cell.relative_shift) for cell in cells)])
    figure = empty("training jets D", "shift of a / half interval", range=[-limit, limit])
    for params, opacity in drawing.shades([cell.params for cell in cells]):
        part = [cell for cell in cells if cell.params == params]
        figure.add_trace(
            dots(
                [cell.examples for cell in part],
                [cell.relative_shift for cell in part],
                style.faded(opacity),
                style.symbol,
                size=7,
                mode="lines+markers",
                line={"color": style.faded(opacity), "width": 1},
                customdata=[[params, cell.exponent_shift] for cell in part],
                hovertemplate="without N = %{customdata[0]}, D = %{x}:<br>a moves by "
                "%{customdata[1]:+.3f}<extra></extra>",
            )
        )
    for edge in (-1, 1):
        drawing.rule(figure, y=edge)
    return drawing.data_axis(figure, [cell.examples for cell in cells])


def forecast(one: MixtureDiagnostics, style: Style) -> Figure:
    """Held-out cells against what the law without them predicts, in percent, with intervals.

    Filled symbols: without the largest model; open ones: without the cells of largest compute.
    """
    figure = empty("training jets D", "loss above forecast (%)")
    made = [found for found in one.forecasts if found.cells]
    for i, found in enumerate(made):
        x = [cell.examples * drawing.shift(i, len(made)) for cell in found.cells]
        expected = np.array([cell.predicted for cell in found.cells])
        ends = [np.array([getattr(c, e) for c in found.cells]) / expected for e in ("low", "high")]
        error = np.array([cell.error for cell in found.cells])
        bars = {"type": "data", "array": 100 * (ends[1] - 1), "arrayminus": 100 * (1 - ends[0])}
        bars |= {"color": style.faded(0.45), "thickness": 5, "width": 0}
        band = dots(x, np.zeros(len(x)), style.colour, style.symbol, hoverinfo="skip")
        figure.add_trace(band.update(error_y=bars, marker_opacity=0))
        about: dict[str, Any] = {
            "customdata": [[cell.params, found.left_out] for cell in found.cells],
            "hovertemplate": "N = %{customdata[0]}, held out with %{customdata[1]}<br>"
            "%{y:+.2f}%<extra></extra>",
        }
        symbol = style.symbol + ("-open" if i else "")
        figure.add_trace(dots(x, 100 * error, style.colour, symbol, **about))
    drawing.rule(figure, y=0)
    return drawing.data_axis(figure, [cell.examples for found in made for cell in found.cells])
