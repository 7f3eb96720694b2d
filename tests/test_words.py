"""Numbers as people write them: digits that mean something, bounds where nothing does."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetscale import words
from jetscale.scaling import Estimate


def estimate(value, low, high, reason=""):
    return Estimate(value=value, low=low, high=high, reason=reason)


@pytest.mark.parametrize(
    ("value", "text"),
    [(656, "656"), (999.6, "1k"), (2590, "2.59k"), (1.2e6, "1.2M"), (3e9, "3G"), (56e12, "56T")],
)
def test_counts(value, text):
    assert words.short(value) == text


@given(st.floats(1e-12, 1e15))
def test_a_number_keeps_its_digits(value):
    assert float(words.number(value)) == pytest.approx(value, rel=0.006)


def test_numbers_that_are_none():
    found = [words.number(x) for x in (math.nan, math.inf, -math.inf, 0.0, -0.5)]
    assert found == ["–", "∞", "−∞", "0", "−0.500"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.2, "<1"), (1, "1"), (12_345, "12k"), (2e18, ">1e18"), (math.nan, "–")],
)
def test_sizes_nobody_runs_are_bounds(value, text):
    assert words.size(value) == text


def test_ratios_beyond_use_are_bounds():
    assert [words.times(x) for x in (1e-4, 0.5, 12.3, 2e3)] == ["<0.001", "0.5", "12", ">1000"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.13242, "1.132"), (0.5, "0.500"), (0.0123, "0.0123"), (4.02e-5, "4.02e-5"), (0, "0.000")],
)
def test_losses_keep_significant_digits(value, text):
    assert words.loss(value) == text


@given(st.floats(1e-9, 1e3))
def test_no_loss_is_printed_as_nothing(value):
    assert float(words.loss(value)) == pytest.approx(value, rel=0.006)


def test_intervals_of_losses():
    assert words.loss_interval(estimate(1.1318, 1.078, 1.166)) == "1.132 [1.078, 1.166]"
    assert words.loss_interval(estimate(4e-5, 3.9e-5, 4.1e-5)) == "4.00e-5 [3.90e-5, 4.10e-5]"
    assert words.loss_interval(estimate(0.05, 0.049, 0.051)) == "0.0500 [0.0490, 0.0510]"


def test_differences_are_signed():
    nan = math.nan
    assert words.difference(estimate(-0.029, -0.057, -0.0)) == "-0.029 [-0.057, -0.000]"
    assert words.difference(estimate(2e-6, -1e-6, 5e-6)) == "+2.00e-06 [-1.00e-06, +5.00e-06]"
    assert words.difference(estimate(0.1, nan, nan)) == "+0.100 [one size]"
    assert words.difference(estimate(0.0, 0.0, 0.0)) == "+0.000 [+0.000, +0.000]"


def test_a_star_marks_what_is_not_identified():
    assert words.starred(estimate(0.34, 0.31, 0.37)) == "0.34 [0.31, 0.37]"
    assert words.starred(estimate(0.34, 0.31, 0.37, "open")) == "0.34 [0.31, 0.37] *"
    assert str(estimate(0.34, 0.31, 0.37)) == "0.34 [0.31, 0.37]"


def test_running_text():
    assert words.with_interval(estimate(0.0342, 0.031, 0.037)) == "0.0342 [0.0310, 0.0370]"
    assert words.with_interval(estimate(0.1, math.nan, math.nan)) == "0.100 no interval"
    assert words.percent(0.5) == "50%"
    assert [words.counted(n, "seed") for n in (0, 1, 2)] == ["0 seeds", "1 seed", "2 seeds"]


def test_lines_are_folded_and_grouped():
    lines = {"a": ["a: x", "a: y"], "b": []}
    assert list(words.folded(lines)) == ["a: x; y"]
    reasons = {"a": "few", "b": "none", "c": "few"}
    assert list(words.grouped("not fitted", reasons)) == [
        "not fitted: a, c: few",
        "not fitted: b: none",
    ]


@given(st.floats(min_value=1e-30, max_value=1e30), st.integers(min_value=1, max_value=6))
def test_a_number_is_right_in_its_digits(value, digits):
    shown = float(words.number(value, digits))
    assert shown == pytest.approx(value, rel=0.51 * 10 ** (1 - digits))
    assert words.number(-value, digits) == "−" + words.number(value, digits)


def test_intervals_stand_in_brackets():
    assert words.interval(estimate(0.5, 0.4, 0.6)) == "[0.400, 0.600]"
    assert words.interval(estimate(0.5, -math.inf, 0.6), 2) == "[−∞, 0.60]"
    assert words.interval(estimate(0.5, math.nan, math.nan)) == "no interval"


def test_a_value_with_its_interval_in_running_text():
    assert words.with_interval(estimate(0.5, 0.4, 0.6)) == "0.500 [0.400, 0.600]"
    assert words.with_interval(estimate(1, math.nan, math.nan)) == "1.00 no interval"
