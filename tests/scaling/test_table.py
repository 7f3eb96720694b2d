"""Every way a run table can be unusable, and what a good one becomes."""

import numpy as np
import pandas as pd
import pytest

from jetscale.errors import TableError
from jetscale.scaling import read_runs, validate

HEADER = b"mixture,params,examples,loss\n"


def table(**columns):
    base = {
        "mixture": ["scratch", "scratch", "qcd"],
        "params": [100, 100, 100],
        "examples": [10, 20, 10],
        "loss": [2.0, 1.9, 1.8],
    }
    return pd.DataFrame(base | columns)


def test_clean_table_gets_seed_and_cell():
    clean = validate(table(extra=["x", "y", "z"]))
    assert list(clean.columns) == ["mixture", "params", "examples", "loss", "seed", "cell"]
    assert clean["seed"].tolist() == [0, 0, 0]
    assert clean["cell"].tolist() == [0, 1, 0], "the same point has one number in all mixtures"
    assert clean["loss"].dtype == np.float64


def test_validating_twice_changes_nothing():
    once = validate(table(flops=[1.0, 2.0, 3.0], seed=[1, 1, 2]))
    pd.testing.assert_frame_equal(validate(once), once, check_like=True)


@pytest.mark.parametrize("column", ["mixture", "params", "examples", "loss"])
def test_missing_column(column):
    with pytest.raises(TableError, match=f"missing column '{column}'"):
        validate(table().drop(columns=column))


def test_missing_column_names_the_nearest():
    with pytest.raises(TableError, match="missing column 'examples'; rename 'Example'"):
        validate(table().rename(columns={"examples": "Example"}))


def test_column_twice():
    frame = pd.concat([table(), table()[["loss"]]], axis=1)
    with pytest.raises(TableError, match="column 'loss' is there twice"):
        validate(frame)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"loss": [2.0, "diverged", 1.8]}, r"row 2: loss is 'diverged', needs a number"),
        ({"loss": [2.0, 1.9, ""]}, r"row 3: loss is empty, needs a number"),
        ({"loss": [2.0, None, 1.8]}, r"row 2: loss is 'nan', needs a number"),
        ({"loss": [2.0, 0.0, 1.8]}, r"row 2: loss is 0, needs a finite number above zero"),
        ({"params": [100, -5, 100]}, r"row 2: params is -5, needs a finite number above zero"),
        ({"examples": [np.inf, 20, 10]}, r"row 1: examples is inf, needs a finite number"),
        ({"flops": [1e9, 1e9, 0]}, r"row 3: flops is 0, needs a finite number above zero"),
        ({"seed": [1, 1.5, 1]}, r"row 2: seed is 1.5, needs a whole number"),
        ({"seed": [1, np.inf, 1]}, r"row 2: seed is inf, needs a whole number"),
        ({"seed": ["a", 1, 1]}, r"row 1: seed is 'a', needs a number"),
        ({"seed": [1, 1, 1e30]}, r"row 3: seed is 1e\+30, needs one of at most 2\^53"),
        ({"seed": [1, "-1e17", 1]}, r"row 2: seed is -1e\+17, needs one of at most 2\^53"),
        ({"pretraining_flops": [0, -1, 0]}, r"row 2: pretraining_flops is -1, needs zero or more"),
        ({"mixture": ["scratch", " ", "qcd"]}, r"row 2: mixture is empty"),
        ({"mixture": ["scratch", None, "qcd"]}, r"row 2: mixture is empty"),
    ],
)
def test_bad_values_name_row_and_value(columns, message):
    with pytest.raises(TableError, match=message) as caught:
        validate(table(**columns))
    assert "\n" not in str(caught.value)


def test_the_columns_of_a_study_are_kept():
    extra = {"params_non_embedding": [80.0] * 3, "pretraining_flops": [0.0, 0.0, 1e9]}
    clean = validate(table(**extra))
    assert {name: clean[name].tolist() for name in extra} == extra
    pd.testing.assert_frame_equal(validate(clean), clean, check_like=True)


def test_duplicates_without_seeds_ask_for_seeds():
    with pytest.raises(TableError, match=r"rows 1 and 2 are the same run: .* no seed column"):
        validate(table(examples=[10, 10, 10]))


def test_duplicates_with_seeds_name_the_seed():
    with pytest.raises(TableError, match=r"rows 1 and 2 are the same run: .* seed 7; keep one"):
        validate(table(examples=[10, 10, 10], seed=[7, 7, 7]))


def test_seeds_tell_runs_apart():
    assert len(validate(table(examples=[10, 10, 10], seed=[1, 2, 1]))) == 3


def test_no_rows():
    with pytest.raises(TableError, match="no rows"):
        validate(table().iloc[:0])


def test_read_runs_from_a_file(tmp_path):
    path = tmp_path / "runs.csv"
    path.write_text("\ufeffmixture, params ,examples,loss\n qcd+bsm,1e3,5e2,1.5\n")
    row = read_runs(path).iloc[0]
    assert (row["mixture"], row["params"], row["examples"], row["loss"]) == (
        "qcd+bsm",
        1000,
        500,
        1.5,
    )


def test_unnamed_columns_of_a_spreadsheet_do_no_harm(tmp_path):
    path = tmp_path / "runs.csv"
    path.write_text("mixture,params,examples,loss,,\nqcd,1e3,5e2,1.5,,\n\n", newline="\r\n")
    assert read_runs(path)["loss"].tolist() == [1.5]


def test_a_mixture_named_na_is_a_name(tmp_path):
    path = tmp_path / "runs.csv"
    path.write_text("mixture,params,examples,loss\nNA,1000,500,1.5\n")
    assert read_runs(path)["mixture"].tolist() == ["NA"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (HEADER, "no rows"),
        (b"\n \n", "is empty"),
        (HEADER + b"qcd,1,1,1\n\nqcd,1,2,1,9,9\n", "row 2 has 6 fields, the header has 4"),
        (HEADER + b"1,qcd,1,1,1\n2,qcd,1,2,1\n", "row 1 has 5 fields, the header has 4"),
        (HEADER + b"qcd,1,1,1\nqcd,1,2\n", "row 2 has 3 fields, the header has 4"),
        (b"mixture;params;examples;loss\nqcd;1;1;1,5\n", "separated by ';', needs commas"),
        (b"mixture\tparams\texamples\tloss\nqcd\t1\t1\t1\n", "separated by tabs, needs commas"),
        (HEADER + b'"qcd,1,1,1\nqcd,1,2,1\n', "not a comma-separated"),
        (b"mixture,params,examples,loss,loss\nqcd,1,1,1,2\n", "column 'loss' is there twice"),
        (b"\xff\xfe\x00\x01", "not a comma-separated"),
        (HEADER + b"qcd,1,1,oops\n", "row 1: loss is 'oops'"),
    ],
)
def test_bad_files_name_the_file(tmp_path, content, message):
    path = tmp_path / "runs.csv"
    path.write_bytes(content)
    with pytest.raises(TableError, match=message) as caught:
        read_runs(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["absent.csv", "."])
def test_unreadable_files(tmp_path, name):
    with pytest.raises(TableError, match="cannot read the run table"):
        read_runs(tmp_path / name)
