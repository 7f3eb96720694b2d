"""Allocation: the known optimum, honest intervals, warnings, and refusals."""

import json

import numpy as np
import pytest

from jetscale.as_json import as_json
from jetscale.errors import FitError
from jetscale.scaling import allocate, check_mixture, compare, fit
from jetscale.scaling.engine import laws


@pytest.fixture(scope="module")
def fits(grid, truth):
    better = truth * np.array([0.97, 1.0, 1.0, 1.0, 1.0])
    return fit(grid({"scratch": truth, "qcd": better}), replicates=200)


def test_the_true_optimum_is_covered(fits, truth):
    answer = allocate(fits, 1e21).mixtures["scratch"]
    exact = laws.optimum(truth, 1e21, fits.cost)
    for estimate, value in zip((answer.params, answer.examples, answer.loss), exact, strict=True):
        assert estimate.low < value < estimate.high
        assert estimate.low <= estimate.value <= estimate.high
        assert estimate.identified
    assert 6 * answer.params.value * answer.examples.value == pytest.approx(1e21)
    assert answer.replicates_undefined == 0


def test_the_better_mixture_wins(fits):
    answer = allocate(fits, 1e21)
    assert answer.best == "qcd"
    assert answer.paired
    assert answer.best_identified
    assert answer.mixtures["qcd"].best_share > 0.95
    assert sum(m.best_share for m in answer.mixtures.values()) == pytest.approx(1)


def test_json_follows_the_contract(fits):
    plain = json.loads(json.dumps(as_json(allocate(fits, 1e21)), allow_nan=False))
    assert plain["budget_flops"] == 1e21
    for mixture in plain["mixtures"].values():
        for name in ("params", "examples", "loss"):
            assert {"value", "low", "high"} <= set(mixture[name])
    assert plain["compute"].startswith("C = 6 x params x examples")


def test_one_mixture(fits):
    answer = allocate(fits, 1e21, mixture="scratch")
    assert list(answer.mixtures) == ["scratch"]
    assert answer.best == "scratch"
    assert answer.mixtures["scratch"].params == allocate(fits, 1e21).mixtures["scratch"].params


def test_inside_the_measured_range_nothing_is_said(fits):
    assert allocate(fits, 1e20).mixtures["scratch"].warnings == ()


@pytest.mark.parametrize(
    ("budget", "words"),
    [(1.8e23, "budget 2.00 decades above"), (6e12, "budget 3.00 decades below")],
)
def test_extrapolation_is_counted_in_decades(fits, budget, words):
    assert fits.mixtures["scratch"].window["flops"] == pytest.approx((6e15, 1.8e21))
    (line,) = allocate(fits, budget).mixtures["scratch"].warnings
    assert line.startswith(f"scratch: extrapolates: {words}, ")
    assert line.endswith("the measured runs")


def test_each_size_beyond_the_runs_is_named(fits):
    answer = allocate(fits, 1.8e23).mixtures["scratch"]
    (line,) = answer.warnings
    for shown, found, name in (
        ("N*", answer.params, "params"),
        ("D*", answer.examples, "examples"),
    ):
        decades = np.log10(found.value / fits.mixtures["scratch"].window[name][1])
        assert f"{shown} {decades:.2f} decades above" in line


def test_extrapolation_widens_the_interval(fits):
    near, far = (allocate(fits, c).mixtures["scratch"].params for c in (1e19, 1e25))
    assert far.high / far.low > near.high / near.low


@pytest.mark.parametrize("budget", [0.0, -1.0, float("inf"), float("nan")])
def test_unusable_budgets(fits, budget):
    with pytest.raises(FitError, match="needs a finite number above zero") as caught:
        allocate(fits, budget)
    assert "\n" not in str(caught.value)


def test_a_bad_mixture_is_refused_without_a_fit():
    names = ["scratch", "qcd", "qcd"]
    with pytest.raises(FitError, match=r"did you mean 'scratch'. known: scratch, qcd$"):
        check_mixture("scrach", names)
    check_mixture("qcd", names)
    check_mixture(None, names)


def test_alone_a_mixture_wins_nothing(fits):
    plain = as_json(allocate(fits, 1e21, mixture="scratch"))
    assert plain["best_share"] is None
    assert plain["mixtures"]["scratch"]["best_share"] is None
    assert as_json(allocate(fits, 1e21))["best_share"] > 0.5


def test_pretraining_outside_the_budget_is_said(grid, truth):
    frame = grid({"scratch": truth, "qcd": truth})
    pretrained = frame["mixture"] == "qcd"
    frame["pretraining_flops"] = np.where(pretrained, 40 * frame["params"], 0.0)
    fits = fit(frame, replicates=50)
    line = "qcd: 1.2e+11 FLOPs of pretraining per model (largest) are not in the budget"
    assert fits.warnings == (line,)
    assert as_json(allocate(fits, 1e20))["warnings"] == [line]
    assert allocate(fits, 1e20, mixture="scratch").warnings == ()


def test_unknown_mixture(fits):
    with pytest.raises(FitError, match="unknown mixture 'scrach'; did you mean 'scratch'"):
        allocate(fits, 1e20, mixture="scrach")


def test_a_mixture_without_a_fit(grid, truth):
    frame = grid({"full": truth, "short": truth})
    result = fit(frame[(frame["mixture"] == "full") | (frame["params"] < 2e7)], replicates=50)
    with pytest.raises(FitError, match="mixture 'short' was not fitted: it has 1 value of params"):
        allocate(result, 1e20, mixture="short")
    assert list(allocate(result, 1e20).mixtures) == ["full"]


def test_not_identified_still_answers_with_warnings(grid):
    flat = [1.8, 0.0, 2100.0, 0.35, 0.37]
    allocation = allocate(fit(grid({"m": flat}), replicates=200), 1e20)
    assert not allocation.best_identified
    assert as_json(allocation)["best_identified"] is False
    answer = allocation.mixtures["m"]
    assert not answer.params.identified
    assert answer.params.high / max(answer.params.low, 1e-300) > 100
    assert any("alpha" in line and "not identified" in line for line in answer.warnings)
    assert answer.replicates_undefined > 0
    count = f"{answer.replicates_undefined} of 200 bootstrap replicates have no usable optimum"
    assert any(count in line for line in answer.warnings)


def test_different_cells_are_not_called_paired(grid, truth):
    frame = grid({"a": truth, "b": truth})
    partial = frame[(frame["mixture"] == "a") | (frame["params"] < 1e9)]
    assert not allocate(fit(partial, replicates=50), 1e20).paired


@pytest.mark.parametrize("use", [lambda fits: allocate(fits, 1e20), compare])
def test_laws_of_more_than_n_and_d_are_refused(grid, truth, use):
    frame = grid({"a": truth, "b": truth})
    frame["unique_examples"] = frame["examples"] / np.where(frame["seed"] > 0, 4, 1)
    fits = fit(frame, replicates=50, law="repetition")
    with pytest.raises(FitError, match="needs a law of params and examples alone, not 'repetit"):
        use(fits)


def test_a_law_without_a_floor_still_answers(grid, truth):
    frame = grid({"a": truth * np.array([0, 1, 1, 1, 1])})
    answer = allocate(fit(frame, replicates=50, law="no-floor"), 1e20).mixtures["a"]
    exact = laws.optimum(truth * np.array([0, 1, 1, 1, 1]), 1e20, fit(frame, replicates=50).cost)
    assert answer.params.value == pytest.approx(float(exact.params), rel=0.1)
