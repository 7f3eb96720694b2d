"""Every way a run table can be unusable, and what a good one becomes."""

import numpy as np
import pandas as pd
import pytest

from jetscale.errors import TableError
from jetscale.scaling import pair_runs, read_runs, validate
from jetscale.scaling.table import copies, matched, seed_spread, spread_of
from jetscale.words import number


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


@pytest.mark.parametrize("column", ["params", "examples", "loss"])
def test_missing_column(column):
    with pytest.raises(TableError, match=f"missing column '{column}'"):
        validate(table().drop(columns=column))


def test_missing_column_names_the_nearest():
    with pytest.raises(TableError, match="missing column 'examples'; rename 'Exampels'"):
        validate(table().rename(columns={"examples": "Exampels"}))


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
        ({"params": ["1,000", 5, 5]}, r"row 1: params is '1,000', needs a number without commas"),
        ({"loss": ["1,5", 2, 2]}, r"row 1: loss is '1,5', needs a number without commas"),
        (
            {"params": ["1 M", 5, 5]},
            r"plain number; a unit may .* in the column's name, e.g. 'params",
        ),
        ({"seed": [1, "", 1]}, r"row 2: seed is empty, needs a number; number the runs of a cell"),
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


def test_a_name_is_one_line():
    clean = validate(table(mixture=["QCD\r\n + BSM", "tab\there", " scratch\n"]))
    assert clean["mixture"].tolist() == ["QCD + BSM", "tab here", "scratch"]


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


def test_sizes_off_by_little_are_one_cell_of_two_mixtures():
    frame = table(examples=[1000, 2000, 1001])
    clean = validate(frame)
    assert clean["cell"].tolist() == [0, 1, 0]
    assert clean["examples"].tolist() == [1000, 2000, 1001], "laws see the sizes as they are"
    assert matched(clean)["examples"].tolist() == [1000, 2000, 1000]
    (note,) = clean.attrs["notes"]
    assert "1 size of examples count as those of another mixture up to 0.001" in note
    assert pair_runs(frame).pairs[0].overall.n_pairs == 1
    assert validate(table(examples=[1000, 2000, 1006]))["cell"].nunique() == 3, "0.6% apart"


def test_sizes_that_one_mixture_tells_apart_stay_apart():
    clean = validate(table(examples=[1000, 1001, 1001]))
    assert clean["cell"].tolist() == [0, 1, 1]
    chain = pd.concat(
        [
            table(mixture=m, examples=[x, 9e3, 8e3])
            for m, x in zip("abc", (1e3, 1004, 1008), strict=True)
        ]
    )
    assert validate(chain)["cell"].nunique() == 5, "neighbours of neighbours are no neighbours"


def test_the_loss_of_another_seed_to_the_last_digit_is_told(grid, truth, tmp_path):
    frame = grid({"m": truth}, seeds=2, noise=0.01)
    frame.loc[1, "loss"] = frame.loc[0, "loss"]
    clean = validate(frame)
    assert clean.attrs["notes"][0].startswith("1 run with the loss of another seed to the last")
    assert np.flatnonzero(copies(clean)).tolist() == [1]
    frame.to_csv(tmp_path / "runs.csv", index=False)
    kept = read_runs(tmp_path / "runs.csv")
    assert len(kept) == len(frame) - 1
    assert not copies(kept).any()
    rounded = table(examples=[10, 10, 10], seed=[1, 2, 1], loss=[1.9, 1.9, 2.0])
    assert not copies(validate(rounded)).any(), "rounded losses may be equal by chance"


def test_a_spread_of_few_pairs_says_so(grid, truth):
    frame = grid({"m": truth}, seeds=2)
    some = frame[(frame["seed"] == 0) | (frame.index < 4)]
    spread = spread_of(validate(some), ["cell"])
    assert spread.freedom == 2
    ends = spread.value * np.sqrt(2 / np.array([7.377759, 0.050636]))  # chi-square, 2 degrees
    (note,) = validate(some).attrs["notes"]
    shown = [number(float(end), 2) for end in (spread.value, *ends)]
    assert "{} [{}, {}] of log loss, has 2 degrees of freedom".format(*shown) in note
    assert spread.value == seed_spread(some, ["params", "examples"])


@pytest.mark.parametrize(("factor", "word"), [(1e-9, "GFLOPs"), (1e6, "millions")])
def test_flops_in_other_units_are_told(factor, word):
    frame = table()
    counted = frame.assign(flops=6 * frame["params"] * frame["examples"] * factor)
    (note,) = validate(counted).attrs["notes"]
    assert word in note
    assert f"10^{np.log10(factor):.1f}" in note


@pytest.mark.parametrize("factor", [0.3, 1.0, 5000.0])
def test_flops_of_examples_that_are_sequences_are_fine(factor):
    frame = table()
    counted = frame.assign(flops=6 * frame["params"] * frame["examples"] * factor)
    assert validate(counted).attrs["notes"] == ()
