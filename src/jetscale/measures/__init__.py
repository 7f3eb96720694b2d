"""Diversity of every mixture, and its alignment with the downstream task, before any training.

With pretrained trunks in the results folder `measure_study` also measures how well they transfer.
Gradient boosting and the linear probe come from scikit-learn, the optional extra ``measure``.
"""

from jetscale.measures.figure import check_figure, draw_axes
from jetscale.measures.measure import JETS, measure_study
from jetscale.measures.result import (
    DOWNSTREAM,
    Axes,
    MeasureTable,
    Row,
    Value,
    load_measures,
    save_measures,
)
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
    "load_measures",
    "measure_study",
    "save_measures",
]
