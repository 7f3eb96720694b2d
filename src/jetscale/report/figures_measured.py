"""Figures of what is measured: loss differences, effective data, and the losses themselves.

Pure functions from results to Plotly figures. An effective-data factor that is a limit is an open
triangle, pointing to where the factor may be.
"""

import html
import math
from collections.abc import Mapping

import pandas as pd
from plotly.graph_objects import Figure, Scatter

from jetscale.report.drawing import (
    NEUTRAL,
    Style,
    data_axis,
    empty,
    line,
    loss_range,
    run_points,
    shift,
)
from jetscale.scaling import Difference, Estimate, PairedStudy
from jetscale.words import short

_LIMITS = {">": "triangle-up-open", "<": "triangle-down-open", "<>": "star-diamond-open"}


def differences(study: PairedStudy, styles: Mapping[str, Style]) -> Figure:
    """Mean paired loss difference to the baseline against D, with intervals."""
    figure = empty("training jets D", f"loss − loss of {html.escape(study.baseline)}")
    pairs = [pair for pair in study.pairs if pair.baseline == study.baseline]
    for i, pair in enumerate(pairs):
        points = [(row.examples or math.nan, row.difference, "") for row in pair.by_examples]
        figure.add_trace(_points(pair.mixture, styles[pair.mixture], points, i, len(pairs)))
    figure.add_hline(y=0, line={"color": NEUTRAL, "width": 1, "dash": "dot"})
    return data_axis(figure, [row.examples for pair in pairs for row in pair.by_examples])


def data_factors(study: PairedStudy, styles: Mapping[str, Style]) -> Figure:
    """Effective-data factor relative to the baseline against D; limits as open triangles."""
    figure = empty("training jets D", "effective-data factor")
    pairs = [pair for pair in study.pairs if pair.baseline == study.baseline]
    for i, pair in enumerate(pairs):
        points = [_factor(row) for row in pair.by_examples if row.data_factor is not None]
        figure.add_trace(_points(pair.mixture, styles[pair.mixture], points, i, len(pairs)))
    figure.add_hline(y=1, line={"color": NEUTRAL, "width": 1, "dash": "dot"})
    figure.update_yaxes(type="log", tickvals=[0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50], tickformat="~g")
    return data_axis(figure, [row.examples for pair in pairs for row in pair.by_examples])


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
    apart = shift(index, count)
    return Scatter(
        name=html.escape(name),
        x=[examples * apart for examples, _, _ in points],
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


def losses(runs: pd.DataFrame, styles: Mapping[str, Style]) -> dict[str, Figure]:
    """Test loss against D, one figure per model size: runs as points, lines through seed means."""
    ends = loss_range(runs["loss"])
    found = {}
    for params, part in runs.groupby("params", sort=True):
        figure = empty("training jets D", "test loss", range=ends)
        for i, (name, style) in enumerate(styles.items()):
            own = part[part["mixture"] == name]
            means = own.groupby("examples", sort=True)["loss"].mean()
            apart = shift(i, len(styles))
            figure.add_trace(line(name, style, means.index * apart, means))
            figure.add_trace(run_points(name, style, own, own["examples"] * apart, own["loss"]))
        found[f"N = {short(float(str(params)))}"] = data_axis(figure, runs["examples"])
    return found
