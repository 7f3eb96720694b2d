"""Figures of the fitted laws: fit and residuals, exponents, and the compute-optimal frontier.

Pure functions from results to Plotly figures. What the runs do not determine is drawn with its
interval and an open symbol; what lies beyond the measured compute is dashed.
"""

import html
import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
from plotly.graph_objects import Figure, Scatter

from jetscale.report.figures import drawing
from jetscale.report.figures.drawing import Style, dots, empty, line, run_points
from jetscale.scaling import CostModel, MixtureFit, StudyFit
from jetscale.scaling.engine import laws
from jetscale.scaling.estimate import percentile_interval
from jetscale.scaling.routes.route import LossCurves, Route, cell_means

_DECADES_BEYOND = 1.0
_SPREAD = 30.0
"""A frontier figure reaches this factor beyond the measured sizes; bands are cut there."""


def law_fit(fitted: MixtureFit, runs: pd.DataFrame, style: Style) -> Figure:
    """Runs of one mixture and its law, a curve per model size; darker is larger."""
    figure = empty("training jets D", "test loss", range=drawing.loss_range(runs["loss"]))
    own = runs[runs["mixture"] == fitted.mixture]
    examples = np.geomspace(own["examples"].min(), own["examples"].max(), 40)
    for params, opacity in drawing.shades(own["params"]):
        curve = laws.loss(fitted.theta, params, examples)
        part = own[own["params"] == params]
        faded = Style(style.faded(opacity), style.symbol)
        figure.add_trace(line(fitted.mixture, faded, examples, curve))
        figure.add_trace(run_points(fitted.mixture, faded, part, part["examples"], part["loss"]))
    return drawing.data_axis(figure, own["examples"])


def residuals(fitted: MixtureFit, runs: pd.DataFrame, style: Style, limit: float) -> Figure:
    """Distance of the runs of one mixture from its law in percent; darker is larger N."""
    figure = empty("training jets D", "loss above law (%)", range=[-limit, limit])
    own = runs[runs["mixture"] == fitted.mixture]
    sizes = drawing.shades(own["params"])
    for i, (params, opacity) in enumerate(sizes):
        part = own[own["params"] == params]
        expected = laws.loss(fitted.theta, params, part["examples"].to_numpy())
        apart = drawing.shift(i, len(sizes))
        faded = Style(style.faded(opacity), style.symbol)
        percent = 100 * (part["loss"] / expected - 1)
        figure.add_trace(run_points(fitted.mixture, faded, part, part["examples"] * apart, percent))
    drawing.rule(figure, y=0)
    return drawing.data_axis(figure, own["examples"])


def exponents(fits: StudyFit, styles: Mapping[str, Style]) -> Figure:
    """Exponent of N*(C) per mixture; open symbols where it is not identified."""
    figure = empty("exponent a of N* ∝ C^a", "")
    for name, fitted in reversed(list(fits.mixtures.items())):
        value, style = fitted.frontier["params_exponent"], styles[name]
        bars = {"array": [value.high - value.value], "arrayminus": [value.value - value.low]}
        symbol = style.symbol + ("" if value.identified else "-open")
        trace = dots([value.value], [html.escape(name)], style.colour, symbol, size=10)
        trace.update(
            name=html.escape(name),
            error_x={"type": "data", "width": 5, "thickness": 1.5, **bars},
            hovertemplate="%{y}<br>%{x:.3f}<extra></extra>",
        )
        figure.add_trace(trace)
    figure.update_xaxes(range=[-0.02, 1.02 / fits.cost.p])
    figure.update_yaxes(type="category", automargin=True)
    return figure


def isoflop(
    mixture: str, route: Route, runs: pd.DataFrame, cost: CostModel, style: Style
) -> Figure:
    """Loss against model size at the budgets of the route; darker is more compute.

    Minima that count are filled, others open.
    """
    figure = empty("model size N", "test loss")
    figure.update_xaxes(type="log", dtick=1, exponentformat="power")
    own = runs[runs["mixture"] == mixture]
    means = cell_means(own)
    curves = LossCurves(means, means.log_loss[None], cost)
    shades = np.linspace(0.25, 1, len(route.points))
    for point, opacity in zip(route.points, shades, strict=True):
        faded = Style(style.faded(float(opacity)), style.symbol)
        log_n, losses = curves.at(point.budget)
        trace = line(mixture, faded, np.exp(log_n), np.exp(losses[0]))
        figure.add_trace(trace.update(mode="lines+markers", marker={"size": 4}))
        symbol = "diamond-open" if point.flag else "diamond"
        about = f"C = {point.budget:.3g}<br>N* = %{{x:.3g}}<br>%{{y:.4g}}"
        minimum = dots([point.params.value], [point.loss], faded.colour, symbol, size=11)
        hover = f"{about}<br>{html.escape(point.flag)}<extra></extra>"
        figure.add_trace(minimum.update(hovertemplate=hover))
    return figure


def frontier(
    fits: StudyFit, styles: Mapping[str, Style], what: str, ends: tuple[float, float]
) -> Figure:
    """N*(C) or D*(C) with bands: solid in the measured compute range ``ends``, dashed beyond.

    Args:
        what: ``params`` or ``examples``.
    """
    title = {"params": "best model size N*", "examples": "best number of jets D*"}[what]
    sizes = [fitted.window[what] for fitted in fits.mixtures.values()]
    low, high = min(s[0] for s in sizes) / _SPREAD, max(s[1] for s in sizes) * _SPREAD
    figure = empty("compute C (FLOPs)", title, range=[math.log10(low), math.log10(high)])
    figure.update_yaxes(type="log", dtick=1, exponentformat="power")
    figure.update_xaxes(type="log", dtick=1, exponentformat="power")
    inside = np.geomspace(*ends, 30)
    beyond = np.geomspace(ends[1], ends[1] * 10**_DECADES_BEYOND, 12)
    for name, fitted in fits.mixtures.items():
        for budgets, dash, opacity in ((inside, "solid", 0.14), (beyond, "dash", 0.06)):
            curve = getattr(laws.optimum(fitted.theta, budgets, fits.cost), what)
            curve = np.where((curve > 0) & np.isfinite(curve), curve, np.nan)
            # Replicates (R, 1) by budgets (n,): an interval per budget, (n, 2).
            theta = fitted.replicates.theta[:, None, :]
            draws = getattr(laws.optimum(theta, budgets, fits.cost), what)
            band = [percentile_interval(column, fitted.n_cells) for column in draws.T]
            lower, upper = np.clip(np.array(band).T, low, high)
            figure.add_trace(
                Scatter(
                    x=[*budgets, *budgets[::-1]],
                    y=[*lower, *upper[::-1]],
                    mode="lines",
                    line={"width": 0},
                    fill="toself",
                    fillcolor=styles[name].faded(opacity),
                    hoverinfo="skip",
                )
            )
            trace = line(name, styles[name], budgets, curve, hover="C = %{x:.3g}<br>%{y:.3g}")
            figure.add_trace(trace.update(line_dash=dash))
    drawing.rule(figure, x=ends[1])
    figure.add_annotation(
        x=math.log10(ends[1]),
        y=0,  # at the foot: the tools of the figure cover its head
        yref="paper",
        text="extrapolated →",
        showarrow=False,
        xanchor="left",
        yanchor="bottom",
        font={"size": 11},
    )
    return figure
