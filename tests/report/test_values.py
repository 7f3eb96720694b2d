"""What the templates get: cells, tables, reasons, places of figures."""

import math

import pytest
from plotly.graph_objects import Figure

from jetscale.analysis import analyse
from jetscale.report.decisions import Finding
from jetscale.report.values import Cell, Context, Reasons, table
from jetscale.scaling import Estimate, Options

SURE = Estimate(value=0.5, low=0.4, high=0.6)


def loose(reason):
    return Estimate(value=0.5, low=0, high=math.inf, reason=reason)


@pytest.fixture(scope="module")
def context(study):
    return Context(analyse(study[study["mixture"] == "qcd"], Options(replicates=50)), {}, None, ())


def test_the_keys_of_the_rows_are_the_columns():
    found = table("Sizes", [{"mixture": "qcd", "N": 10}, {"mixture": "scratch", "N": 20}], text=1)
    assert found.title == "Sizes"
    assert found.columns == ("mixture", "N")
    assert [[cell.text for cell in row] for row in found.rows] == [["qcd", "10"], ["scratch", "20"]]


def test_a_finding_keeps_its_warning_and_a_cell_itself():
    own = Cell("1", below="2")
    ((finding, cell),) = table("t", [{"a": Finding("n", "bad", warns=True), "b": own}]).rows
    assert finding == Cell("bad", warns=True)
    assert cell is own


def test_a_row_may_lack_what_another_has():
    found = table("t", [{"a": 1}, {"a": 2, "b": 3}, {"b": 4}])
    assert found.columns == ("a", "b")
    assert [[cell.text for cell in row] for row in found.rows] == [
        ["1", "–"],
        ["2", "3"],
        ["–", "4"],
    ]


def test_no_rows_make_an_empty_table():
    found = table("t", [])
    assert (found.columns, found.rows) == ((), ())


def test_an_estimate_shows_its_interval():
    reasons = Reasons()
    assert reasons.estimate(SURE) == Cell("0.500", "[0.400, 0.600]")
    assert reasons.estimate(SURE, 2) == Cell("0.50", "[0.40, 0.60]")
    assert reasons.texts == []


def test_reasons_are_numbered_in_the_order_met_and_each_kept_once():
    reasons = Reasons()
    marks = [reasons.estimate(loose(reason)).mark for reason in ("a", "b", "a", "")]
    assert marks == [1, 2, 1, 0]
    assert reasons.texts == ["a", "b"]
    assert reasons.estimate(loose("c")).below == "[0, ∞]"


def test_what_is_missing_is_a_dash_with_its_reason():
    reasons = Reasons()
    assert reasons.estimate(None) == Cell("–")
    assert reasons.estimate(None, missing="too few sizes") == Cell("–", "too few sizes")
    assert reasons.texts == []


@pytest.mark.slow
def test_figures_are_placed_in_order_and_captions_are_their_names(study):
    results = analyse(study[study["mixture"] == "qcd"], Options(replicates=50))
    page = Context(results, {}, None, ())
    first, second, third = Figure(), Figure(), Figure()
    assert page.panels({"a": first, "b": second}) == {"a": "figure-1", "b": "figure-2"}
    assert page.panels({"c": third}) == {"c": "figure-3"}
    assert list(page.figures) == ["a", "b", "c"]
    assert page.figures["b"] is second
    with pytest.raises(AssertionError, match="two figures are called a"):
        page.panels({"a": third})


@pytest.mark.slow
def test_what_is_missing_has_a_reason(context):
    missing = context.missing
    assert set(missing) == {"paired", "comparison", "measures", "curves", "held_fixed"}
    assert "`jetscale measure`" in missing["measures"]
    assert "does not say what was held fixed" in missing["held_fixed"]


@pytest.mark.long
def test_what_is_there_is_not_missing(study):
    given = ({}, {"epochs": 4}, (), {"jets": 10}, [])
    whole = Context(analyse(study, Options(replicates=50)), *given)
    assert whole.missing == {}
    without = Context(analyse(study, Options(replicates=50), budgets=[]), *given)
    assert without.missing == {"allocations": "no budget was asked for"}


def test_without_fits_the_budgets_share_their_reason(study):
    two = study[study["params"].isin(sorted(study["params"].unique())[:2])]
    missing = Context(analyse(two, Options(replicates=50)), {}, {}, (), {}).missing
    assert missing["allocations"] == missing["fits"] == missing["comparison"]
