"""What a fit minimises, by name, because published values differ by more than their errors with it.

All three are sums over runs of a function of the log residual r = log L - log L(N, D):

- ``huber``: Huber_delta(r), as in arXiv 2203.15556 (delta = 1e-3 there);
- ``squares``: r^2 / 2, the limit of a wide delta;
- ``absolute``: |r|, the limit of a narrow one (the point arXiv 2404.10102 publishes), smoothed as
  Huber_w(r) / w + w / 2 with w = 1e-7 and reached through a sequence of narrowing widths.

A sum, not a mean: a mean makes optimisers with absolute tolerances stop early (arXiv 2404.10102).
"""

from dataclasses import dataclass

from jetscale.errors import FitError, unknown

NAMES = ("huber", "squares", "absolute")
_WIDE = 1e3  # log residuals are never this large: Huber's loss is r^2 / 2
_NARROWING = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7)


@dataclass(frozen=True, slots=True)
class Objective:
    """One of the three, with its width."""

    name: str
    delta: float  # width of the quadratic zone asked for, in log loss; used by ``huber`` alone

    def __post_init__(self) -> None:
        if self.name not in NAMES:
            raise FitError(unknown("objective", self.name, NAMES))

    @property
    def widths(self) -> tuple[float, ...]:
        """Widths of the Huber loss to minimise one after the other; the last one counts."""
        if self.name == "huber":
            return (self.delta,)
        return (_WIDE,) if self.name == "squares" else _NARROWING

    @property
    def text(self) -> str:
        """The objective in words."""
        if self.name == "huber":
            return f"sum of Huber(delta={self.delta:.4g}) of log residuals"
        if self.name == "squares":
            return "half the sum of squared log residuals"
        return f"sum of absolute log residuals (smoothed below {_NARROWING[-1]:g})"

    def value(self, huber: float, runs: int) -> float:
        """The objective from the Huber sum of the last width over a number of runs."""
        if self.name != "absolute":
            return huber
        return huber / _NARROWING[-1] + runs * _NARROWING[-1] / 2
