"""One analysis: each part survives another's absence, and every output says the same."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from jetscale.analysis import PARTS, analyse, decades, largest_decade
from jetscale.errors import FitError, TableError
from jetscale.jsonable import as_json
from jetscale.scaling import Options, Verdict, compare, diagnose, fit, pair_runs

THETA = np.array([1.8, 480.0, 2100.0, 0.35, 0.37])
QUICK = Options(replicates=60)


def made(laws, seeds=2):
    """Runs of laws with 0.5% of noise, drawn so that it does not look like a shift."""
    rng, rows = np.random.default_rng(2), []
    for name, theta in laws.items():
        for n in np.geomspace(1e7, 3e9, 5):
            for d in np.geomspace(1e8, 1e11, 5):
                for seed in range(seeds):
                    E, A, B, alpha, beta = theta
                    loss = E + A * n**-alpha + B * d**-beta
                    loss *= np.exp(rng.normal(0, 0.005))
                    rows.append((name, n, d, seed, loss))
    return pd.DataFrame(rows, columns=["mixture", "params", "examples", "seed", "loss"])


@pytest.fixture(scope="module")
def runs():
    return made({"qcd": THETA * [0.97, 1, 1, 1, 1], "scratch": THETA})


@pytest.fixture(scope="module")
def found(runs):
    return analyse(runs, QUICK)


def other_ladder(runs):
    return runs.assign(params=runs["params"] * np.where(runs["mixture"] == "qcd", 1.5, 1))


def two_sizes(runs):
    return runs[runs["params"] < 5e7]


@pytest.mark.long
def test_all_parts_are_those_of_the_analyses(found):
    assert found.names == ("scratch", "qcd"), "the baseline first, everywhere"
    assert list(found.fits.mixtures) == ["scratch", "qcd"]
    assert found.missing == {}
    fits = fit(found.runs, QUICK)
    assert as_json(found.paired) == as_json(pair_runs(found.runs))
    assert as_json(found.fits) == as_json(fits)
    assert as_json(found.comparison) == as_json(compare(fits))
    assert as_json(found.diagnostics) == as_json(diagnose(fits))
    assert set(found.conventions) == set(found.routes) == {"scratch", "qcd"}
    assert [a.budget_flops for a in found.allocations] == list(decades(fits))


@pytest.mark.slow
def test_the_whole_of_it_is_strict_json(found):
    plain = json.loads(json.dumps(as_json(found), allow_nan=False))
    assert plain["measured_sentence"] == found.measured_sentence
    assert plain["digest"] == found.digest
    assert {part for part in PARTS if plain[part]} == set(PARTS)
    assert "runs" not in plain


@pytest.mark.slow
def test_the_digest_is_that_of_the_runs(runs, found):
    assert analyse(runs.sample(frac=1, random_state=1), parts=()).digest == found.digest
    assert analyse(runs.assign(loss=runs["loss"] + 1), parts=()).digest != found.digest


def test_the_measured_sentence(found):
    said = found.measured_sentence
    assert said.startswith("Measured against scratch: qcd has the lower test loss in 50 of 50 ")
    assert "over 5 model sizes, worth " in said
    assert "times the data at D = 100M" in said
    assert str(found) == f"{said}\n{found.law_sentence}"


@pytest.mark.long
def test_the_law_sentence_follows_the_verdict(runs, found):
    (pair,) = found.comparison.pairs
    assert pair.verdict is Verdict.NO_SHIFT
    assert found.law_sentence.endswith(f"qcd minus scratch is {pair.clause.split(' is ')[1]}.")
    assert "no shift shown (p = " in found.law_sentence
    alone = analyse(runs[runs["mixture"] == "qcd"], QUICK)
    assert alone.law_sentence.startswith("The compute-optimal balance: qcd N* ∝ C^0.")
    flat = made({"scratch": THETA * [1, 0, 1, 1, 1], "qcd": THETA * [1, 0, 1, 1, 1]})
    open_ = analyse(flat, QUICK, parts=("comparison",))
    assert {pair.verdict for pair in open_.comparison.pairs} == {Verdict.NOT_IDENTIFIED}
    assert "is not identified at this scale (scratch: " in open_.law_sentence


@pytest.mark.slow
def test_only_what_is_asked_for_is_made(runs):
    some = analyse(runs, QUICK, parts=("fits",))
    assert some.fits is not None
    assert (some.paired, some.comparison, some.diagnostics) == (None, None, None)
    assert (some.routes, some.conventions, some.allocations) == ({}, {}, ())
    assert some.missing == {}
    assert "was not asked for" in some.measured_sentence


@pytest.mark.long
def test_a_comparison_is_made_with_the_options(runs):
    options = Options(law="no-floor", objective="squares", uncertainty="wild", replicates=60)
    comparison = analyse(runs, options, parts=("comparison",), budget=1e15).comparison
    assert "wild cluster" in comparison.interval
    assert ("E",) not in {test.shared for test in comparison.pairs[0].tests}
    assert comparison.pairs[0].budget == 1e15


@pytest.mark.long
def test_budgets_can_be_chosen(runs):
    found = analyse(runs, QUICK, parts=("allocations",), budgets=[1e17, 1e18])
    assert [a.budget_flops for a in found.allocations] == [1e17, 1e18]
    with pytest.raises(FitError, match="needs a finite number above zero"):
        analyse(runs, QUICK, parts=("allocations",), budgets=[0.0])


@pytest.mark.slow
def test_laws_without_pairs(runs):
    found = analyse(other_ladder(runs), QUICK, parts=("paired", "fits"))
    assert set(found.fits.mixtures) == {"scratch", "qcd"}
    assert found.paired is None
    (line,) = found.reasons
    assert line.startswith("not paired: no two mixtures have a run with the same params")
    assert found.measured_sentence.startswith("Nothing is compared: no two mixtures")


@pytest.mark.parametrize(("part", "label"), [("fits", "fitted"), ("comparison", "compared")])
def test_pairs_without_laws(runs, part, label):
    found = analyse(two_sizes(runs), QUICK, parts=("paired", part))
    assert found.fits is None
    assert found.comparison is None
    assert found.paired.pairs[0].overall.n_sizes == 2
    (line,) = found.reasons
    assert line.startswith(f"not {label}: mixture 'scratch' has 2 model sizes, needs at")
    assert found.law_sentence.startswith("No scaling law is fitted: mixture 'scratch' has 2")


def test_a_bad_table_is_not_a_missing_part(runs):
    with pytest.raises(TableError, match="missing column 'loss'"):
        analyse(runs.drop(columns="loss"))


def test_the_largest_decade_is_among_the_budgets_however_wide_the_runs():
    for top in range(9, 30):
        fits = SimpleNamespace(flops=(2e8, 3 * 10.0**top))
        budgets = decades(fits)
        assert len(budgets) <= 8
        assert budgets[-2:] == pytest.approx((10.0**top, 10.0 ** (top + 1)))
        assert largest_decade(fits) == pytest.approx((10.0**top,))
