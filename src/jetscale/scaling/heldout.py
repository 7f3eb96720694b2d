"""What fits forecast of runs they did not see, and what was measured there; the laws so judged."""

import math
from dataclasses import dataclass
from typing import ClassVar

from scipy.stats import binom

from jetscale.scaling.estimate import CONFIDENCE

_RARE = 0.05
_HALF, _LEAST = 1.96, 1e-6  # standard errors in half an interval; the least one, of log loss


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """One cell the reduced fit did not see."""

    params: float
    examples: float
    measured: float  # mean loss over seeds
    predicted: float
    low: float  # 95% prediction interval of the measured mean
    high: float
    error: float  # (measured - predicted) / predicted: positive where the law was too hopeful
    inside: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """A reduced fit of one mixture against the cells left out of it."""

    left_out: str
    cells: tuple[HeldOut, ...] = ()  # empty where there is no reduced fit
    mean_error: float = math.nan
    rms_error: float = math.nan
    inside: int = 0  # held-out cells inside their prediction intervals
    decades: float = math.nan  # from the largest cell fitted to the largest left out, N or compute
    noise: float = math.nan  # relative scatter of one run about the law that the intervals count in
    reason: str = ""  # why there is no forecast
    json_also: ClassVar[tuple[str, ...]] = ("suspicious", "text")

    @property
    def suspicious(self) -> bool:
        """True without a forecast, or if 95% intervals hold so few cells in under 5% of studies."""
        return bool(self.reason or binom.cdf(self.inside, len(self.cells), CONFIDENCE) < _RARE)

    @property
    def stretch(self) -> float:
        """Size of the errors in units of those expected, 1 where they are as expected."""
        if not self.suspicious or not self.cells:
            return 1.0
        half = [math.log(cell.high / cell.low) / (2 * _HALF) for cell in self.cells]
        off = [math.log(cell.measured / cell.predicted) for cell in self.cells]
        squares = [(o / max(h, _LEAST)) ** 2 for o, h in zip(off, half, strict=True)]
        return max(1.0, math.sqrt(sum(squares) / len(squares)))

    @property
    def text(self) -> str:
        """One line for a reader."""
        if self.reason:
            return f"without {self.left_out}: no forecast: {self.reason}"
        return (
            f"without {self.left_out}: error {self.mean_error:+.2%} on average, "
            f"{self.rms_error:.2%} RMS; {self.inside} of {len(self.cells)} inside the 95% "
            f"prediction interval, {self.decades:.2f} decades beyond the fit"
        )


_CLEARLY = 0.75
"""A richer law is taken where its error is below this share of the default one's. On made-up tables
of the default law it was taken in 3 of 160, on those of two richer laws in 309 of 320; beside all
three it was taken in none of 40."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One law and how well it forecasts."""

    law: str
    error: float  # RMS of log loss, measured over forecast, over the cells left out


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """The laws tried, the default one first."""

    tried: tuple[Candidate, ...]
    cells: int  # forecast by each; a cell left out twice counts twice
    json_also: ClassVar[tuple[str, ...]] = ("best", "text")

    @property
    def best(self) -> str:
        """The law to take: the default one, unless a richer one forecasts clearly better."""
        default, *richer = self.tried
        least = min(richer, key=lambda candidate: candidate.error)
        return least.law if least.error < _CLEARLY * default.error else default.law

    @property
    def rivals(self) -> tuple[str, ...]:
        """The other laws that the best one does not forecast clearly better than."""
        least = min(one.error for one in self.tried if one.law == self.best)
        others = (one for one in self.tried if one.law != self.best)
        return tuple(one.law for one in others if least >= _CLEARLY * one.error)

    @property
    def text(self) -> str:
        """One line for a reader."""
        errors = ", ".join(f"{one.law} {one.error:.2%}" for one in self.tried)
        found = (
            "no richer law forecasts clearly better"
            if self.best == self.tried[0].law
            else f"the law {self.best!r} forecasts clearly better"
        )
        return f"{found}: RMS error over {self.cells} cells left out: {errors}"
