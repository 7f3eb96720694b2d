"""Refusals of the search table, and the arrays made of it."""

import numpy as np
import pandas as pd
import pytest

from jetscale.errors import TableError
from jetscale.scaling.tuning import check_search
from jetscale.scaling.tuning.search import cells


@pytest.fixture
def table(make_search) -> pd.DataFrame:
    return make_search(np.random.default_rng(1), arms=1, widths=(16,), steps=(300, 1000), seeds=2)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("start", "scrach", "row 3: unknown start 'scrach'; did you mean 'scratch'"),
        ("mixture", "", "row 3: mixture is empty"),
        ("width", 7.5, "row 3: width is 7.5, needs a whole number above zero"),
        ("seed", -1, "row 3: seed is -1, needs a whole number of zero or more"),
        ("rate", 0.0, "row 3: rate is 0.0, needs a finite number above zero"),
        ("rate", np.inf, "row 3: rate is inf, needs a finite number above zero"),
        ("steps", "many", "row 3: steps is many, needs a finite number"),
        ("loss", -1.0, "row 3: loss is -1.0, needs a number above zero, or nan"),
        ("loss", "lost", "row 3: loss is lost, needs a number above zero, or nan"),
        ("steps", 301, "scratch 'arm0', width 16, examples 3000: steps are 300 and 301"),
    ],
)
def test_unusable_values_are_refused_in_one_line(table, column, value, message):
    table[column] = table[column].astype(object)
    table.loc[2, column] = value
    with pytest.raises(TableError, match=message) as caught:
        check_search(table)
    assert "\n" not in str(caught.value)


def test_a_name_is_one_line(table):
    table["mixture"] = "qcd\n+ bsm"
    assert set(check_search(table)["mixture"]) == {"qcd + bsm"}


def test_unusable_tables_are_refused(table):
    with pytest.raises(TableError, match="lacks column 'rate'; add it; found: start"):
        check_search(table.drop(columns="rate"))
    with pytest.raises(TableError, match="no rows"):
        check_search(table.iloc[:0])
    twice = pd.concat([table, table.iloc[[4]]])
    with pytest.raises(TableError, match=r"rows 5 and 21 are the same run: .* seed 0; keep one"):
        check_search(twice)


def test_a_diverged_run_is_kept_and_worse_than_all(table):
    for lost in (np.nan, np.inf, "nan", None):
        table["loss"] = table["loss"].astype(object)
        table.loc[9, "loss"] = lost
        cell = cells(table)[0]
        assert np.isposinf(cell.log_losses[-1, 1])
        assert np.isposinf(cell.means[-1])
        assert cell.finite.tolist() == [True] * 4 + [False]


def test_a_rate_run_with_the_worse_seeds_alone_does_not_look_worse(table):
    table["loss"] = np.where(table["seed"] == 1, 0.6, 0.5)
    levels = cells(table.drop(index=4))[0].levels  # rate 1 keeps its worse seed
    assert levels == pytest.approx(levels[0])
