"""Holm's correction against its definition, and the verdict case by case."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetscale.scaling.comparison.claims import Verdict, holm, judge, side_of_zero
from jetscale.scaling.estimate import Estimate

AROUND = Estimate(value=0.1, low=-0.1, high=0.3)
BELOW = Estimate(value=-0.1, low=-0.2, high=-0.01)
ABOVE = Estimate(value=0.1, low=0.01, high=0.2)


def test_holm_by_hand():
    # sorted .005 .01 .03 .04, times 4 3 2 1 = .02 .03 .06 .04, made monotone = .02 .03 .06 .06
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.4, 0.6]) == [0.8, 0.8]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_is_between_raw_and_bonferroni(p):
    corrected = holm(p)
    for raw, mine in zip(p, corrected, strict=True):
        assert raw <= mine <= min(1, raw * len(p)) + 1e-12
    order = np.argsort(p, kind="stable")
    assert (np.diff(np.array(corrected)[order]) >= -1e-15).all()
    assert max(corrected) <= 1


def test_sides():
    assert [side_of_zero(delta) for delta in (BELOW, AROUND, ABOVE)] == [-1, 0, 1]


@pytest.mark.parametrize(
    ("delta", "shared_floor", "p_value", "claim"),
    [
        (BELOW, BELOW, 0.01, Verdict.MORE_DATA),
        (ABOVE, ABOVE, 0.01, Verdict.LARGER_MODELS),
        (BELOW, BELOW, 0.2, Verdict.TESTS_DISAGREE),
        (AROUND, ABOVE, 0.01, Verdict.TESTS_DISAGREE),
        (BELOW, AROUND, 0.01, Verdict.DEPENDS_ON_FLOOR),
        (BELOW, ABOVE, 0.01, Verdict.DEPENDS_ON_FLOOR),
        (AROUND, AROUND, 0.9, Verdict.NO_SHIFT),
        (AROUND, ABOVE, 0.9, Verdict.NO_SHIFT),
        (
            Estimate(value=1, low=0.5, high=2, reason="E is open"),
            ABOVE,
            0.01,
            Verdict.NOT_IDENTIFIED,
        ),
    ],
)
def test_a_shift_needs_both_intervals_and_the_test(delta, shared_floor, p_value, claim):
    assert judge(delta, shared_floor, p_value) is claim
    assert claim.claims_shift == claim.text.startswith("steered")


def test_further_hypotheses_are_paid_for():
    assert holm([0.01, 0.02], hypotheses=10) == pytest.approx([0.1, 0.18])
    assert holm([0.01, 0.02], hypotheses=1) == holm([0.01, 0.02])


def test_every_verdict_has_words():
    assert len({verdict.text for verdict in Verdict}) == len(Verdict)
