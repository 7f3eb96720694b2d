"""Figures of the checks of a fit: profiles, exponent maps, influence of cells, forecasts.

Pure functions from diagnostics to Plotly figures; a mixture keeps its colour, larger models are
darker.
"""

import html
from collections.abc import Callable, Mapping

import numpy as np
from plotly.graph_objects import Contour, Figure, Scatter

from jetscale.report.drawing import NEUTRAL, Style, data_axis, empty, line, shades, shift
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
        trace = line(name, styles[name], curve.values, rise)
        trace.update(
            hoverinfo="all",
            hovertemplate=f"%{{fullData.name}}<br>{parameter} = %{{x:.3f}}<extra></extra>",
        )
        figure.add_trace(trace)
        figure.add_trace(
            Scatter(
                name=html.escape(name),
                x=[curve.value],
                y=[0.0],
                mode="markers",
                marker={"color": styles[name].colour, "symbol": styles[name].symbol, "size": 8},
                cliponaxis=False,
                hoverinfo="skip",
            )
        )
    figure.add_hline(y=1, line={"color": NEUTRAL, "width": 1, "dash": "dot"})
    return figure


def exponent_map(one: MixtureDiagnostics, style: Style) -> Figure:
    """Regions of (alpha, beta) the runs allow: 68% and 95%."""
    figure = empty("beta", "alpha")
    found = one.map
    for level, opacity in zip(reversed(found.levels), (0.25, 0.6), strict=True):
        figure.add_trace(
            Contour(
                x=found.beta,
                y=found.alpha,
                z=found.increase,
                contours={"type": "constraint", "operation": ">", "value": level},
                fillcolor=style.faded(opacity),
                line={"color": style.colour, "width": 1},
                showscale=False,
                hoverinfo="skip",
            )
        )
    best = [one.profiles[name].value for name in ("beta", "alpha")]
    figure.add_trace(
        Scatter(
            x=best[:1],
            y=best[1:],
            mode="markers",
            marker={"color": style.colour, "symbol": style.symbol, "size": 8},
            hovertemplate="beta = %{x:.3f}<br>alpha = %{y:.3f}<extra></extra>",
        )
    )
    for update, values in ((figure.update_xaxes, found.beta), (figure.update_yaxes, found.alpha)):
        update(type="log", range=np.log10([values[0], values[-1]]).tolist(), tickvals=_TICKS)
    return figure


def influence(one: MixtureDiagnostics, style: Style) -> Figure:
    """Shift of the exponent a without each cell, in half widths of its interval."""
    cells = [cell for cell in one.influence.cells if not cell.reason]
    limit = 1.1 * max([1.0, *(abs(cell.relative_shift) for cell in cells)])
    figure = empty("training jets D", "shift of a / half interval", range=[-limit, limit])
    for params, opacity in shades([cell.params for cell in cells]):
        part = [cell for cell in cells if cell.params == params]
        figure.add_trace(
            Scatter(
                x=[cell.examples for cell in part],
                y=[cell.relative_shift for cell in part],
                mode="lines+markers",
                line={"color": style.faded(opacity), "width": 1},
                marker={"color": style.faded(opacity), "symbol": style.symbol, "size": 7},
                customdata=[[params, cell.exponent_shift] for cell in part],
                hovertemplate="without N = %{customdata[0]}, D = %{x}:<br>a moves by "
                "%{customdata[1]:+.3f}<extra></extra>",
            )
        )
    for edge in (-1, 1):
        figure.add_hline(y=edge, line={"color": NEUTRAL, "width": 1, "dash": "dot"})
    return data_axis(figure, [cell.examples for cell in cells])


def forecast(one: MixtureDiagnostics, style: Style) -> Figure:
    """Held-out cells against what the law without them predicts, in percent, with intervals.

    Filled symbols: without the largest model; open ones: without the cells of largest compute.
    """
    figure = empty("training jets D", "loss above forecast (%)")
    made = [found for found in one.forecasts if found.cells]
    for i, found in enumerate(made):
        x = [cell.examples * shift(i, len(made)) for cell in found.cells]
        expected = np.array([cell.predicted for cell in found.cells])
        ends = [np.array([getattr(c, e) for c in found.cells]) / expected for e in ("low", "high")]
        error = np.array([cell.error for cell in found.cells])
        figure.add_trace(
            Scatter(
                x=x,
                y=np.zeros(len(x)),
                error_y={
                    "type": "data",
                    "array": 100 * (ends[1] - 1),
                    "arrayminus": 100 * (1 - ends[0]),
                    "color": style.faded(0.45),
                    "thickness": 5,
                    "width": 0,
                },
                mode="markers",
                marker={"opacity": 0},
                hoverinfo="skip",
            )
        )
        figure.add_trace(
            Scatter(
                x=x,
                y=100 * error,
                mode="markers",
                marker={
                    "color": style.colour,
                    "symbol": style.symbol + ("-open" if i else ""),
                    "size": 8,
                },
                customdata=[[cell.params, found.left_out] for cell in found.cells],
                hovertemplate="N = %{customdata[0]}, held out with %{customdata[1]}<br>"
                "%{y:+.2f}%<extra></extra>",
            )
        )
    figure.add_hline(y=0, line={"color": NEUTRAL, "width": 1, "dash": "dot"})
    return data_axis(figure, [cell.examples for found in made for cell in found.cells])
