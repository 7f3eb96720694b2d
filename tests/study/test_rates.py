"""Rate laws: the width and steps rules, and which start follows which law."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetscale.errors import StudyError
from jetscale.study import Controls, RateLaw, Rates
from jetscale.study.rates import STARTS

LAWS = {
    start: RateLaw(learning_rate=rate, steps_exponent=0.5)
    for start, rate in zip(STARTS, (0.02, 0.01, 0.005), strict=True)
}


@pytest.fixture
def recipe():
    return Controls(pretraining_jets=50, validation_jets=10, test_jets=10)


def test_the_rate_falls_with_width_and_steps():
    law = RateLaw(learning_rate=0.01, width_exponent=0.75, steps_exponent=0.5)
    assert law.at(16, 1000) == 0.01
    assert law.at(256, 1000) == pytest.approx(0.01 / 8)
    assert law.at(16, 4000) == pytest.approx(0.01 / 2)


@given(st.integers(1, 4096), st.integers(1, 10**7))
def test_without_exponents_it_is_one_number(width, steps):
    assert RateLaw(learning_rate=0.3, width_exponent=0.0).at(width, steps) == 0.3


def test_every_start_follows_its_own_law(recipe):
    tuned = recipe.change(rates=Rates(**LAWS))
    for start, law in LAWS.items():
        assert tuned.at(start).optimiser.rates is None
        assert tuned.at(start).optimiser.law(start) == law


def test_without_laws_of_their_own_all_starts_follow_the_same(recipe):
    assert all(recipe.at(start) == recipe for start in STARTS)


def test_a_later_setting_at_its_default_is_no_part_of_the_identity(recipe):
    assert not {"rates", "steps_exponent"} & recipe.to_dict()["optimiser"].keys()
    assert recipe.change(steps_exponent=0.5).to_dict()["optimiser"]["steps_exponent"] == 0.5
    told = recipe.change(rates=Rates(**LAWS)).to_dict()["optimiser"]["rates"]
    assert told["scratch"] == {
        "learning_rate": 0.02,
        "width_exponent": 0.75,
        "steps_exponent": 0.5,
    }


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), "fast"])
def test_a_rate_that_is_none_is_refused(value):
    with pytest.raises(StudyError, match="learning_rate"):
        RateLaw(learning_rate=value)


def test_what_is_no_law_is_refused(recipe):
    with pytest.raises(StudyError, match="scratch must be a RateLaw"):
        Rates(**LAWS | {"scratch": 0.01})
    with pytest.raises(StudyError, match="needs Rates"):
        replace(recipe.optimiser, rates=0.01)
