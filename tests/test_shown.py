"""What results share: rows of dataclasses, frames with fixed columns, text and HTML on demand."""

import subprocess
import sys
from dataclasses import dataclass
from enum import Enum

import pandas as pd
import pytest

from jetscale.scaling.estimate import Estimate
from jetscale.shown import Shown, frame_of, row_of


class Colour(Enum):
    RED = "red"


@dataclass(frozen=True)
class One:
    name: str
    loss: Estimate | None
    colour: Colour = Colour.RED


def test_a_number_with_an_interval_becomes_columns():
    found = Estimate(value=1.0, low=0.5, high=2.0, reason="few runs")
    row = row_of(One("a", found))
    assert (row["loss"], row["loss_low"], row["loss_high"]) == (1.0, 0.5, 2.0)
    assert (row["loss_identified"], row["loss_reason"]) == (False, "few runs")
    assert row["colour"] == "red"
    assert row_of(found, "L_")["L_high"] == 2.0
    assert row_of(None) == {}


def test_a_frame_has_all_its_columns_whatever_is_missing():
    frame = frame_of([row_of(One("a", None))], "name loss loss_low")
    assert list(frame) == ["name", "loss", "loss_low"]
    assert frame.isna().to_numpy().tolist() == [[False, True, True]]
    assert frame_of([], "a b").empty
    assert isinstance(frame, pd.DataFrame)


@pytest.mark.long
def test_what_is_only_computed_with_needs_no_terminal_and_no_figures():
    code = (
        "import sys, jetscale.scaling, jetscale.shown;"
        "print(sorted({'rich', 'plotly', 'matplotlib'} & {*sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert Shown.__slots__ == ()
