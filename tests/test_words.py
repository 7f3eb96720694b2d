"""Numbers and intervals as people write them."""

import math
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetscale.words import interval, number, short, with_interval


@dataclass
class Value:
    value: float
    low: float
    high: float


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0123, "0.0123"),
        (1234.5, "1234"),
        (2.1e15, "2.10e15"),
        (1e-5, "1.00e-5"),
        (-0.5, "−0.500"),
        (0, "0"),
        (math.nan, "–"),
        (math.inf, "∞"),
        (-math.inf, "−∞"),
    ],
)
def test_numbers_for_readers(value, shown):
    assert number(value) == shown


@given(st.floats(min_value=1e-30, max_value=1e30), st.integers(min_value=1, max_value=6))
def test_a_number_is_right_in_its_digits(value, digits):
    shown = float(number(value, digits))
    assert shown == pytest.approx(value, rel=0.51 * 10 ** (1 - digits))
    assert number(-value, digits) == "−" + number(value, digits)


@pytest.mark.parametrize(
    ("value", "shown"), [(656, "656"), (2592, "2.59k"), (1.2e6, "1.2M"), (0.5, "0.5")]
)
def test_counts_are_short(value, shown):
    assert short(value) == shown
    assert [short(x, 2) for x in (888e6, 999.9, 12345)] == ["890M", "1k", "12k"]


def test_intervals_stand_in_brackets():
    assert interval(Value(0.5, 0.4, 0.6)) == "[0.400, 0.600]"
    assert interval(Value(0.5, -math.inf, 0.6), 2) == "[−∞, 0.60]"
    assert interval(Value(0.5, math.nan, math.nan)) == "no interval"


def test_a_value_with_its_interval_in_running_text():
    assert with_interval(Value(0.5, 0.4, 0.6)) == "0.500 [0.400, 0.600]"
    assert with_interval(Value(1, math.nan, math.nan)) == "1.00 no interval"
