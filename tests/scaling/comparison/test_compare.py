"""Comparison of exponents: a known shift is found, none is invented, options are carried on."""

import json

import numpy as np
import pandas as pd
import pytest

from jetscale.errors import FitError
from jetscale.jsonable import as_json
from jetscale.scaling import compare, fit
from jetscale.scaling.comparison.claims import Verdict, holm
from jetscale.scaling.comparison.joint import EXPONENTS, QUESTIONS
from jetscale.scaling.comparison.sides import ratios
from jetscale.scaling.engine.forms import CHINCHILLA, law_named

pytestmark = pytest.mark.slow

SMALL = {"params": np.geomspace(1e7, 3e9, 5), "examples": np.geomspace(1e8, 1e11, 4)}


@pytest.fixture(scope="module")
def steered(grid, truth):
    """Scratch and a mixture with the same law but a larger beta."""
    other = np.array([1.8, 480.0, 9000.0, 0.35, 0.47])
    return compare(fit(grid({"scratch": truth, "qcd": other}), replicates=100))


@pytest.mark.long
def test_a_real_shift_is_found(steered):
    pair = steered.pairs[0]
    exact = 0.47 / 0.82 - 0.37 / 0.72
    assert (pair.a, pair.b) == ("scratch", "qcd")
    assert pair.delta_params_exponent.low < exact < pair.delta_params_exponent.high
    assert pair.delta_params_exponent.low > 0
    assert pair.delta_data_exponent.value == pytest.approx(-pair.delta_params_exponent.value)
    assert pair.p_value < 0.05
    assert pair.verdict is Verdict.LARGER_MODELS
    shared_floor = pair.delta_params_exponent_shared_floor
    assert 0 < shared_floor.low < exact < shared_floor.high


def test_all_nested_tests_are_there(steered):
    pair = steered.pairs[0]
    found = {test.shared: test for test in pair.tests}
    assert list(found) == list(QUESTIONS)
    assert found[EXPONENTS].p_value == pair.p_value
    assert found[EXPONENTS].statistic == pair.statistic
    assert found[("beta",)].p_value < 0.05 < found[("alpha",)].p_value
    statistics = [found[shared].statistic for shared in list(QUESTIONS)[:3]]
    assert statistics == sorted(statistics, reverse=True), "the more is shared, the worse the fit"
    assert pair.permutation.p_value < 0.05
    assert pair.permutation.n_clusters == pair.n_cells


@pytest.mark.long
def test_ratios_at_a_budget_cover_the_truth(grid, truth):
    other = np.array([1.8, 480.0, 9000.0, 0.35, 0.47])
    fits = fit(grid({"scratch": truth, "qcd": other}, **SMALL), replicates=60)
    pair = compare(fits, budget=1e20).pairs[0]
    assert pair.budget == 1e20
    exact = ratios(CHINCHILLA, truth, other, 1e20, fits.cost)
    found = (pair.params_ratio, pair.examples_ratio, pair.compute_multiplier)
    for estimate, value in zip(found, exact, strict=True):
        assert estimate.low < float(value) < estimate.high
        assert estimate.identified
    middle = compare(fits).pairs[0].budget
    low, high = fits.mixtures["qcd"].window["flops"]
    assert middle == pytest.approx(np.sqrt(low * high))
    with pytest.raises(FitError, match="budget is -1"):
        compare(fits, budget=-1.0)


def test_json_follows_the_contract(steered):
    plain = json.loads(json.dumps(as_json(steered), allow_nan=False))
    pair = plain["pairs"][0]
    assert {"a", "b", "delta_params_exponent", "p_value", "method"} <= set(pair)
    assert {"value", "low", "high"} <= set(pair["delta_params_exponent"])
    assert "Holm" in pair["method"]
    assert plain["difference"] == "b minus a"
    assert [test["shared"] for test in pair["tests"]] == [list(shared) for shared in QUESTIONS]
    assert {"p_value", "p_value_uncorrected", "n_clusters"} <= set(pair["permutation"])
    assert pair["delta_params_exponent_shared_floor"]["identified"]


def test_the_same_law_shows_no_shift(grid, truth):
    lower = truth * np.array([1.0, 0.9, 0.8, 1.0, 1.0])
    pair = compare(fit(grid({"scratch": truth, "qcd": lower}), replicates=60)).pairs[0]
    assert pair.delta_params_exponent.low < 0 < pair.delta_params_exponent.high
    assert pair.p_value > 0.05
    assert pair.verdict is Verdict.NO_SHIFT


POWERED = np.array([1.8, 480.0, 2100.0, 0.35, 0.37, 0.4])


OVERFIT = np.array([1.8, 480.0, 300.0, 0.35, 0.37, 0.1])


@pytest.mark.parametrize(
    ("name", "truth", "factors", "verdict"),
    [
        ("outer-power", POWERED, (1, 1, 1.2, 1, 1, 1), Verdict.NO_SHIFT),
        ("outer-power", POWERED, (1, 1, 1, 1, 1, 1.5), Verdict.NO_SHIFT),  # moves no exponent
        ("outer-power", POWERED, (1, 35, 1, 1.6, 1, 1), Verdict.MORE_DATA),
        ("overfit", OVERFIT, (1, 1, 1.2, 1, 1, 1), Verdict.NO_SHIFT),
        ("overfit", OVERFIT, (1, 1, 0.05, 1, 1, 2.5), Verdict.MORE_DATA),  # gamma moves it
    ],
)
def test_mixtures_are_compared_under_richer_laws(name, truth, factors, verdict):
    axes = np.geomspace(1e7, 1e9, 6), np.geomspace(2e8, 1e11, 6), (0, 1)
    n, d, seed = (axis.ravel() for axis in np.meshgrid(*axes))
    tables, law, other = [], law_named(name), truth * np.array(factors)
    for random, (mixture, theta) in enumerate((("a", truth), ("b", other))):
        noise = 0.004 * np.random.default_rng(random + 1).normal(size=len(n))
        loss = law.loss(theta, n, d) * np.exp(noise)
        table = {"params": n, "examples": d, "loss": loss, "seed": seed.astype(int)}
        tables.append(pd.DataFrame({"mixture": mixture} | table))
    fits = fit(pd.concat(tables), law=name, replicates=100)
    pair = compare(fits, questions=()).pairs[0]
    assert pair.verdict is verdict
    assert [test.shared for test in pair.tests] == [law.deciding]
    ends = [law.exponents(theta, fits.cost, fits.middle)[0] for theta in (truth, other)]
    exact = ends[1] - ends[0]
    assert pair.delta_params_exponent.low < exact < pair.delta_params_exponent.high


@pytest.mark.long
def test_identical_runs_differ_by_exactly_zero(grid, truth):
    frame = grid({"a": truth}, **SMALL)
    both = frame.assign(mixture="b")
    pair = compare(fit(_stack(frame, both), replicates=60)).pairs[0]
    delta = pair.delta_params_exponent
    assert (delta.value, delta.low, delta.high) == (0, 0, 0)
    assert pair.p_value > 0.5
    assert pair.verdict is Verdict.NO_SHIFT


@pytest.mark.long
def test_common_noise_cancels_in_the_paired_interval(grid, truth):
    frame = grid({"a": truth}, noise=0.02, **SMALL)
    wobble = np.exp(0.002 * np.random.default_rng(1).normal(size=len(frame)))
    other = frame.assign(mixture="b", loss=frame["loss"] * wobble)
    fits = fit(_stack(frame, other), replicates=100)
    delta = compare(fits).pairs[0].delta_params_exponent
    alone = fits.mixtures["a"].frontier["params_exponent"]
    assert delta.high - delta.low < 0.3 * (alone.high - alone.low)


@pytest.mark.long
def test_only_common_cells_count(grid, truth):
    frame = grid({"a": truth, "b": truth}, params=np.geomspace(1e7, 3e9, 5), seeds=1)
    partial = frame[(frame["mixture"] == "a") | (frame["params"] < 1e9)]
    pair = compare(fit(partial, replicates=50)).pairs[0]
    assert (
        pair.n_cells == partial[partial["mixture"] == "b"].groupby(["params", "examples"]).ngroups
    )
    on_common = frame[frame["params"] < 1e9]
    again = compare(fit(on_common, replicates=50)).pairs[0]
    assert pair.delta_params_exponent.value == pytest.approx(
        again.delta_params_exponent.value, abs=1e-3
    )


@pytest.mark.long
def test_flags_are_carried_through(grid, truth):
    flat = np.array([1.8, 0.0, 2100.0, 0.35, 0.37])
    pair = compare(fit(grid({"scratch": truth, "flat": flat}, **SMALL), replicates=50)).pairs[0]
    assert not pair.delta_params_exponent.identified
    assert pair.delta_params_exponent.reason.startswith("flat: ")
    assert pair.verdict is Verdict.NOT_IDENTIFIED


@pytest.mark.long
def test_p_values_are_corrected_over_pairs(grid, truth):
    result = compare(fit(grid({"a": truth, "b": truth, "c": truth}, **SMALL), replicates=50))
    raw = [pair.p_value_uncorrected for pair in result.pairs]
    assert [(pair.a, pair.b) for pair in result.pairs] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert [pair.p_value for pair in result.pairs] == holm(raw)
    for tests in zip(*(pair.tests for pair in result.pairs), strict=True):
        assert len({test.question for test in tests}) == 1
        assert [test.p_value for test in tests] == holm([t.p_value_uncorrected for t in tests])
    swapped = [pair.permutation for pair in result.pairs]
    assert [test.p_value for test in swapped] == holm([t.p_value_uncorrected for t in swapped])


@pytest.mark.long
def test_swapping_the_mixtures_turns_the_sign(grid, truth):
    frame = grid({"a": truth, "b": truth * [0.95, 1, 1, 1, 1.03]}, **SMALL)
    other_way = pd.concat([frame[frame["mixture"] == name] for name in "ba"])
    there, back = (compare(fit(f, replicates=60)).pairs[0] for f in (frame, other_way))
    for name in ("delta_params_exponent", "delta_params_exponent_shared_floor"):
        first, second = getattr(there, name), getattr(back, name)
        ends = -second.value, -second.high, -second.low
        assert (first.value, first.low, first.high) == pytest.approx(ends, abs=1e-4)
    assert there.params_ratio.value == pytest.approx(1 / back.params_ratio.value, rel=1e-5)
    assert there.p_value == pytest.approx(back.p_value, abs=0.02)
    assert there.permutation.p_value == pytest.approx(back.permutation.p_value, abs=0.02)


@pytest.mark.long
def test_objective_law_and_clusters_are_those_of_the_fits(grid, truth):
    higher = truth * [0, 1, 4, 1, 1.3]
    frame = grid({"a": truth * [0, 1, 1, 1, 1], "b": higher}, params=np.geomspace(1e7, 3e9, 8))
    options = {"law": "no-floor", "objective": "squares", "uncertainty": "trunks"}
    result = compare(fit(frame, replicates=60, **options))
    pair = result.pairs[0]
    assert "trunks" in result.interval
    assert "effects of trunks" in pair.method
    assert pair.permutation.n_clusters == 16, "8 model sizes x 2 seeds"
    assert ("E",) not in {test.shared for test in pair.tests}
    assert pair.delta_params_exponent_shared_floor == pair.delta_params_exponent
    exact = 1.3 * 0.37 / (1.3 * 0.37 + 0.35) - 0.37 / 0.72
    assert pair.delta_params_exponent.low < exact < pair.delta_params_exponent.high


def test_a_law_with_more_than_two_terms_or_shared_parameters_is_refused(grid, truth):
    fits = fit(grid({"a": truth, "b": truth}, **SMALL), replicates=50, shared=("alpha",))
    with pytest.raises(FitError, match="the fits share alpha: a comparison tests what"):
        compare(fits)


def test_one_mixture_cannot_be_compared(grid, truth):
    with pytest.raises(FitError, match="needs two fitted mixtures; the table has one"):
        compare(fit(grid({"m": truth}), replicates=50))


def test_no_common_cells(grid, truth):
    frame = grid({"a": truth, "b": truth}, **SMALL)
    frame.loc[frame["mixture"] == "b", "examples"] *= 1.5
    (pair,) = (found := compare(fit(frame, replicates=200))).pairs
    assert pair.unpaired == "on the common cells: no common cell"
    assert found.unpaired == {"b - a": pair.unpaired}
    assert (pair.n_cells, pair.permutation) == (0, None)
    assert pair.delta_params_exponent.low < 0 < pair.delta_params_exponent.high
    assert not pair.verdict.claims_shift


@pytest.mark.long
def test_of_many_pairs_the_first_mixture_is_asked_everything(grid, truth):
    laws_of = {name: truth * [1, 1, 1 + 0.1 * i, 1, 1] for i, name in enumerate("abcdef")}
    laws_of["f"] = truth * [1, 8, 1, 1.4, 1]
    found = compare(fit(grid(laws_of, **SMALL, noise=0.002), replicates=99))
    assert len(found.pairs) == 15
    for pair in found.pairs:
        whole = pair.a == "a"
        assert len(pair.tests) == (5 if whole else 1)
        assert (pair.permutation is not None) == whole
        assert pair.method.startswith("shared against separate")
    claimed = {pair for pair, verdict in found.verdicts.items() if verdict.claims_shift}
    assert claimed <= {(name, "f") for name in "abcde"}


def _stack(*frames):
    return pd.concat(frames, ignore_index=True)
