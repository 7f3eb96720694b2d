"""Intervals against their textbook counterparts."""

import json
import math

import numpy as np
import pytest
from scipy import stats

from jetscale.jsonable import as_json
from jetscale.scaling.estimate import (
    Estimate,
    expanded_level,
    percentile_interval,
    student_interval,
    widening,
)


def test_student_interval_is_the_one_sample_t_interval():
    values = np.array([0.3, -0.1, 0.25, 0.6])
    mine = student_interval(values)
    theirs = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (mine.low, mine.high) == pytest.approx((theirs.low, theirs.high))
    assert mine.value == pytest.approx(values.mean())


def test_one_value_has_no_interval():
    assert math.isnan(student_interval(np.array([1.0])).low)


def test_expanded_percentiles_of_a_mean_cover_as_student_does():
    # the bootstrap distribution of a mean is nearly normal with the variance of divisor n
    n, rng = 12, np.random.default_rng(3)
    values = rng.normal(size=n)
    draws = rng.choice(values, size=(40_000, n)).mean(axis=1)
    low, high = percentile_interval(draws, n)
    t = student_interval(values)
    assert high - low == pytest.approx(t.high - t.low, rel=0.06)


def test_expanded_level_tends_to_the_plain_one():
    assert expanded_level(5) < expanded_level(20) < expanded_level(10**6) < 0.025


def test_widening_makes_student_intervals():
    student, z = stats.t.ppf(0.975, 11), stats.norm.ppf(expanded_level(16))
    draws = widening(student, 16) * np.random.default_rng(4).normal(size=400_000)
    assert widening(student, 16) * -z == pytest.approx(student)
    assert percentile_interval(draws, 16) == pytest.approx((-student, student), rel=0.01)


@pytest.mark.slow
def test_ends_lie_between_ranks():
    """The value of rank p (R + 1) of uniform draws is p on average, however few they are."""
    level = expanded_level(10**6)
    for count in (59, 149):
        draws = np.random.default_rng(8).random((1000, count))
        ends = np.array([percentile_interval(row, 10**6) for row in draws])
        assert ends.mean(axis=0) == pytest.approx([level, 1 - level], abs=0.003)


def test_infinite_replicates_count_and_undefined_do_not():
    draws = np.concatenate([np.arange(900.0), np.full(100, np.inf), np.full(50, np.nan)])
    low, high = percentile_interval(draws, 10**6)
    assert low == pytest.approx(24, abs=1.5)
    assert high == math.inf
    assert math.isnan(percentile_interval(np.array([np.nan]), 10)[0])


def test_json_has_no_infinity():
    plain = as_json(Estimate(value=1.0, low=0.5, high=math.inf, reason="a limit"))
    assert plain == {
        "value": 1.0,
        "low": 0.5,
        "high": None,
        "identified": False,
        "reason": "a limit",
    }
    json.dumps(plain, allow_nan=False)
    assert Estimate(value=1.0, low=0.5, high=2.0).identified
