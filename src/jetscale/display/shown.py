"""A result as the text that its command prints, and as the same tables for a notebook."""

from importlib import import_module
from io import StringIO
from typing import Any

from jetscale.display.console import as_html, as_text, instead_of_loss

SHOW = {  # modules by name: a fit is printed without matplotlib, which the measures import
    "Allocation": ("laws", "show_allocation"),
    "Comparison": ("laws", "show_comparison"),
    "Exported": ("models", "show_export"),
    "MeasureTable": ("measures", "show_measures"),
    "PairedStudy": ("laws", "show_paired"),
    "Plan": ("console", "show_plan"),
    "Power": ("power", "show_power"),
    "Predictions": ("models", "show_predictions"),
    "Status": ("console", "show_status"),
    "StudyFit": ("laws", "show_fit"),
    "ThreeAnswers": ("answers", "show_answers"),
    "Tuning": ("tuning", "show_tuning"),
}
"""What prints a result, by the name of its class."""


def _show(result: Any) -> None:
    module, name = SHOW[type(result).__name__]
    with instead_of_loss(getattr(result, "quantity", "loss")):
        getattr(import_module(f"jetscale.display.{module}"), name)(result)


def text_of(result: Any) -> str:
    """Return what the command prints, as wide as the terminal and without colours."""
    with as_text(file := StringIO()):
        _show(result)
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines()).rstrip()


def html_of(result: Any) -> str:
    """Return the same as plain HTML; all text is escaped."""
    with as_html() as parts:
        _show(result)
    return "\n".join(parts or ())
