"""The link from the loss to a score: the quantity of a metric as a power of the loss.

It is fitted to the means of cells; an isotonic curve shows what is lost by taking a power.
"""

import math
import zlib
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from scipy import stats
from scipy.optimize import isotonic_regression

from jetscale.scaling.engine.laws import Array
from jetscale.scaling.estimate import CONFIDENCE, Estimate
from jetscale.scaling.metric import Metric, metric_of
from jetscale.scaling.table import quantity_of

_ENDS = ("value", "low", "high")
_FEWEST = 4  # cells


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A quantity as a power of the loss, over the cells of all mixtures."""

    metric: Metric
    power: Estimate
    spread: float  # of log quantity about the power law, cell by cell
    spread_isotonic: float  # about the best monotone curve, which has more freedom
    offsets: dict[str, float]  # mean of log quantity above the link by mixture, where it is clear
    cells: int
    middle: tuple[float, float]  # log loss and log quantity at the middle
    error: float  # standard error of the height there
    json_also: ClassVar[tuple[str, ...]] = ("text",)

    @property
    def text(self) -> str:
        """The link in words, without a stop."""
        power = "{} [{}, {}]".format(*(f"{getattr(self.power, e):.2f}" for e in _ENDS))
        line = (
            f"link from the loss: {self.metric.quantity} ~ loss^{power} over {self.cells} cells, "
            f"spread {self.spread:.1%} (a monotone curve leaves {self.spread_isotonic:.1%})"
        )
        apart = ", ".join(f"{name} {math.expm1(off):+.1%}" for name, off in self.offsets.items())
        return f"{line}; mixtures differ from it: {apart}" if apart else line

    def at(self, loss: Estimate, mixture: str = "") -> Estimate:
        """Return the quantity at a loss, with the errors of both, for a mixture that differs."""
        x0, y0 = self.middle[0], self.middle[1] + self.offsets.get(mixture, 0.0)
        log = {end: math.log(max(getattr(loss, end), 1e-300)) - x0 for end in _ENDS}
        center = y0 + self.power.value * log["value"]
        slope = (self.power.high - self.power.low) / 2 * abs(log["value"])
        height = _student(self.cells - 2) * self.error
        own = {end: self.power.value * (log[end] - log["value"]) for end in ("low", "high")}
        low, high = (math.hypot(own[end], slope, height) for end in ("low", "high"))
        ends = {"low": math.exp(center - low), "high": math.exp(center + high)}
        return Estimate(value=math.exp(center), **ends, reason=loss.reason)

    def powers(self, count: int, seed: int) -> Array:
        """Return powers (count,) drawn as wide as the interval of the power."""
        rng, freedom = np.random.default_rng([seed, zlib.crc32(b"link")]), self.cells - 2
        error = (self.power.high - self.power.value) / _student(freedom)
        return self.power.value + error * rng.standard_t(freedom, count)


def _student(freedom: int) -> float:
    return float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom))


def link(runs: pd.DataFrame) -> Link | None:
    """Return the link of a clean table; None without a loss or cells."""
    metric = metric_of(quantity_of(runs))
    if metric is None or "measured_loss" not in runs:
        return None
    logs = pd.DataFrame({"x": np.log(runs["measured_loss"]), "y": np.log(runs["loss"])})
    means = logs.groupby([runs["mixture"], runs["cell"]]).mean()
    x, y, n = means["x"].to_numpy(), means["y"].to_numpy(), len(means)
    if n < _FEWEST or np.ptp(x) == 0:
        return None
    line = stats.linregress(x, y)
    left = y - line.intercept - line.slope * x
    spread = float(np.sqrt((left**2).sum() / (n - 2)))
    order = np.argsort(x)
    curve = isotonic_regression(y[order]).x
    half = _student(n - 2) * line.stderr
    groups = pd.Series(left).groupby(means.index.get_level_values(0).to_numpy())
    offsets = groups.mean()
    clear = offsets.abs() > _student(n - 2) * spread / np.sqrt(groups.size())
    found = offsets[clear] if len(offsets) > 1 else offsets[:0]
    return Link(
        metric=metric,
        power=Estimate(value=line.slope, low=line.slope - half, high=line.slope + half),
        spread=spread,
        spread_isotonic=float(np.sqrt(np.mean((y[order] - curve) ** 2))),
        offsets={str(name): float(value) for name, value in found.items()},
        cells=n,
        middle=(float(x.mean()), float(y.mean())),
        error=spread / math.sqrt(n),
    )
