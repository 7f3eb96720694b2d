"""Optional columns: taken over, checked with the row, and asked for by the law that needs them."""

import pytest

from jetscale.errors import FitError, TableError
from jetscale.scaling import fit
from jetscale.scaling.covariates import lacking
from jetscale.scaling.engine.forms import LAWS
from jetscale.scaling.table import validate


def test_columns_are_taken_over(grid, truth):
    frame = grid({"m": truth}, seeds=1).assign(unique_examples=5.0, trunk="t", other=1)
    runs = validate(frame)
    assert (runs["unique_examples"] == 5.0).all()
    assert (runs["trunk"] == "t").all()
    assert "other" not in runs


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("unique_examples", 0.0, "row 3: unique_examples is .*0.0.*, needs a number above zero"),
        ("pretraining_examples", -1.0, "row 3: pretraining_examples is .*, needs zero or more"),
        ("unique_examples", float("inf"), "row 3: unique_examples"),
    ],
)
def test_bad_values_are_named(grid, truth, column, value, message):
    frame = grid({"m": truth}, seeds=1)
    frame[column] = 1e6
    frame.loc[2, column] = value
    with pytest.raises(TableError, match=message):
        validate(frame)


def test_text_is_refused(grid, truth):
    frame = grid({"m": truth}, seeds=1)
    frame["unique_examples"] = "many"
    with pytest.raises(TableError, match="row 1: unique_examples is 'many'"):
        validate(frame)


def test_missing_columns_are_asked_for(grid, truth):
    frame = grid({"m": truth}, seeds=1)
    for name in ("repetition", "transfer", "pretraining"):
        column = LAWS[name].columns[0]
        with pytest.raises(FitError, match=f"has no column {column}, which the law '{name}' needs"):
            fit(frame, law=name)


def test_pretraining_needs_sizes(grid, truth):
    frame = validate(grid({"m": truth}, seeds=1))
    law = LAWS["pretraining"]
    assert "from scratch" in lacking(frame.assign(pretraining_examples=0.0), law)
    assert "needs at least 2" in lacking(frame.assign(pretraining_examples=1e6), law)
    sizes = [1e6, 1e7] * (len(frame) // 2)
    assert lacking(frame.assign(pretraining_examples=sizes), law) == ""


def test_repetition_needs_repeated_examples(grid, truth):
    frame = grid({"m": truth}).assign(unique_examples=1e15)
    with pytest.raises(FitError, match="nothing is repeated"):
        fit(frame, law="repetition")
