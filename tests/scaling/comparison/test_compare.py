"""Comparison of exponents: a known shift is found, none is invented, Holm, and flags carried on."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jetscale.errors import FitError
from jetscale.scaling import compare, fit
from jetscale.scaling.comparison.compare import _verdict, holm
from jetscale.scaling.comparison.ratios import ratios
from jetscale.scaling.estimate import Estimate


@pytest.fixture(scope="module")
def steered(grid, truth):
    """Scratch and a mixture with the same law but a larger beta."""
    other = np.array([1.8, 480.0, 9000.0, 0.35, 0.47])
    return compare(fit(grid({"scratch": truth, "qcd": other}), replicates=200))


def test_a_real_shift_is_found(steered):
    pair = steered.pairs[0]
    exact = 0.47 / 0.82 - 0.37 / 0.72
    assert (pair.a, pair.b) == ("scratch", "qcd")
    assert pair.delta_params_exponent.low < exact < pair.delta_params_exponent.high
    assert pair.delta_params_exponent.low > 0
    assert pair.delta_data_exponent.value == pytest.approx(-pair.delta_params_exponent.value)
    assert pair.p_value < 0.05
    assert pair.verdict == "steered to larger models"


def test_ratios_at_a_budget_cover_the_truth(grid, truth):
    other = np.array([1.8, 480.0, 9000.0, 0.35, 0.47])
    fits = fit(grid({"scratch": truth, "qcd": other}), replicates=200)
    pair = compare(fits, budget=1e20).pairs[0]
    assert pair.budget == 1e20
    exact = ratios(truth, other, 1e20, fits.cost)
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
    plain = json.loads(json.dumps(steered.to_dict(), allow_nan=False))
    pair = plain["pairs"][0]
    assert {"a", "b", "delta_params_exponent", "p_value", "method"} <= set(pair)
    assert {"value", "low", "high"} <= set(pair["delta_params_exponent"])
    assert "Holm" in pair["method"]
    assert plain["difference"] == "b minus a"


def test_the_same_law_shows_no_shift(grid, truth):
    lower = truth * np.array([1.0, 0.9, 0.8, 1.0, 1.0])
    pair = compare(fit(grid({"scratch": truth, "qcd": lower}), replicates=100)).pairs[0]
    assert pair.delta_params_exponent.low < 0 < pair.delta_params_exponent.high
    assert pair.p_value > 0.05
    assert pair.verdict == "no shift shown"


def test_identical_runs_differ_by_exactly_zero(grid, truth):
    frame = grid({"a": truth})
    both = frame.assign(mixture="b")
    pair = compare(fit(_stack(frame, both), replicates=60)).pairs[0]
    delta = pair.delta_params_exponent
    assert (delta.value, delta.low, delta.high) == (0, 0, 0)
    assert pair.p_value > 0.5
    assert pair.verdict == "no shift shown"


def test_common_noise_cancels_in_the_paired_interval(grid, truth):
    frame = grid({"a": truth}, noise=0.02)
    wobble = np.exp(0.002 * np.random.default_rng(1).normal(size=len(frame)))
    other = frame.assign(mixture="b", loss=frame["loss"] * wobble)
    fits = fit(_stack(frame, other), replicates=150)
    delta = compare(fits).pairs[0].delta_params_exponent
    alone = fits.mixtures["a"].frontier["params_exponent"]
    assert delta.high - delta.low < 0.3 * (alone.high - alone.low)


def test_only_common_cells_count(grid, truth):
    frame = grid({"a": truth, "b": truth})
    partial = frame[(frame["mixture"] == "a") | (frame["params"] < 1e9)]
    pair = compare(fit(partial, replicates=60)).pairs[0]
    assert (
        pair.n_cells == partial[partial["mixture"] == "b"].groupby(["params", "examples"]).ngroups
    )
    on_common = frame[frame["params"] < 1e9]
    again = compare(fit(on_common, replicates=60)).pairs[0]
    assert pair.delta_params_exponent.value == pytest.approx(
        again.delta_params_exponent.value, abs=1e-3
    )


def test_flags_are_carried_through(grid, truth):
    flat = np.array([1.8, 0.0, 2100.0, 0.35, 0.37])
    pair = compare(fit(grid({"scratch": truth, "flat": flat}), replicates=100)).pairs[0]
    assert not pair.delta_params_exponent.identified
    assert pair.delta_params_exponent.reason.startswith("flat: ")
    assert pair.verdict == "not identified at this scale"


def test_p_values_are_corrected_over_pairs(grid, truth):
    result = compare(fit(grid({"a": truth, "b": truth, "c": truth}), replicates=60))
    raw = [pair.p_value_uncorrected for pair in result.pairs]
    assert [(pair.a, pair.b) for pair in result.pairs] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert [pair.p_value for pair in result.pairs] == holm(raw)


def test_holm_by_hand():
    # sorted .005 .01 .03 .04, times 4 3 2 1 = .02 .03 .06 .04, made monotone = .02 .03 .06 .06
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.4, 0.6]) == [0.8, 0.8]


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_is_between_raw_and_bonferroni(p):
    corrected = holm(p)
    for raw, mine in zip(p, corrected, strict=True):
        assert raw <= mine <= min(1, raw * len(p)) + 1e-12
    order = np.argsort(p, kind="stable")
    assert (np.diff(np.array(corrected)[order]) >= -1e-15).all()
    assert max(corrected) <= 1


def test_verdict_needs_interval_and_test():
    clear = Estimate(value=-0.1, low=-0.2, high=-0.01)
    assert _verdict(clear, 0.01) == "steered to more data"
    assert _verdict(clear, 0.2).startswith("no shift claimed")
    assert _verdict(Estimate(value=0.1, low=-0.1, high=0.3), 0.01).startswith("no shift claimed")
    assert _verdict(Estimate(value=0.1, low=-0.1, high=0.3), 0.9) == "no shift shown"


def test_one_mixture_cannot_be_compared(grid, truth):
    with pytest.raises(FitError, match="needs two fitted mixtures; the table has one"):
        compare(fit(grid({"m": truth}), replicates=50))


def test_no_common_cells(grid, truth):
    frame = grid({"a": truth, "b": truth})
    frame.loc[frame["mixture"] == "b", "examples"] *= 1.5
    with pytest.raises(FitError, match="b - a: on the common cells: no common cell"):
        compare(fit(frame, replicates=50))


def _stack(*frames):
    return pd.concat(frames, ignore_index=True)
