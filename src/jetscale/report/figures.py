"""Figures of the report: pure functions from results to Plotly figures.

A mixture has one colour and one symbol throughout (colours of Okabe and Ito, distinguishable with
every common kind of colour blindness), so figures carry no legends of their own. Points at the same
data size are set slightly apart; the exact size is in ``customdata`` and in the hover text.
"""

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from plotly.graph_objects import Figure, Scatter

from jetscale.plan import short
from jetscale.scaling import Difference, Estimate, MixtureFit, PairedStudy, StudyFit, laws
from jetscale.scaling.estimate import percentile_interval

_COLOURS = ("#4d4d4d", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_SYMBOLS = {
    "circle": "M6 1.5A4.5 4.5 0 1 1 6 10.5A4.5 4.5 0 1 1 6 1.5Z",
    "square": "M2 2H10V10H2Z",
    "diamond": "M6 .5L11.5 6L6 11.5L.5 6Z",
    "cross": "M4 1H8V4H11V8H8V11H4V8H1V4H4Z",
    "hourglass": "M1.5 1.5H10.5L1.5 10.5H10.5Z",
}
_LIMITS = {">": "triangle-up-open", "<": "triangle-down-open", "<>": "star-diamond-open"}
_APART = 1.06
_GRID = "#e6e8ec"
_INK = "#1c1f24"
_DECADES_BEYOND = 1.0
_MOST_TICKS = 9
_SPREAD = 30.0
"""A frontier figure reaches this factor beyond the measured sizes; bands are cut there."""


@dataclass(frozen=True, slots=True)
class Style:
    """Colour and symbol of a mixture."""

    colour: str
    symbol: str

    @property
    def swatch(self) -> str:
        """The symbol as an inline picture."""
        return (
            '<svg class="swatch" width="12" height="12" viewBox="0 0 12 12" aria-hidden="true">'
            f'<path fill="{self.colour}" d="{_SYMBOLS[self.symbol]}"/></svg>'
        )

    def faded(self, opacity: float) -> str:
        """The colour with an opacity, as CSS."""
        red, green, blue = (int(self.colour[i : i + 2], 16) for i in (1, 3, 5))
        return f"rgba({red},{green},{blue},{opacity:.2f})"


def styles(names: Sequence[str]) -> dict[str, Style]:
    """Colour and symbol by mixture, in the order given; they recur after 35 mixtures."""
    symbols = list(_SYMBOLS)
    return {
        name: Style(_COLOURS[i % len(_COLOURS)], symbols[i % len(symbols)])
        for i, name in enumerate(names)
    }


# ------------------------------------------------------------------ measured


def differences(study: PairedStudy, styles: Mapping[str, Style]) -> Figure:
    """Mean paired loss difference to the baseline against D, with intervals."""
    figure = _figure("training jets D", f"loss − loss of {html.escape(study.baseline)}")
    pairs = [pair for pair in study.pairs if pair.baseline == study.baseline]
    for i, pair in enumerate(pairs):
        points = [(row.examples or math.nan, row.difference, "") for row in pair.by_examples]
        figure.add_trace(_points(pair.mixture, styles[pair.mixture], points, i, len(pairs)))
    figure.add_hline(y=0, line={"color": _COLOURS[0], "width": 1, "dash": "dot"})
    return _data_axis(figure, [row.examples for pair in pairs for row in pair.by_examples])


def data_factors(study: PairedStudy, styles: Mapping[str, Style]) -> Figure:
    """Effective-data factor relative to the baseline against D; limits as open triangles."""
    figure = _figure("training jets D", "effective-data factor")
    pairs = [pair for pair in study.pairs if pair.baseline == study.baseline]
    for i, pair in enumerate(pairs):
        points = [_factor(row) for row in pair.by_examples if row.data_factor is not None]
        figure.add_trace(_points(pair.mixture, styles[pair.mixture], points, i, len(pairs)))
    figure.add_hline(y=1, line={"color": _COLOURS[0], "width": 1, "dash": "dot"})
    figure.update_yaxes(type="log", tickvals=[0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50], tickformat="~g")
    return _data_axis(figure, [row.examples for pair in pairs for row in pair.by_examples])


def _factor(row: Difference) -> tuple[float, Estimate, str]:
    assert row.data_factor is not None
    return row.examples or math.nan, row.data_factor.factor, row.data_factor.bound


def _points(
    name: str, style: Style, points: list[tuple[float, Estimate, str]], index: int, count: int
) -> Scatter:
    """One mixture's estimates with their intervals; an end that is unknown gets no bar."""
    values = [estimate.value for _, estimate, _ in points]
    above = [_bar(estimate.high - estimate.value) for _, estimate, _ in points]
    below = [_bar(e.value - e.low) if e.low != 0 else 0.0 for _, e, _ in points]
    shift = _APART ** (index - (count - 1) / 2)
    return Scatter(
        name=html.escape(name),
        x=[examples * shift for examples, _, _ in points],
        y=values,
        customdata=[examples for examples, _, _ in points],
        error_y={"type": "data", "array": above, "arrayminus": below, "width": 4, "thickness": 1.5},
        mode="lines+markers",
        line={"color": style.colour, "width": 1.5},
        marker={
            "color": style.colour,
            "symbol": [_LIMITS.get(bound, style.symbol) for _, _, bound in points],
            "size": 9,
        },
        hovertemplate="%{fullData.name}<br>D = %{customdata}<br>%{y:.4g}<extra></extra>",
    )


def _bar(length: float) -> float:
    return length if math.isfinite(length) else 0.0


# ------------------------------------------------------------------ losses


def losses(runs: pd.DataFrame, styles: Mapping[str, Style]) -> dict[str, Figure]:
    """Test loss against D, one figure per model size: runs as points, lines through seed means."""
    ends = _ends(runs["loss"])
    found = {}
    for params, part in runs.groupby("params", sort=True):
        figure = _figure("training jets D", "test loss", range=ends)
        for i, (name, style) in enumerate(styles.items()):
            own = part[part["mixture"] == name]
            means = own.groupby("examples", sort=True)["loss"].mean()
            shift = _APART ** (i - (len(styles) - 1) / 2)
            figure.add_trace(_line(name, style, means.index * shift, means))
            figure.add_trace(_runs(name, style, own, own["examples"] * shift, own["loss"]))
        found[f"N = {short(float(str(params)))}"] = _data_axis(figure, runs["examples"])
    return found


def law_fit(fitted: MixtureFit, runs: pd.DataFrame, style: Style) -> Figure:
    """Runs of one mixture and its law, a curve per model size; darker is larger."""
    figure = _figure("training jets D", "test loss", range=_ends(runs["loss"]))
    own = runs[runs["mixture"] == fitted.mixture]
    examples = np.geomspace(own["examples"].min(), own["examples"].max(), 40)
    for params, opacity in _shades(own["params"]):
        curve = laws.loss(fitted.theta, params, examples)
        part = own[own["params"] == params]
        faded = Style(style.faded(opacity), style.symbol)
        figure.add_trace(_line(fitted.mixture, faded, examples, curve))
        figure.add_trace(_runs(fitted.mixture, faded, part, part["examples"], part["loss"]))
    return _data_axis(figure, own["examples"])


def residuals(fitted: MixtureFit, runs: pd.DataFrame, style: Style, limit: float) -> Figure:
    """Distance of the runs of one mixture from its law in percent; darker is larger N."""
    figure = _figure("training jets D", "loss above law (%)", range=[-limit, limit])
    own = runs[runs["mixture"] == fitted.mixture]
    shades = _shades(own["params"])
    for i, (params, opacity) in enumerate(shades):
        part = own[own["params"] == params]
        expected = laws.loss(fitted.theta, params, part["examples"].to_numpy())
        shift = _APART ** (i - (len(shades) - 1) / 2)
        faded = Style(style.faded(opacity), style.symbol)
        percent = 100 * (part["loss"] / expected - 1)
        figure.add_trace(_runs(fitted.mixture, faded, part, part["examples"] * shift, percent))
    figure.add_hline(y=0, line={"color": _COLOURS[0], "width": 1, "dash": "dot"})
    return _data_axis(figure, own["examples"])


def _shades(params: pd.Series) -> list[tuple[float, float]]:
    """Model sizes with an opacity that grows with them."""
    sizes = sorted(params.unique())
    return [(float(n), o) for n, o in zip(sizes, np.linspace(0.35, 1, len(sizes)), strict=True)]


def _line(name: str, style: Style, x: Any, y: Any) -> Scatter:
    return Scatter(
        name=html.escape(name),
        x=list(map(float, x)),
        y=list(map(float, y)),
        mode="lines",
        line={"color": style.colour, "width": 1.5},
        hoverinfo="skip",
    )


def _runs(name: str, style: Style, runs: pd.DataFrame, x: Any, y: Any) -> Scatter:
    return Scatter(
        name=html.escape(name),
        x=list(map(float, x)),
        y=list(map(float, y)),
        customdata=runs[["params", "examples", "seed"]].to_numpy().tolist(),
        mode="markers",
        marker={"color": style.colour, "symbol": style.symbol, "size": 6, "opacity": 0.8},
        hovertemplate="%{fullData.name}<br>N = %{customdata[0]}, D = %{customdata[1]}, "
        "seed %{customdata[2]}<br>%{y:.4g}<extra></extra>",
    )


# ------------------------------------------------------------------ frontier


def exponents(fits: StudyFit, styles: Mapping[str, Style]) -> Figure:
    """Exponent of N*(C) per mixture; open symbols where it is not identified."""
    figure = _figure("exponent a of N* ∝ C^a", "")
    for name, fitted in reversed(fits.mixtures.items()):
        value, style = fitted.frontier["params_exponent"], styles[name]
        bars = {"array": [value.high - value.value], "arrayminus": [value.value - value.low]}
        figure.add_trace(
            Scatter(
                name=html.escape(name),
                x=[value.value],
                y=[html.escape(name)],
                error_x={"type": "data", "width": 5, "thickness": 1.5, **bars},
                mode="markers",
                marker={
                    "color": style.colour,
                    "symbol": style.symbol + ("" if value.identified else "-open"),
                    "size": 10,
                },
                hovertemplate="%{y}<br>%{x:.3f}<extra></extra>",
            )
        )
    figure.update_xaxes(range=[-0.02, 1.02 / fits.cost.p])
    figure.update_yaxes(type="category", automargin=True)
    return figure


def frontier(
    fits: StudyFit, styles: Mapping[str, Style], what: str, ends: tuple[float, float]
) -> Figure:
    """N*(C) or D*(C) with bands: solid in the measured compute range ``ends``, dashed beyond.

    Parameters
    ----------
    what
        ``params`` or ``examples``.
    """
    title = {"params": "best model size N*", "examples": "best number of jets D*"}[what]
    sizes = [fitted.window[what] for fitted in fits.mixtures.values()]
    low, high = min(s[0] for s in sizes) / _SPREAD, max(s[1] for s in sizes) * _SPREAD
    figure = _figure("compute C (FLOPs)", title, range=[math.log10(low), math.log10(high)])
    figure.update_yaxes(type="log", dtick=1, exponentformat="power")
    figure.update_xaxes(type="log", dtick=1, exponentformat="power")
    inside = np.geomspace(*ends, 30)
    beyond = np.geomspace(ends[1], ends[1] * 10**_DECADES_BEYOND, 12)
    for name, fitted in fits.mixtures.items():
        for budgets, dash, opacity in ((inside, "solid", 0.14), (beyond, "dash", 0.06)):
            curve, band = _frontier(fitted, fits, what, budgets)
            edges = np.clip(band, low, high)
            figure.add_trace(_band(styles[name], budgets, edges, opacity))
            line = _line(name, styles[name], budgets, curve)
            line.update(
                line_dash=dash,
                hoverinfo="all",
                hovertemplate="%{fullData.name}<br>C = %{x:.3g}<br>%{y:.3g}<extra></extra>",
            )
            figure.add_trace(line)
    figure.add_vline(x=ends[1], line={"color": _COLOURS[0], "width": 1, "dash": "dot"})
    figure.add_annotation(
        x=math.log10(ends[1]),
        y=1,
        yref="paper",
        text="extrapolated →",
        showarrow=False,
        xanchor="left",
        yanchor="top",
        font={"size": 11},
    )
    return figure


def _frontier(
    fitted: MixtureFit, fits: StudyFit, what: str, budgets: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The best sizes (n,) at budgets (n,) and their intervals (2, n); nan where there is none."""
    curve = getattr(laws.optimum(fitted.theta, budgets, fits.cost), what)
    draws = getattr(laws.optimum(fitted.replicates.theta[:, None, :], budgets, fits.cost), what)
    band = [percentile_interval(column, fitted.n_cells) for column in draws.T]
    return np.where((curve > 0) & np.isfinite(curve), curve, np.nan), np.array(band).T


def _band(style: Style, x: np.ndarray, edges: np.ndarray, opacity: float) -> Scatter:
    return Scatter(
        x=[*x, *x[::-1]],
        y=[*edges[0], *edges[1][::-1]],
        mode="lines",
        line={"width": 0},
        fill="toself",
        fillcolor=style.faded(opacity),
        hoverinfo="skip",
    )


# ------------------------------------------------------------------ layout


def _figure(x: str, y: str, range: Sequence[float] | None = None) -> Figure:
    """An empty figure in the report's style."""
    axis = {
        "gridcolor": _GRID,
        "linecolor": _INK,
        "ticks": "outside",
        "tickcolor": _GRID,
        "zeroline": False,
        "automargin": True,
        "title": {"standoff": 8},
    }
    return Figure(
        layout={
            "template": "none",
            "showlegend": False,
            "margin": {"l": 56, "r": 14, "t": 12, "b": 44},
            "font": {"family": "system-ui, sans-serif", "size": 12, "color": _INK},
            "hovermode": "closest",
            "xaxis": axis | {"title": {"text": x, "standoff": 8}},
            "yaxis": axis | {"title": {"text": y, "standoff": 8}, "range": range},
        }
    )


def _data_axis(figure: Figure, sizes: Any) -> Figure:
    """A logarithmic D axis with the data sizes as ticks, as many as can be read."""
    values = sorted({float(size) for size in sizes})
    ticks = values[:: math.ceil(len(values) / _MOST_TICKS)]
    texts = [short(value) for value in ticks]
    return figure.update_xaxes(type="log", tickvals=ticks, ticktext=texts)


def _ends(values: pd.Series) -> list[float]:
    """The range of values and a margin."""
    margin = 0.05 * float(values.max() - values.min()) or 0.05 * float(values.max())
    return [float(values.min()) - margin, float(values.max()) + margin]
