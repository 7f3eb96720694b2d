"""Bounds of sense: what no answer may say, whatever a law gives.

A law is a curve through runs. What it says of a size nobody could train, of a budget a million
times the measured ones, or of a loss above one that was measured for less, is about the curve.
"""

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from jetscale.errors import FitError
from jetscale.scaling.estimate import Estimate

REACH = 6.0  # decades beyond the measured compute at which nothing is answered
BELOW = 2.0  # decades below the smallest measured size at which an optimum is none
BEYOND = 3.0  # decades beyond the measured sizes, and the budget, at which an end is open
_FACTOR = 3.0  # times a loss at which an end of its interval is open
Ends = tuple[float, float]


def check_reach(text: str, flops: float, measured: Ends) -> None:
    """Refuse a budget, ``text`` in words, out of reach of the measured compute; raises FitError."""
    low, high = measured
    away = max(math.log10(flops / high), math.log10(low / flops))
    if away > REACH:
        side = "above" if flops > high else "below"
        raise FitError(
            f"{text} lies {away:.0f} decades {side} the measured compute ({low:.2g} to {high:.2g} "
            f"FLOPs): no law reaches that far; check amount and prices"
        )


def beyond(flops: float, measured: Ends) -> float:
    """Return decades above the measured compute; below if negative, 0 within it."""
    low, high = measured
    return float(max(0.0, np.log10(flops / high)) + min(0.0, np.log10(flops / low)))


def no_optimum(sizes: dict[str, float], window: Mapping[str, Ends]) -> str:
    """Return which size of an optimum is none, by its name in the window, or an empty text."""
    for shown, name in (("N*", "params"), ("D*", "examples")):
        low, value = window[name][0], sizes[name]
        if not math.isfinite(value):
            return f"{shown} has no bound"
        if value <= 0 or math.log10(low / value) > BELOW:
            return f"{shown} is more than {BELOW:.0f} decades below the smallest measured"
    return ""


def bounded(size: Estimate, window: Ends, beyond: float) -> Estimate:
    """Return a size whose ends beyond all sense are nan; ``beyond``: decades of the budget."""
    low, high = bounds((size.low, size.high), window, beyond)
    return replace(size, low=low, high=high)


def bounds(ends: Ends, window: Ends, beyond: float) -> Ends:
    """Return the ends of a range of sizes, nan where they lie beyond all sense."""
    lowest = window[0] * 10 ** (min(beyond, 0) - BEYOND)
    highest = window[1] * 10 ** (max(beyond, 0) + BEYOND)
    first, last = (end if lowest <= end <= highest else math.nan for end in ends)
    return first, last


def bounded_loss(loss: Estimate) -> Estimate:
    """Return a loss whose ends are nan where they are a third or three times of it, or worse."""
    ends = (
        end if loss.value / _FACTOR < end < loss.value * _FACTOR else math.nan
        for end in (loss.low, loss.high)
    )
    return replace(loss, low=next(ends), high=next(ends))
