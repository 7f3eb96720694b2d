"""Each part of a summary survives the other's absence."""

import json

import pytest

from jetscale.errors import FitError, TableError
from jetscale.scaling import (
    Options,
    diagnose,
    fit,
    paired,
    summarise_comparison,
    summarise_fit,
)


@pytest.fixture(scope="module")
def runs(grid, truth):
    return grid({"scratch": truth, "qcd": truth * [0.97, 1, 1, 1, 1]})


def other_ladder(runs):
    return runs.assign(params=runs["params"] + (runs["mixture"] == "qcd"))


def two_sizes(runs):
    return runs[runs["params"] < 5e7]


def test_both_parts_are_those_of_the_analyses(runs):
    plain = summarise_fit(runs).to_dict()
    assert plain.pop("paired") == paired(runs).to_dict()
    fits = fit(runs)
    assert plain.pop("diagnostics") == diagnose(fits).to_dict()
    assert set(plain.pop("conventions")) == {"scratch", "qcd"}
    assert plain == fits.to_dict()
    compared = summarise_comparison(runs).to_dict()
    assert compared["paired"] == paired(runs).to_dict()
    assert compared["warnings"] == []
    assert [(pair["a"], pair["b"]) for pair in compared["pairs"]] == [("scratch", "qcd")]


def test_a_comparison_is_made_with_the_options(runs):
    options = Options(law="no-floor", objective="squares", uncertainty="wild")
    summary = summarise_comparison(runs, 1e15, options)
    assert "wild cluster" in summary.laws.interval
    assert ("E",) not in {test.shared for test in summary.laws.pairs[0].tests}
    assert summary.laws.pairs[0].budget == 1e15
    with pytest.raises(FitError, match="did you mean 'squares'"):
        summarise_comparison(runs, options=Options(objective="square"))


def test_laws_without_pairs(runs):
    plain = json.loads(json.dumps(summarise_fit(other_ladder(runs)).to_dict(), allow_nan=False))
    assert set(plain["mixtures"]) == {"scratch", "qcd"}
    assert plain["paired"] is None
    (line,) = plain["warnings"]
    assert line.startswith("not paired: no two mixtures have a run with the same params")


@pytest.mark.parametrize(
    ("summarise", "label"), [(summarise_fit, "fitted"), (summarise_comparison, "compared")]
)
def test_pairs_without_laws(runs, summarise, label):
    summary = summarise(two_sizes(runs))
    assert summary.laws is None
    plain = summary.to_dict()
    assert plain["paired"]["pairs"][0]["overall"]["n_sizes"] == 2
    (line,) = plain["warnings"]
    assert line.startswith(f"not {label}: mixture 'scratch' has 2 values of params, needs at")


def test_nothing_is_an_error(runs):
    with pytest.raises(FitError, match=r"^not compared: .*; not paired: no two mixtures"):
        summarise_comparison(other_ladder(runs))
    with pytest.raises(FitError, match=r"^not fitted: .*; not paired: the run table has one"):
        summarise_fit(two_sizes(runs[runs["mixture"] == "qcd"]))


def test_a_bad_table_is_not_a_missing_part(runs):
    with pytest.raises(TableError, match="missing column 'loss'"):
        summarise_fit(runs.drop(columns="loss"))
