"""Numbers and intervals as people write them."""

import math
from typing import Protocol


class Interval(Protocol):
    """A value between two ends, such as `jetscale.scaling.Estimate`."""

    @property
    def value(self) -> float:
        """The estimate."""

    @property
    def low(self) -> float:
        """Lower end of its interval; nan where there is none."""

    @property
    def high(self) -> float:
        """Upper end of its interval; nan where there is none."""


def short(value: float, digits: int = 3) -> str:
    """A count in a few digits: 656, 2.59k, 1.2M."""
    value = float(f"{value:.{digits}g}")
    for factor, suffix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= factor:
            return f"{value / factor:.3g}{suffix}"
    return f"{value:.3g}"


def number(value: float, digits: int = 3) -> str:
    """A number in ``digits`` significant digits, with a true minus; a dash for nan.

    >>> number(0.0123), number(1234.5), number(2.1e15), number(-0.5), number(float("nan"))
    ('0.0123', '1234', '2.10e15', '−0.500', '–')
    """
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == 0:
        return "0"
    size = abs(value)
    if 1e-3 <= size < 1e6:
        text = f"{size:.{max(0, digits - 1 - math.floor(math.log10(size)))}f}"
    else:
        mantissa, power = f"{size:.{digits - 1}e}".split("e")
        text = f"{mantissa}e{int(power)}"
    return f"−{text}" if value < 0 else text


def interval(value: Interval, digits: int = 3) -> str:
    """The two ends in brackets, or ``no interval`` where the lower end is nan."""
    if math.isnan(value.low):
        return "no interval"
    return f"[{number(value.low, digits)}, {number(value.high, digits)}]"


def with_interval(value: Interval, digits: int = 3) -> str:
    """A value and its interval in running text: ``0.500 [0.400, 0.600]``."""
    return f"{number(value.value, digits)} {interval(value, digits)}"
