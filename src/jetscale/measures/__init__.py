"""Mixtures as instruments: how diverse each is and how well aligned with the downstream task.

`measure_study` takes all measures of a study before (and, with trunks, after) it is paid for;
`draw_axes` draws the mixtures as points of diversity and alignment. Gradient boosting and the
linear probe come from scikit-learn, the optional extra ``measure``.
"""

from jetscale.measures.figure import check_figure, draw_axes
from jetscale.measures.kept import keep, kept
from jetscale.measures.measure import JETS, measure_study
from jetscale.measures.result import DOWNSTREAM, Axes, MeasureTable, Row, Value
from jetscale.measures.sample import check_measurable

__all__ = [
    "DOWNSTREAM",
    "JETS",
    "Axes",
    "MeasureTable",
    "Row",
    "Value",
    "check_figure",
    "check_measurable",
    "draw_axes",
    "keep",
    "kept",
    "measure_study",
]
