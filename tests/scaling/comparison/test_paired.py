"""Paired losses and data factors against synthetic mixtures whose answer is known."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from jetscale.errors import FitError
from jetscale.jsonable import as_json
from jetscale.scaling import pair_runs
from jetscale.scaling.comparison.paired import _invert

PARAMS = (1e7, 1e8, 1e9, 3e9)
EXAMPLES = tuple(1e9 * 2.0 ** np.arange(6))


def with_factor(grid, truth, factor, noise=0.0):
    """Scratch, and a mixture whose loss at D is that of scratch at factor x D."""
    better = truth.copy()
    better[2] /= factor ** truth[4]
    laws_of = {"scratch": truth, "qcd": better}
    return grid(laws_of, params=PARAMS, examples=EXAMPLES, noise=noise)


@pytest.mark.parametrize("factor", [0.6, 1.5, 3.0])
def test_known_data_factor_is_recovered(grid, truth, factor):
    pair = pair_runs(with_factor(grid, truth, factor)).pairs[0]
    assert (pair.mixture, pair.baseline) == ("qcd", "scratch")
    for row in pair.by_examples:
        inside = EXAMPLES[0] <= row.examples * factor <= EXAMPLES[-1]
        measured = row.data_factor
        assert measured.n_sizes == 4
        if inside:
            assert measured.bound == ""
            assert measured.value == pytest.approx(factor, rel=0.01)
            assert measured.identified
        else:
            assert measured.bound == (">" if factor > 1 else "<")
            assert measured.n_censored == 4


def test_limits_are_limits(grid, truth):
    rows = pair_runs(with_factor(grid, truth, 3.0)).pairs[0].by_examples
    last = rows[-1].data_factor
    assert last.value == pytest.approx(1.0), "3 x D lies beyond the largest D measured"
    assert last.high == math.inf
    assert "4 of 4 sizes lie beyond the measured losses: a lower limit" in last.reason
    first = pair_runs(with_factor(grid, truth, 0.5)).pairs[0].by_examples[0].data_factor
    assert first.bound == "<"
    assert first.low == 0
    assert "an upper limit" in first.reason


def test_interval_covers_the_factor_with_noise(grid, truth):
    row = pair_runs(with_factor(grid, truth, 2.0, noise=0.002)).pairs[0].by_examples[2]
    assert row.data_factor.low < 2.0 < row.data_factor.high
    assert row.data_factor.high / row.data_factor.low < 1.5


def test_the_overall_interval_is_over_model_sizes(grid, truth):
    shifted = truth + np.array([-0.1, 0, 0, 0, 0])
    frame = grid({"scratch": truth, "qcd": shifted}, noise=0.01)
    wide = frame.pivot_table(index=["params", "examples", "seed"], columns="mixture", values="loss")
    delta = wide["qcd"] - wide["scratch"]
    sizes = delta.groupby(["params", "examples"]).mean().groupby("params").mean()
    oracle = stats.ttest_1samp(sizes, 0).confidence_interval(0.95)
    overall = pair_runs(frame).pairs[0].overall
    assert overall.difference.value == pytest.approx(sizes.mean())
    assert (overall.difference.low, overall.difference.high) == pytest.approx(
        (oracle.low, oracle.high)
    )
    assert overall.difference.value == pytest.approx(-0.1, abs=0.01)
    assert (overall.n_sizes, overall.n_cells, overall.n_pairs) == (6, 48, 96)
    assert overall.n_lower == (delta < 0).sum()
    assert overall.examples is None


def test_what_data_sizes_of_a_model_share_does_not_narrow_the_interval(grid, truth):
    # one offset per model size, common to its data sizes: four independent values, not 24
    frame = grid({"scratch": truth}, params=PARAMS, examples=EXAMPLES, noise=0.0)
    offset = frame["params"].map(dict(zip(PARAMS, (-0.1, 0.0, 0.1, 0.2), strict=True)))
    other = frame.assign(mixture="qcd", loss=frame["loss"] + offset)
    pair = pair_runs(pd.concat([frame, other], ignore_index=True)).pairs[0]
    oracle = stats.ttest_1samp([-0.1, 0.0, 0.1, 0.2], 0).confidence_interval(0.95)
    for row in (pair.overall, *pair.by_examples):
        assert row.n_sizes == 4
        ends = row.difference.low, row.difference.high
        assert ends == pytest.approx((oracle.low, oracle.high))


def test_a_model_size_with_more_data_sizes_counts_once():
    frame = pd.DataFrame(
        {
            "mixture": ["scratch"] * 4 + ["qcd"] * 4,
            "params": [10, 10, 10, 20] * 2,
            "examples": [1, 2, 3, 1] * 2,
            "loss": [2.0] * 4 + [1.9, 1.9, 1.9, 1.7],
        }
    )
    assert pair_runs(frame).pairs[0].overall.difference.value == pytest.approx(-0.2)


def test_one_model_size_has_no_overall_interval(grid, truth):
    frame = grid({"scratch": truth, "qcd": truth}, params=[1e8], noise=0.02)
    overall = pair_runs(frame).pairs[0].overall
    assert math.isnan(overall.difference.low)
    assert math.isnan(overall.difference.high)
    assert as_json(overall)["n_sizes"] == 1
    assert as_json(overall)["difference"]["low"] is None


def test_rows_by_data_size_add_up(grid, truth):
    pair = pair_runs(grid({"scratch": truth, "qcd": truth}, noise=0.02)).pairs[0]
    assert [row.n_pairs for row in pair.by_examples] == [12] * 8
    assert sum(row.n_lower for row in pair.by_examples) == pair.overall.n_lower
    mean = np.mean([row.difference.value for row in pair.by_examples])
    assert mean == pytest.approx(pair.overall.difference.value)


def test_all_pairs_baseline_first(grid, truth):
    frame = grid({"qcd": truth, "scratch": truth, "qcd+bsm": truth})
    study = pair_runs(frame)
    pairs = [(pair.mixture, pair.baseline) for pair in study.pairs]
    assert pairs == [("qcd", "scratch"), ("qcd+bsm", "scratch"), ("qcd+bsm", "qcd")]
    assert pair_runs(frame, baseline="qcd").pairs[0].mixture == "scratch"
    assert pair_runs(frame[frame["mixture"] != "scratch"]).baseline == "qcd"
    json.dumps(as_json(study), allow_nan=False)


def test_only_common_runs_count(grid, truth):
    frame = grid({"scratch": truth, "qcd": truth})
    gone = (frame["mixture"] == "qcd") & ((frame["seed"] == 1) | (frame["params"] > 1e9))
    pair = pair_runs(frame[~gone]).pairs[0]
    assert pair.overall.n_pairs == frame[~gone & (frame["mixture"] == "qcd")].shape[0]


def test_mixtures_without_common_runs_are_named(grid, truth):
    frame = grid({"scratch": truth, "qcd": truth, "far": truth})
    frame.loc[frame["mixture"] == "far", "seed"] += 10
    study = pair_runs(frame)
    assert [pair.mixture for pair in study.pairs] == ["qcd"]
    assert list(study.not_paired) == ["far - scratch", "far - qcd"]
    with pytest.raises(FitError, match="nothing to pair"):
        pair_runs(frame[frame["mixture"] != "qcd"])


def test_mistakes(grid, truth):
    with pytest.raises(FitError, match="one mixture, 'm'"):
        pair_runs(grid({"m": truth}))
    with pytest.raises(FitError, match="unknown baseline mixture 'scrach'; did you mean 'scratch'"):
        pair_runs(grid({"scratch": truth, "qcd": truth}), baseline="scrach")


def test_one_data_size_has_no_factor_and_one_model_size_no_interval():
    frame = pd.DataFrame(
        {
            "mixture": ["scratch", "qcd"],
            "params": [100, 100],
            "examples": [10, 10],
            "loss": [2.0, 1.9],
        }
    )
    row = pair_runs(frame).pairs[0].by_examples[0]
    assert row.data_factor is None
    assert as_json(row.difference)["low"] is None
    assert row.difference.value == pytest.approx(-0.1)


@pytest.mark.slow
@given(st.lists(st.floats(-0.5, 0.5), min_size=3, max_size=9), st.floats(-1, 1))
def test_inverse_of_any_curve_stays_in_range_and_falls(noise, wanted):
    log_d = np.arange(len(noise), dtype=float)
    log_loss = -0.2 * log_d + np.array(noise)
    losses = np.array([wanted, wanted + 0.05])
    reached, bounds = _invert(log_d, log_loss, losses)
    assert (reached >= log_d[0] - 1e-9).all()
    assert (reached <= log_d[-1] + 1e-9).all()
    assert reached[1] <= reached[0] + 1e-9, "a higher loss is reached with no more data"
    assert set(bounds) <= {"", ">", "<"}


def test_inverse_passes_through_a_falling_curve():
    log_d, log_loss = np.array([1.0, 2.0, 4.0]), np.array([0.5, 0.3, 0.2])
    reached, bounds = _invert(log_d, log_loss, log_loss)
    assert reached == pytest.approx(log_d)
    assert bounds == ["", "", ""]


def test_an_isoflop_table_is_folded_to_what_several_sizes_share(grid, truth):
    """Every size has data sizes of its own, but for one they share."""
    runs = grid({"a": truth, "b": truth * np.array([0.9, 1, 1, 1, 1])}, params=PARAMS, seeds=1)
    own = runs["examples"] < 1e11
    shift = runs["params"].rank(method="dense")
    runs["examples"] = np.where(own, runs["examples"] * (1 + 0.01 * shift), runs["examples"])
    pair = pair_runs(runs).pairs[0]
    assert len(pair.by_examples) == 29
    assert (pair.single_sizes, [row.examples for row in pair.listed]) == (28, [1e11])
    assert "no interval" not in pair.clause
    assert as_json(pair)["single_sizes"] == 28
    few = pair_runs(runs[~own]).pairs[0]
    assert (few.single_sizes, few.listed) == (0, few.by_examples)
