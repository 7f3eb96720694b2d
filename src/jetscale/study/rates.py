"""The peak learning rate by width and steps: one law for each kind of start."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import log
from typing import Any, Literal, get_args

from jetscale.study.checks import check_fields, require

REFERENCE_WIDTH = 16
REFERENCE_STEPS = 1000
Start = Literal["scratch", "pretrained", "pretraining"]
"""What a run starts from: random weights, a pretrained trunk, or random weights of a trunk."""
STARTS: tuple[Start, ...] = get_args(Start)


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLaw:
    """Peak rate = learning_rate x (16 / width)^width_exponent x (1000 / steps)^steps_exponent.

    >>> law = RateLaw(learning_rate=0.01, width_exponent=0.75, steps_exponent=0.5)
    >>> round(law.at(width=256, steps=4000), 6)
    0.000625
    """

    learning_rate: float
    """Peak rate of the trunk at width 16 and 1000 optimiser steps."""
    width_exponent: float = 0.75
    steps_exponent: float = 0.0

    def __post_init__(self) -> None:
        check_fields(self, "rate law")
        rate = self.learning_rate
        require(rate > 0, f"rate law: learning_rate is {rate}, needs > 0")

    def at(self, width: int, steps: int) -> float:
        """The peak rate of a run."""
        by_width = float((REFERENCE_WIDTH / width) ** self.width_exponent)
        return (
            self.learning_rate * by_width * float((REFERENCE_STEPS / steps) ** self.steps_exponent)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Regret:
    """What the rate of the law costs one mixture at one cell, against the best rate searched."""

    mixture: str
    width: int
    examples: int
    regret: float
    """Validation loss at the law's rate minus the lowest found."""
    error: float
    """Its standard error, over seeds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """A rate law for each kind of start, and the search they came from."""

    scratch: RateLaw
    pretrained: RateLaw
    pretraining: RateLaw
    search: str = ""
    """Digest of the search; empty for rates that were stated."""
    arms: tuple[str, ...] = ()
    """Mixtures that were searched with the same points, seeds and cells."""
    regrets: tuple[Regret, ...] = field(default=(), compare=False, repr=False)
    """What the laws cost each of them; known about the recipe, no part of it."""
    schedule: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    """The schedule they were searched with, by setting; no part of the recipe either."""

    def __post_init__(self) -> None:
        for start in STARTS:
            good = isinstance(getattr(self, start), RateLaw)
            require(good, f"rates: {start} must be a RateLaw")
        object.__setattr__(self, "arms", tuple(self.arms))

    def regret_at(self, mixture: str, width: int, examples: int) -> Regret | None:
        """The regret of the searched cell nearest to a run; None for a mixture without one."""

        def distance(found: Regret) -> float:
            return abs(log(found.width / width)) + abs(log(found.examples / examples))

        return min((r for r in self.regrets if r.mixture == mixture), key=distance, default=None)
