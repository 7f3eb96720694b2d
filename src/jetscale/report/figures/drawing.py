"""The look of the report's figures: colours, symbols, axes and the traces that all of them share.

A mixture has one colour and one symbol throughout, so figures carry no legends of their own. Points
at the same data size are set slightly apart; the exact size is in the hover text.
"""

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import numpy as np
import pandas as pd
from plotly.graph_objects import Figure, Scatter

from jetscale.measures.figure import OKABE_ITO
from jetscale.words import short

NEUTRAL = "#4d4d4d"
_TICKS = 5  # that a small figure has room for
_MOST_TICKS = 40  # data sizes beyond which an axis has round places instead
_COLOURS = (NEUTRAL, *OKABE_ITO)
_SYMBOLS = {
    "circle": "M6 1.5A4.5 4.5 0 1 1 6 10.5A4.5 4.5 0 1 1 6 1.5Z",
    "square": "M2 2H10V10H2Z",
    "diamond": "M6 .5L11.5 6L6 11.5L.5 6Z",
    "cross": "M4 1H8V4H11V8H8V11H4V8H1V4H4Z",
    "hourglass": "M1.5 1.5H10.5L1.5 10.5H10.5Z",
}
_GRID = "#e6e8ec"
_INK = "#1c1f24"


@dataclass(frozen=True, slots=True)
class Style:
    """Colour and symbol of a mixture."""

    colour: str
    symbol: str

    @property
    def outline(self) -> str:
        """The symbol as an SVG path in a square of 12."""
        return _SYMBOLS[self.symbol]

    def faded(self, opacity: float) -> str:
        """The colour with an opacity, as CSS."""
        red, green, blue = (int(self.colour[i : i + 2], 16) for i in (1, 3, 5))
        return f"rgba({red},{green},{blue},{opacity:.2f})"

    def shade(self, opacity: float) -> "Style":
        """The style in a fainter colour."""
        return Style(self.faded(opacity), self.symbol)


def styles(names: Sequence[str]) -> dict[str, Style]:
    """Colour and symbol by mixture, in the order given; they recur after 35 mixtures."""
    looks = zip(cycle(_COLOURS), cycle(_SYMBOLS), strict=True)
    return {name: Style(*look) for name, look in zip(names, looks, strict=False)}


def empty(x: str, y: str, range: Sequence[float] | None = None) -> Figure:
    """An empty figure in the report's style."""
    look = {"gridcolor": _GRID, "linecolor": _INK, "ticks": "outside", "tickcolor": _GRID}
    axis = look | {"zeroline": False, "automargin": True}
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


def data_axis(figure: Figure, sizes: Any) -> Figure:
    """A logarithmic D axis with the data sizes as ticks, as many as can be read."""
    values = sorted({float(size) for size in sizes})
    if not values:
        return figure
    ticks = values[:: math.ceil(len(values) / _TICKS)]  # more could not be read
    if len(values) > _MOST_TICKS:  # no grid of data sizes, and some of them lie close together
        ticks = np.geomspace(values[0], values[-1], 4).tolist()
    return figure.update_xaxes(type="log", tickvals=ticks, ticktext=list(map(short, ticks)))


def loss_range(values: pd.Series) -> list[float]:
    """The range of values and a margin."""
    low, high = float(values.min()), float(values.max())
    margin = 0.05 * (high - low or high)
    return [low - margin, high + margin]


def alike(figures: Mapping[str, Figure]) -> Mapping[str, Figure]:
    """The figures, on axes that hold the points of all: they stand side by side to be compared."""
    for axis in ("x", "y"):
        ends = [found for figure in figures.values() if (found := _reach(figure, axis))]
        for figure in figures.values() if ends else ():
            low, high = zip(*ends, strict=True)
            figure.layout[f"{axis}axis"].range = [min(low), max(high)]
    return figures


def _reach(figure: Figure, axis: str) -> Sequence[float]:
    """The range of an axis, or that of the points on it and their bars; empty without any."""
    look, values = figure.layout[f"{axis}axis"], list[float]()
    if look.range:
        return tuple(look.range)
    for trace in figure.data:
        bars = trace[f"error_{axis}"]
        for sign, lengths in ((1, bars.array), (-1, bars.arrayminus)):
            off = np.zeros(len(trace[axis])) if lengths is None else np.array(lengths)
            values += (np.array(trace[axis], dtype=float) + sign * off).tolist()
    found = np.log10(values) if look.type == "log" else np.array(values)
    seen = pd.Series(found[np.isfinite(found)])
    return () if seen.empty else loss_range(seen)


def shift(index: int, count: int) -> float:
    """The factor that sets the points of one of several series apart on a logarithmic axis."""
    return float(1.06 ** (index - (count - 1) / 2))


def shades(params: Iterable[float]) -> list[tuple[float, float]]:
    """Model sizes, each once, with an opacity that grows with them."""
    sizes = sorted(set(params))
    return [(float(n), o) for n, o in zip(sizes, np.linspace(0.35, 1, len(sizes)), strict=True)]


def line(name: str, style: Style, x: Any, y: Any, hover: str = "") -> Scatter:
    """A curve of a mixture; without a text for ``hover`` it does not answer the pointer."""
    return Scatter(
        name=html.escape(name),
        x=list(map(float, x)),
        y=list(map(float, y)),
        mode="lines",
        line={"color": style.colour, "width": 1.5},
        hoverinfo="all" if hover else "skip",
        hovertemplate=f"%{{fullData.name}}<br>{hover}<extra></extra>" if hover else None,
    )


def dots(x: Any, y: Any, colour: str, symbol: Any, size: int = 8, **more: Any) -> Scatter:
    """Points of one colour; ``more`` goes to the trace."""
    marker = {"color": colour, "symbol": symbol, "size": size}
    return Scatter(**{"x": x, "y": y, "mode": "markers", "marker": marker} | more)


def bars(above: Sequence[float], below: Sequence[float], width: int = 4) -> dict[str, Any]:
    """Error bars of points, as lengths."""
    ends = {"array": above, "arrayminus": below}
    return {"type": "data", "width": width, "thickness": 1.5} | ends


def rule(figure: Figure, **at: float) -> Figure:
    """The figure with a dotted line at a value of ``y`` or ``x``."""
    look = {"color": NEUTRAL, "width": 1, "dash": "dot"}
    return figure.add_hline(line=look, **at) if "y" in at else figure.add_vline(line=look, **at)


def run_points(name: str, style: Style, runs: pd.DataFrame, x: Any, y: Any) -> Scatter:
    """Runs of a mixture as points; the hover text gives their exact size and seed."""
    trace = dots(list(map(float, x)), list(map(float, y)), style.colour, style.symbol, size=6)
    return trace.update(
        name=html.escape(name),
        customdata=runs[["params", "examples", "seed"]].to_numpy().tolist(),
        marker_opacity=0.8,
        hovertemplate="%{fullData.name}<br>N = %{customdata[0]}, D = %{customdata[1]}, "
        "seed %{customdata[2]}<br>%{y:.4g}<extra></extra>",
    )
