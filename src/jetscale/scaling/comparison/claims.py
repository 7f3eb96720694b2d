"""What may be claimed from the intervals and tests of a pair: the verdict, and Holm's correction.

An interval of the difference and a test of equal exponents answer the same question with different
assumptions and can disagree; the floor E trades off against the exponents, and a difference of
floors can pass for a shift. A shift is claimed only where both laws are identified, the interval
and the test agree, and the interval with one floor for both mixtures says the same.
"""

from collections.abc import Sequence

import numpy as np

from jetscale.scaling.estimate import Estimate

SIGNIFICANT = 0.05


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction of p-values, in the order given.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p)
    steps = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(steps, 1.0)
    return [float(value) for value in corrected]


def side_of_zero(delta: Estimate) -> int:
    """1 or -1 where the interval lies on that side of zero, else 0."""
    return int(delta.low > 0) - int(delta.high < 0)


def verdict(delta: Estimate, shared_floor: Estimate, p_value: float) -> str:
    """What may be claimed about the params exponent of b relative to a.

    Parameters
    ----------
    delta, shared_floor
        The difference with a floor for each mixture, and with one for both.
    p_value
        Of equal alpha and beta.
    """
    if not delta.identified:
        return "not identified at this scale"
    side, test = side_of_zero(delta), p_value < SIGNIFICANT
    if side and test and side_of_zero(shared_floor) != side:
        return "no shift claimed: depends on the floor"
    if side and test:
        return "steered to larger models" if side > 0 else "steered to more data"
    if side or test:
        return "no shift claimed: the interval and the test disagree"
    return "no shift shown"
