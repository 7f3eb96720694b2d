"""Figures of the fitted laws: fit and residuals, frontier, and the checks of the fits.

A mixture keeps its colour, larger models are darker. What the runs do not determine has an open
symbol; what lies beyond the measured compute is dashed.
"""

import html
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from plotly.graph_objects import Contour, Figure, Scatter

from jetscale.report.figures import drawing
from jetscale.report.figures.drawing import Style, bars, dots, empty, line, run_points
from jetscale.scaling import Diagnostics, MixtureDiagnostics, MixtureFit, StudyFit
from jetscale.scaling.engine.laws import Array, Optimum
from jetscale.scaling.estimate import percentile_interval
from jetscale.scaling.routes.route import Route

Draw = Callable[[MixtureDiagnostics, Style], Figure]
_SPREAD = 30.0  # a frontier figure reaches so far beyond the measured sizes; bands are cut there
_TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2)
_HIGHEST = 3.0  # profiles are drawn up to this many times the limit


def law_fit(fitted: MixtureFit, runs: pd.DataFrame, style: Style) -> Figure:
    """Runs of one mixture and its law, a curve per model size; darker is larger."""
    figure = empty("training examples D", "test loss", range=drawing.loss_range(runs["loss"]))
    own = runs[runs["mixture"] == fitted.mixture]
    examples = np.geomspace(own["examples"].min(), own["examples"].max(), 40)
    for params, opacity in drawing.shades(own["params"]):
        part = own[own["params"] == params]
        middle = {name: float(part[name].median()) for name in fitted.law.columns}
        curve = fitted.curve(params, examples, **middle)
        faded = style.shade(opacity)
        figure.add_trace(line(fitted.mixture, faded, examples, curve))
        figure.add_trace(run_points(fitted.mixture, faded, part, part["examples"], part["loss"]))
    return drawing.data_axis(figure, own["examples"])


def residuals(fitted: MixtureFit, runs: pd.DataFrame, style: Style, limit: float) -> Figure:
    """Distance of the runs of one mixture from its law in percent; darker is larger N."""
    figure = empty("training examples D", "loss above law (%)", range=[-limit, limit])
    own = runs[runs["mixture"] == fitted.mixture]
    sizes = drawing.shades(own["params"])
    for i, (params, opacity) in enumerate(sizes):
        part = own[own["params"] == params]
        columns = {name: part[name].to_numpy() for name in fitted.law.columns}
        expected = fitted.curve(params, part["examples"].to_numpy(), **columns)
        x = part["examples"] * drawing.shift(i, len(sizes))
        percent = 100 * (part["loss"] / expected - 1)
        figure.add_trace(run_points(fitted.mixture, style.shade(opacity), part, x, percent))
    return drawing.data_axis(drawing.rule(figure, y=0), own["examples"])


def exponents(fits: StudyFit, styles: Mapping[str, Style]) -> Figure:
    """Exponent of N*(C) per mixture; open symbols where it is not identified."""
    figure = empty("exponent a of N* ∝ C^a", "")
    for name, fitted in reversed(list(fits.mixtures.items())):
        value, style = fitted.frontier["params_exponent"], styles[name]
        about = {
            "name": html.escape(name),
            "error_x": bars([value.high - value.value], [value.value - value.low], width=5),
            "hovertemplate": "%{y}<br>%{x:.3f}<extra></extra>",
        }
        symbol = style.symbol + ("" if value.identified else "-open")
        place = ([value.value], [html.escape(name)])
        figure.add_trace(dots(*place, style.colour, symbol, size=10, **about))
    figure.update_xaxes(range=[-0.02, 1.02 / fits.cost.p])
    figure.update_yaxes(type="category", automargin=True)
    return figure


def isoflop(name: str, route: Route, style: Style) -> Figure:
    """Loss against N at the budgets of the route, darker with compute; minima that count filled."""
    figure = empty("model size N", "test loss")
    figure.update_xaxes(type="log", dtick=1, exponentformat="power")
    shades = np.linspace(0.25, 1, len(route.points))
    for point, opacity in zip(route.points, shades, strict=True):
        faded = style.shade(float(opacity))
        assert point.profile is not None
        sizes, losses = point.profile
        order = sizes.argsort()
        trace = line(name, faded, sizes[order], losses[order])
        figure.add_trace(trace.update(mode="lines+markers", marker={"size": 4}))
        about = f"C = {point.budget:.3g}<br>N* = %{{x:.3g}}<br>%{{y:.4g}}"
        hover = f"{about}<br>{html.escape(point.flag)}<extra></extra>"
        place = ([point.params.value], [point.loss], faded.colour)
        symbol = "diamond-open" if point.flag else "diamond"
        figure.add_trace(dots(*place, symbol, size=11, hovertemplate=hover))
    return figure


def best_runs(fits: StudyFit, fitted: MixtureFit, theta: Array, flops: Array) -> Optimum:
    """N*, D* and loss of parameters (..., P) at budgets that broadcast with (...)."""
    held = fitted.law.held(fits.runs[fits.runs["mixture"] == fitted.mixture])
    return fitted.law.optimum(theta, flops, fits.cost, **held)


def expected_losses(fits: StudyFit, fitted: MixtureFit, best: Optimum) -> Array:
    """Losses (n, 1 + R) of the best runs, with what the law misses, as `allocate` says them."""
    held = fitted.law.held(fits.runs[fits.runs["mixture"] == fitted.mixture])
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        return fitted.losses(best.params[:, None], best.examples[:, None], **held)


def losses(fits: StudyFit) -> Figure:
    """All runs by compute and the loss of every frontier; with a legend, as it stands alone."""
    looks = drawing.styles(tuple(fits.mixtures))
    figure = frontier(fits, looks, "loss")
    for name, look in looks.items():
        own = fits.runs[fits.runs["mixture"] == name]
        points = run_points(name, look, own, fits.cost.of_runs(own), own["loss"])
        figure.add_trace(points.update(showlegend=True))
    figure.update_traces(selector={"mode": "lines"}, showlegend=False)
    curves = [y for trace in figure.data if trace.mode == "lines" and trace.name for y in trace.y]
    ends = drawing.loss_range(pd.Series([*fits.runs["loss"], *curves]))
    figure.update_yaxes(type="linear", dtick=None, exponentformat="none", range=ends)
    return figure.update_layout(showlegend=True, legend={"x": 1, "xanchor": "right", "y": 1})


def frontier(fits: StudyFit, styles: Mapping[str, Style], what: str) -> Figure:
    """N*(C), D*(C) or their loss, by ``what``: solid in the measured range, dashed beyond."""
    titles = {"params": "best model size N*", "examples": "best data size D*"}
    title = titles.get(what, f"test {fits.quantity}")
    sizes = [fitted.window[what] for fitted in fits.mixtures.values()]
    low, high = min(s[0] for s in sizes) / _SPREAD, max(s[1] for s in sizes) * _SPREAD
    figure = empty("compute C (FLOPs)", title, range=[math.log10(low), math.log10(high)])
    for update in (figure.update_yaxes, figure.update_xaxes):
        update(type="log", dtick=1, exponentformat="power")
    end = fits.flops[1]
    reach = np.log10(np.array([0.8, 12.5]) * fits.flops)
    figure.update_xaxes(range=reach.tolist())
    inside, beyond = np.geomspace(*fits.flops, 30), np.geomspace(end, 10 * end, 12)
    for name, fitted in fits.mixtures.items():
        for budgets, dash, opacity in ((inside, "solid", 0.14), (beyond, "dash", 0.06)):
            curve, draws = _along(fits, fitted, budgets, what)
            curve = np.where((curve > 0) & np.isfinite(curve), curve, np.nan)
            band = [percentile_interval(column, fitted.n_cells) for column in draws.T]
            lower, upper = np.clip(np.array(band).T, low, high)
            area = {"x": [*budgets, *budgets[::-1]], "y": [*lower, *upper[::-1]], "fill": "toself"}
            look = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip"}
            figure.add_trace(Scatter(**area, **look, fillcolor=styles[name].faded(opacity)))
            trace = line(name, styles[name], budgets, curve, hover="C = %{x:.3g}<br>%{y:.3g}")
            figure.add_trace(trace.update(line_dash=dash))
    drawing.rule(figure, x=end)
    anchors = {"xanchor": "right", "yref": "paper", "yanchor": "bottom", "text": "extrapolated →"}
    place = {"x": 1, "xref": "paper", "y": 0}  # at the foot: the tools of the figure cover its head
    return figure.add_annotation(**place, showarrow=False, font={"size": 11}, **anchors)


def _along(fits: StudyFit, fitted: MixtureFit, budgets: Array, what: str) -> tuple[Array, Array]:
    """A size, or the loss, of the best runs of budgets (n,), and its replicates (R, n)."""
    best = best_runs(fits, fitted, fitted.theta, budgets)
    if what != "loss":
        draws = best_runs(fits, fitted, fitted.replicates.theta[:, None, :], budgets)
        return getattr(best, what), getattr(draws, what)
    expected = expected_losses(fits, fitted, best)
    return expected[:, 0], expected[:, 1:].T


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
    """What draws the (alpha, beta) that runs allow, 68% and 95%, on axes that hold all maps."""
    maps = [one.map for one in found.mixtures.values()]
    ends = []
    for axis, name in enumerate(("beta", "alpha")):  # increase is (alpha, beta)
        held = []
        for one in maps:
            inside = np.flatnonzero(np.any(np.array(one.increase) <= max(one.levels), axis=axis))
            grid = getattr(one, name)
            first, last = (inside[0], inside[-1]) if len(inside) else (0, len(grid))
            held.append(grid[max(first - 1, 0) : last + 2])
        best = [one.profiles[name].value for one in found.mixtures.values()]
        ends.append((min(best + [g[0] for g in held]), max(best + [g[-1] for g in held])))

    def draw(one: MixtureDiagnostics, style: Style) -> Figure:
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

    return draw


def influence(one: MixtureDiagnostics, style: Style) -> Figure:
    """Shift of the exponent a without each cell, in half widths of its interval."""
    cells = [cell for cell in one.influence.cells if not cell.reason]
    limit = 1.1 * max([1.0, *(abs(cell.relative_shift) for cell in cells)])
    figure = empty("training examples D", "shift of a / half interval", range=[-limit, limit])
    for params, opacity in drawing.shades([cell.params for cell in cells]):
        part = [cell for cell in cells if cell.params == params]
        x, y = [cell.examples for cell in part], [cell.relative_shift for cell in part]
        colour = style.faded(opacity)
        trace = dots(x, y, colour, style.symbol, size=7, mode="lines+markers")
        trace.update(
            line={"color": colour, "width": 1},
            customdata=[[params, cell.exponent_shift] for cell in part],
            hovertemplate="without N = %{customdata[0]}, D = %{x}:<br>a moves by "
            "%{customdata[1]:+.3f}<extra></extra>",
        )
        figure.add_trace(trace)
    figure = drawing.rule(drawing.rule(figure, y=-1), y=1)
    return drawing.data_axis(figure, [cell.examples for cell in cells])


def forecast(one: MixtureDiagnostics, style: Style) -> Figure:
    """Held-out cells against forecasts, in percent; open: those of largest compute."""
    figure = empty("training examples D", "loss above forecast (%)")
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
