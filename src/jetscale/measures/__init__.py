"""Diversity and alignment of mixtures, transfer of trunks; needs the optional extra ``measure``."""

from jetscale.measures.figure import check_figure, draw_axes
from jetscale.measures.measure import JETS, expected_seconds, measure_study
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
    "expected_seconds",
    "load_measures",
    "measure_study",
    "save_measures",
]
