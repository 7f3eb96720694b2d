"""What the search behind the rates says of a run table: unlike mixtures, and the recipe's share."""

import math

import numpy as np
import pandas as pd
import pytest

from jetscale.errors import FitError
from jetscale.scaling import allocate, compare, fit, pair_runs, unlike


@pytest.fixture
def runs(grid, truth):
    better = truth * np.array([0.97, 1.0, 1.0, 1.0, 1.0])
    return grid({"scratch": truth, "qcd": better})


def searches(runs, **by_mixture):
    return runs.assign(search=runs["mixture"].map(by_mixture))


def test_mixtures_of_one_search_are_alike(runs):
    assert unlike(runs) == ""
    assert unlike(searches(runs, scratch="f3", qcd="f3")) == ""
    assert unlike(searches(runs, scratch="", qcd="")) == ""


def test_mixtures_of_no_or_another_search_are_named(runs):
    assert "qcd was not searched, scratch was" in unlike(searches(runs, scratch="f3", qcd=""))
    assert "different searches" in unlike(searches(runs, scratch="f3", qcd="a1"))


@pytest.mark.slow
def test_unlike_mixtures_are_compared_only_if_asked_for(runs):
    laws = fit(searches(runs, scratch="f3", qcd=""), replicates=50)
    with pytest.raises(FitError, match="were not searched alike"):
        compare(laws, questions=())
    assert compare(laws, questions=(), unlike_search=True).pairs


def with_regret(runs, **by_mixture):
    found = runs["mixture"].map(by_mixture)
    return runs.assign(regret=[r for r, _ in found], regret_error=[e for _, e in found])


def test_a_difference_says_what_the_rates_may_make_of_it(runs):
    found = pair_runs(with_regret(runs, scratch=(0.03, 0.0), qcd=(0.01, 0.0)))
    # scratch would gain .02 more than qcd if both had their best rate
    assert found.pairs[0].overall.recipe == pytest.approx(0.02)
    assert "the learning rates may make ± 0.020 of it" in found.sentence
    noisy = pair_runs(with_regret(runs, scratch=(0.01, 0.03), qcd=(0.01, 0.04)))
    assert noisy.pairs[0].overall.recipe == pytest.approx(0.05)


def test_where_a_regret_is_missing_nothing_is_said(runs):
    assert pair_runs(runs).pairs[0].overall.recipe is None
    found = pair_runs(with_regret(runs, scratch=(0.03, 0.0), qcd=(math.nan, math.nan)))
    assert found.pairs[0].overall.recipe is None
    assert "learning rates" not in found.sentence


def test_the_error_falls_with_the_cells_that_were_searched(runs):
    sizes = runs["params"].rank(method="dense")
    many = runs.assign(regret=0.01 + 1e-9 * sizes, regret_error=0.03)
    few = runs.assign(regret=0.01, regret_error=0.03)
    a, b = (pair_runs(pd.DataFrame(t)).pairs[0].overall.recipe for t in (many, few))
    assert a == pytest.approx(b / math.sqrt(sizes.nunique()), rel=1e-6)


@pytest.mark.long
def test_an_allocation_says_what_the_rates_may_cost_and_who_was_not_searched(runs):
    told = with_regret(runs, scratch=(0.03, 0.04), qcd=(0.0, 0.01))
    found = allocate(fit(searches(told, scratch="f3", qcd=""), replicates=50), 1e20)
    assert found.mixtures["scratch"].recipe == pytest.approx(0.05)
    assert found.mixtures["qcd"].recipe == pytest.approx(0.01)
    assert "qcd was not searched, scratch was" in found.warnings[0]
    plain = allocate(fit(runs, replicates=50), 1e20)
    assert plain.mixtures["qcd"].recipe is None
    assert not any("searched" in line for line in plain.warnings)
