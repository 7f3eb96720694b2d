"""The mixtures before any training: how diverse each is and how well aligned with the task.

The map shows what a study can tell apart. Mixtures on one line, more diverse where better aligned,
leave open which of the two an effect is due to.
"""

import html
import math
from collections.abc import Mapping
from typing import Any

from plotly.graph_objects import Figure, Scatter

from jetscale.report.drawing import Style, empty
from jetscale.report.html import Context, Markup, estimate, inline, join, paragraph, table
from jetscale.scaling import Estimate

_AXES = {
    "diversity": "effective number of labels, exp(entropy)",
    "alignment": "alignment 2 (1 − AUC)",
}


_MARGIN = 1.6
_TICKS = [step * 10**power for power in range(4) for step in (1, 2, 5)]


def section(context: Context) -> Markup:
    """The map, its numbers, and whether its axes can be told apart."""
    if context.measures is None:
        return paragraph(
            "Diversity and alignment were not measured: `jetscale measure` does so before any "
            "training, and the report then shows the map."
        )
    axes = context.measures["axes"]
    points = {
        name: {axis: _estimate(value) for axis, value in point.items()}
        for name, point in axes["points"].items()
    }
    text = (
        f"Measured on {context.measures['jets']} jets of each mixture. Alignment is 1 where a "
        "classifier cannot tell pretraining jets from downstream jets, and 0 where it always can."
    )
    rows = [(name, *(estimate(point[axis]) for axis in _AXES)) for name, point in points.items()]
    drawn = context.figures.panels(
        {"Diversity and alignment with 95% intervals": mixture_map(points, context.styles)}
    )
    return join(
        paragraph(text), drawn, table(("mixture", *_AXES.values()), rows), _apart(axes, points)
    )


def mixture_map(
    points: Mapping[str, Mapping[str, Estimate]], styles: Mapping[str, Style]
) -> Figure:
    """Mixtures as points of diversity and alignment; colours are those of the report."""
    figure = empty(_AXES["diversity"], _AXES["alignment"])
    for name, point in points.items():
        x, y = (point[axis] for axis in _AXES)
        style = styles.get(name) or Style("#4d4d4d", "circle")
        figure.add_trace(
            Scatter(
                name=html.escape(name),
                x=[x.value],
                y=[y.value],
                error_x=_bars(x),
                error_y=_bars(y),
                mode="markers+text",
                text=[html.escape(name)],
                textposition="top center",
                cliponaxis=False,
                marker={"color": style.colour, "symbol": style.symbol, "size": 10},
                hovertemplate="%{fullData.name}<br>%{x:.3g} labels, alignment %{y:.2f}"
                "<extra></extra>",
            )
        )
    ends = [
        end
        for point in points.values()
        for end in (point["diversity"].low, point["diversity"].high)
    ]
    reach = [math.log10(min(ends) / _MARGIN), math.log10(max(ends) * _MARGIN)]
    figure.update_xaxes(type="log", range=reach, tickvals=_TICKS)
    figure.update_yaxes(range=[0, 1.05])
    return figure


def _apart(axes: Mapping[str, Any], points: Mapping[str, Any]) -> Markup:
    """Whether diversity and alignment vary apart over these mixtures."""
    correlation = axes["correlation"]
    found = (
        f"Over {len(points)} mixtures diversity and alignment correlate by "
        f"{inline(_estimate(correlation), 2)}: "
        if correlation
        else ""
    )
    return paragraph(f"{found}{axes['verdict']}.".replace("..", "."))


def _estimate(value: Mapping[str, float]) -> Estimate:
    return Estimate(value=value["value"], low=value["low"], high=value["high"])


def _bars(value: Estimate) -> dict[str, Any]:
    return {
        "type": "data",
        "array": [value.high - value.value],
        "arrayminus": [value.value - value.low],
        "width": 4,
        "thickness": 1.5,
    }
