"""Allocation: the known optimum, honest intervals, warnings, and refusals."""

import json
import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from jetscale.errors import FitError
from jetscale.jsonable import as_json
from jetscale.scaling import LAWS, Choice, allocate, check_mixture, compare, fit, money_budget
from jetscale.scaling.allocation.sentence import sentence
from jetscale.scaling.comparison.paired import Difference, PairedMixtures
from jetscale.scaling.engine import laws
from jetscale.scaling.estimate import Estimate

pytestmark = pytest.mark.slow


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


def test_an_example_is_called_as_the_table_says(grid, truth):
    runs = grid({"scratch": truth})
    assert " examples, expect loss" in allocate(fit(runs, replicates=50), 1e21).answer
    named = fit(runs.assign(noun="shower"), replicates=50)
    assert " showers, expect loss" in allocate(named, 1e21).answer
    lossy = replace(allocate(named, 1e18), noise=0.0)
    one = replace(lossy.mixtures["scratch"], loss=Estimate(value=9.0, low=8.0, high=10.0))
    assert " showers. By the laws: loss 9.000, worse than was measured" in sentence(
        replace(lossy, mixtures={"scratch": one})
    )


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
    with pytest.raises(FitError, match="mixture 'short' was not fitted: it has 1 model size"):
        allocate(result, 1e20, mixture="short")
    assert list(allocate(result, 1e20).mixtures) == ["full"]


def test_not_identified_still_answers_with_warnings(grid):
    flat = [1.8, 0.0, 2100.0, 0.35, 0.37]
    allocation = allocate(fit(grid({"m": flat}), replicates=200), 1e20)
    assert not allocation.best_identified
    assert as_json(allocation)["best_identified"] is False
    answer = allocation.mixtures["m"]
    assert not answer.params.identified
    assert math.isnan(answer.params.low), "an end beyond all sense is no number"
    assert as_json(answer)["params"]["low"] is None
    assert any("alpha" in line and "not identified" in line for line in answer.warnings)
    assert answer.replicates_undefined > 0
    count = f"{answer.replicates_undefined} of 200 bootstrap replicates have no usable optimum"
    assert any(count in line for line in answer.warnings)


def test_different_cells_are_not_called_paired(grid, truth):
    frame = grid({"a": truth, "b": truth})
    partial = frame[(frame["mixture"] == "a") | (frame["params"] < 1e9)]
    assert not allocate(fit(partial, replicates=50), 1e20).paired


def test_a_law_with_repetition_answers_for_distinct_examples(grid, truth):
    frame = grid({"a": truth, "b": truth})
    frame["unique_examples"] = frame["examples"] / np.where(frame["seed"] > 0, 4, 1)
    frame["loss"] = LAWS["repetition"].loss(
        np.array([*truth, 12.0]),
        frame["params"],
        frame["examples"],
        unique_examples=frame["unique_examples"],
    ) * np.exp(0.003 * np.random.default_rng(0).normal(size=len(frame)))
    fits = fit(frame, replicates=50, law="repetition")
    answer = allocate(fits, 1e20).mixtures["a"]
    exact = laws.optimum(truth, 1e20, fits.cost)
    assert answer.params.low < float(exact.params) < answer.params.high
    assert answer.warnings[-1] == "a: D* is examples that are all distinct"
    with pytest.raises(FitError, match=r"mixtures of equal exponents can still differ in R\*"):
        compare(fits)


def test_a_law_of_the_pretraining_answers_at_its_middle(grid, truth):
    theta, parts = np.array([*truth, 0.1]), []
    for size in (1e6, 1e8, 1e10):
        part = grid({"m": truth}, noise=0.0, seeds=1)
        losses = LAWS["pretraining"].loss(
            theta, part["params"], part["examples"], pretraining_examples=size
        )
        parts.append(part.assign(pretraining_examples=size, loss=losses))
    frame = pd.concat(parts, ignore_index=True)
    frame["loss"] *= np.exp(0.003 * np.random.default_rng(1).normal(size=len(frame)))
    fits = fit(frame, replicates=50, law="pretraining")
    exact = laws.optimum(
        LAWS["pretraining"].plain(theta, pretraining_examples=1e8), 1e20, fits.cost
    )
    answer = allocate(fits, 1e20).mixtures["m"]
    assert answer.params.low < float(exact.params) < answer.params.high
    assert answer.warnings[-1] == "m: for models pretrained on 100M examples"
    ladder = allocate(fits, 1e20, ladder=[1e8, 1e9, 1e10]).mixtures["m"]
    assert ladder.params.value in (1e8, 1e9, 1e10)
    assert ladder.loss.value >= answer.loss.value
    money = allocate(fits, money_budget(1e3, 1e14, 2.0, 1e-6)).mixtures["m"]
    assert money.data_free is not None
    assert 0 < money.data_share < 1


def test_transfer_answers_in_flops_and_refuses_a_price_of_jets(grid, truth):
    frame = grid({"scratch": truth, "near": truth}, noise=0.0)
    law, far = LAWS["transfer"], frame["mixture"] == "near"
    frame["pretraining_examples"] = np.where(far, 1e9, 0.0)
    for rows, k in ((far, 5.0), (~far, 0.0)):
        theta = np.array([*truth, k, 0.3, 0.5])
        frame.loc[rows, "loss"] = law.loss(theta, frame["params"][rows], frame["examples"][rows])
    frame["loss"] *= np.exp(0.003 * np.random.default_rng(0).normal(size=len(frame)))
    fits = fit(frame, replicates=50, law="transfer")
    found = allocate(fits, 1e21).mixtures
    exact = laws.optimum(truth, 1e21, fits.cost)
    assert found["scratch"].params.low < float(exact.params) < found["scratch"].params.high
    assert found["near"].loss.value < found["scratch"].loss.value
    assert found["near"].params.value > found["scratch"].params.value, "data it need not see"
    with pytest.raises(FitError, match="'transfer' has no formula where examples have a price"):
        allocate(fits, money_budget(1e3, 1e14, 2.0, 1e-6))


def noisy(grid, truth, factor, spread, seeds=2):
    """Two mixtures of equal laws up to a factor on the loss."""
    frame = grid({"a": truth, "b": truth}, noise=spread, seeds=seeds)
    frame.loc[frame["mixture"] == "b", "loss"] *= factor
    return frame


@pytest.mark.long
def test_a_mixture_is_best_only_where_it_is_told_apart(grid, truth):
    apart = allocate(fit(noisy(grid, truth, 0.9, 0.002), replicates=100), 1e20)
    assert (apart.choice, apart.best, apart.measured_best) == (Choice.TOLD_APART, "b", "b")
    assert apart.answer.startswith("By the laws: with b train ")
    same = allocate(fit(noisy(grid, truth, 1.0, 0.02), replicates=100), 1e20)
    assert (same.choice, same.best) == (Choice.NOT_TOLD_APART, None)
    assert "; these cells do not tell the mixtures apart." in same.answer
    assert "By the laws: with a or b train " in same.answer
    for found in (apart, same):
        plain = as_json(found)
        assert plain["best"] == found.best
        assert plain["choice"] == found.choice.value
        assert plain["answer"] == found.answer
        assert " ".join(str(found).split()).startswith(found.answer)
        assert plain["lowest"] == found.lowest
        assert plain["best_share"] == found.mixtures[found.lowest].best_share


@pytest.mark.parametrize(
    ("factor", "spread", "seeds", "best"),
    [(0.9, 0.01, 2, "b"), (0.999, 0.02, 2, None), (0.9, 0.01, 1, "b"), (0.985, 0.02, 2, None)],
)
def test_no_measured_mixture_is_crowned_inside_the_noise(grid, factor, spread, seeds, best):
    flat = np.array([1.8, 0.0, 2100.0, 0.35, 0.37])
    frame = noisy(grid, flat, factor, spread, seeds)
    found = allocate(fit(frame, replicates=50), 1e20)
    assert (found.choice, found.best) == (Choice.NOT_IDENTIFIED, None)
    assert found.measured_best == best
    said = found.answer
    assert "; not determined, test it before you spend by it." in said
    crowned = found.best_share >= 0.95
    assert (f"By the laws: {found.lowest}, " in said) == crowned
    assert ("By the laws: a or b, " in said) != crowned
    if best is None:
        assert said.startswith("Measured: loss ")
        assert "these cells do not tell the mixtures apart." in said
        paired = "Over pairs of runs of equal N, D and seed b is lower than a by "
        assert (paired in said) == (factor == 0.985), "the pairs may know what two cells do not"
        assert as_json(found)["answer"] == said
    else:
        assert ", b: lower than a by more than chance." in said


def test_pairs_are_told_apart_at_the_data_size_of_the_cell():
    counts = dict.fromkeys(("n_sizes", "n_cells", "n_pairs", "n_lower"), 3)
    pair = SimpleNamespace(**counts, recipe=None, data_factor=None)

    def row(examples, low, high):
        estimate = Estimate(value=(low + high) / 2, low=low, high=high)
        return Difference(examples=examples, difference=estimate, **vars(pair))

    def said(*ends, examples=900.0):
        rows = [row(d, *end) for d, end in zip((None, 100.0, 1000.0), ends, strict=True)]
        pairs = PairedMixtures(mixture="b", baseline="a", overall=rows[0], by_examples=rows[1:])
        return pairs.told_apart(examples)

    assert said((-3, -1), (-1, 1), (-4, -2)) == ("b", "lower than a by 3.00 [2.00, 4.00] at D = 1k")
    assert said((-3, -1), (2, 4), (-4, -2), examples=99.0)[0] == "a"
    assert said((1, 3), (-1, 1), (-1, 1)) is None  # at this D they are not
    unknown = (-math.inf, math.inf)
    assert said((1, 3), (-1, 1), unknown) == ("a", "lower than b by 2.00 [1.00, 3.00] over all D")
    assert said((-1, 1), (1, 2), (-1, 1)) is None
    assert said((-1, 1), (1, 2), (math.nan, math.nan)) is None


def test_an_unknown_mixture_is_answered_with_the_nearest(fits):
    with pytest.raises(KeyError, match="unknown mixture 'qd'; did you mean 'qcd'"):
        allocate(fits, 1e21).mixtures["qd"]


def test_nothing_measured_is_that_cheap(grid):
    flat = np.array([1.8, 0.0, 2100.0, 0.35, 0.37])
    found = allocate(fit(grid({"a": flat}), replicates=50), 1e12)
    assert found.mixtures["a"].measured is None
    assert found.answer.startswith("No run costs as little as 1e+12 FLOPs.")
    assert found.best == "a", "asked about alone"


def test_far_budgets_are_guesses(fits):
    near, far = allocate(fits, 1e22), allocate(fits, 1e25)
    assert (near.guess, far.guess) == (False, True)
    assert near.answer.endswith(" above the measured compute: an extrapolation.")
    assert far.answer.endswith("an extrapolation, and at that distance a guess.")
    assert as_json(far)["guess"] is True


def test_tiny_losses_keep_their_digits(grid, truth):
    tiny = grid({"m": truth * np.array([1e-5, 1e-5, 1e-5, 1, 1])})
    found = allocate(fit(tiny, replicates=50), 1e20)
    assert " examples, expect loss 2." in found.answer
    assert "e-5 [" in found.answer


def test_a_law_without_a_floor_still_answers(grid, truth):
    frame = grid({"a": truth * np.array([0, 1, 1, 1, 1])})
    answer = allocate(fit(frame, replicates=50, law="no-floor"), 1e20).mixtures["a"]
    exact = laws.optimum(truth * np.array([0, 1, 1, 1, 1]), 1e20, fit(frame, replicates=50).cost)
    assert answer.params.value == pytest.approx(float(exact.params), rel=0.1)


@pytest.mark.parametrize(
    ("amount", "rate", "hour", "example"),
    [
        (1e-300, 1e9, 1.0, 1e300),
        (1e-300, 1e9, 1.0, 0.0),
        (1.0, 1e9, 1.0, 1e300),
        (1e300, 1e300, 1e-300, 0.0),
        (1.0, 1e300, 1e-300, 1.0),
        (1e-300, 1e9, 1e300, 0.0),
    ],
)
def test_an_amount_or_price_beyond_all_measure_is_one_line(fits, amount, rate, hour, example):
    try:
        answer = allocate(fits, money_budget(amount, rate, hour, example)).answer
    except FitError as error:
        answer = str(error)
    assert "check amount" in answer or "no usable optimum" in answer
