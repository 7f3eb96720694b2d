"""What may be claimed from the intervals and tests of a pair: the verdict, and Holm's correction.

A shift is claimed only where both laws are identified, the interval and the test of equal exponents
agree, and one floor for both, lest a difference of floors pass for a shift, says the same.
"""

from collections.abc import Sequence
from enum import Enum

import numpy as np

from jetscale.scaling.estimate import Estimate

SIGNIFICANT = 0.05
NOT_IDENTIFIED = "not identified at this scale"  # whatever the runs do not determine


class Verdict(Enum):
    """What may be claimed about the exponent of N* of a mixture relative to another."""

    NOT_IDENTIFIED = "not_identified"
    NO_SHIFT = "no_shift"
    TESTS_DISAGREE = "tests_disagree"
    DEPENDS_ON_FLOOR = "depends_on_floor"
    LARGER_MODELS = "larger_models"
    MORE_DATA = "more_data"

    @property
    def claims_shift(self) -> bool:
        """True where a shift of the exponent is claimed."""
        return self in (Verdict.LARGER_MODELS, Verdict.MORE_DATA)

    @property
    def text(self) -> str:
        """The verdict in words, for a table or a sentence."""
        return {
            Verdict.NOT_IDENTIFIED: NOT_IDENTIFIED,
            Verdict.NO_SHIFT: "no shift shown",
            Verdict.TESTS_DISAGREE: "no shift claimed: the interval and the test disagree",
            Verdict.DEPENDS_ON_FLOOR: "no shift claimed: depends on the floor",
            Verdict.LARGER_MODELS: "steered to larger models",
            Verdict.MORE_DATA: "steered to more data",
        }[self]


def holm(p_values: Sequence[float], hypotheses: int = 0) -> list[float]:
    """Return p-values corrected by Holm's step-down method, in the order given.

    Where there are more ``hypotheses``, the p-values of the others are taken to be larger.

    >>> holm([0.01, 0.04, 0.03]), holm([0.01], hypotheses=3)
    ([0.03, 0.06, 0.06], [0.03])
    """
    p = np.asarray(p_values, dtype=float)
    order, count = np.argsort(p), max(hypotheses, len(p))
    # the smallest is multiplied by all hypotheses, the next by one less, never falling
    steps = np.maximum.accumulate(p[order] * np.arange(count, count - len(p), -1))
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(steps, 1.0)
    return list(map(float, corrected))


def side_of_zero(delta: Estimate) -> int:
    """Return 1 or -1 where the interval lies on that side of zero, else 0."""
    return int(delta.low > 0) - int(delta.high < 0)


def judge(delta: Estimate, one_floor: Estimate, p_value: float) -> Verdict:
    """Return what may be claimed about the exponent of N* of mixture b relative to a.

    ``delta`` is b minus a, ``one_floor`` with one floor for both; ``p_value`` of equal exponents.
    """
    if not delta.identified:
        return Verdict.NOT_IDENTIFIED
    side, test = side_of_zero(delta), p_value < SIGNIFICANT
    if not (side and test):
        return Verdict.TESTS_DISAGREE if side or test else Verdict.NO_SHIFT
    if side_of_zero(one_floor) != side:
        return Verdict.DEPENDS_ON_FLOOR
    return Verdict.LARGER_MODELS if side > 0 else Verdict.MORE_DATA
