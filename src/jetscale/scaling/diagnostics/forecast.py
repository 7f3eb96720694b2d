"""Leave the largest out: whether the law forecasts the runs it is meant to extrapolate to.

The 95% prediction interval of a held-out cell joins the bootstrap of the reduced fit with the noise
of its seeds and the deviations of cells from the law (`residuals`). It does not cover a law that
bends beyond the window: cells outside, or errors of one sign, say that it does.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from scipy.stats import binom

from jetscale.scaling.diagnostics.batch import refit, why_not
from jetscale.scaling.diagnostics.residuals import Scatter, scatter
from jetscale.scaling.engine.laws import Array
from jetscale.scaling.estimate import CONFIDENCE, percentile_interval
from jetscale.scaling.fitted import MixtureFit, StudyFit
from jetscale.scaling.table import identity

_RARE = 0.05
_TOP_SHARE = 0.2
_FEWEST_HELD_OUT = 2
LARGEST_MODEL = "the largest model"
LARGEST_COMPUTE = "the cells of largest compute"


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
    def text(self) -> str:
        """One line for a reader."""
        if self.reason:
            return f"without {self.left_out}: no forecast: {self.reason}"
        return (
            f"without {self.left_out}: error {self.mean_error:+.2%} on average, "
            f"{self.rms_error:.2%} RMS; {self.inside} of {len(self.cells)} inside the 95% "
            f"prediction interval, {self.decades:.2f} decades beyond the fit"
        )


def without_largest_compute(fits: StudyFit) -> StudyFit | str:
    """Return the refit without the fifth of each mixture's cells, at least 2, that cost most."""
    runs = fits.runs.assign(flops=fits.cost.of_runs(fits.runs))
    cost = runs.groupby(["mixture", "cell"], sort=False)["flops"].mean().reset_index()
    sizes = cost.groupby("mixture")["cell"].transform("size")
    count = np.maximum(_FEWEST_HELD_OUT, np.ceil(_TOP_SHARE * sizes))
    order = cost.groupby("mixture")["flops"].rank(method="first", ascending=False)
    top = pd.MultiIndex.from_frame(cost.loc[order <= count, ["mixture", "cell"]])
    held_out = pd.MultiIndex.from_frame(fits.runs[["mixture", "cell"]]).isin(top)
    return refit(fits, fits.runs[~held_out])


def forecast(fits: StudyFit, name: str, left_out: str, part: StudyFit | str) -> Forecast:
    """Predict the cells of a mixture that a refit to part of the runs did not see."""
    runs = fits.runs[fits.runs["mixture"] == name]
    if isinstance(part, str) or name not in part.mixtures:
        return Forecast(left_out=left_out, reason=why_not(part, name))
    kept, names = part.runs[part.runs["mixture"] == name], identity(runs)
    seen = pd.MultiIndex.from_frame(runs[names]).isin(pd.MultiIndex.from_frame(kept[names]))
    held, fitted = runs[~seen], part.mixtures[name]
    off = np.log(runs[seen]["loss"].to_numpy() / _losses(fitted, fitted.theta, runs[seen]))
    index = np.unique(runs[seen]["cell"].to_numpy(), return_inverse=True)[1]
    noise = scatter(off, index, fitted.law.free)
    cells = tuple(_cells(held, fitted, noise, fits.seed))
    errors = np.array([cell.error for cell in cells])
    of_model = left_out == LARGEST_MODEL
    ends = (rows["params"] if of_model else fits.cost.of_runs(rows) for rows in (held, runs[seen]))
    beyond, fitted_end = (float(np.max(values)) for values in ends)
    return Forecast(
        left_out=left_out,
        cells=cells,
        mean_error=float(errors.mean()),
        rms_error=float(np.sqrt((errors**2).mean())),
        inside=sum(cell.inside for cell in cells),
        decades=math.log10(beyond / fitted_end),
        noise=float(noise.of_mean(np.ones(1))[0]),
    )


def _losses(fitted: MixtureFit, theta: Array, rows: pd.DataFrame) -> Array:
    columns = {name: rows[name].to_numpy() for name in fitted.law.columns}
    return fitted.law.loss(theta, rows["params"].to_numpy(), rows["examples"].to_numpy(), **columns)


def _cells(held: pd.DataFrame, fitted: MixtureFit, noise: Scatter, seed: int) -> Iterator[HeldOut]:
    numbers, first, index = np.unique(held["cell"], return_index=True, return_inverse=True)
    runs = np.bincount(index).astype(float)
    mean = (index == np.arange(len(numbers))[:, None]) / runs[:, None]
    measured = mean @ held["loss"].to_numpy()
    predicted = mean @ _losses(fitted, fitted.theta, held)
    draws = _losses(fitted, fitted.replicates.theta[:, None, :], held) @ mean.T
    chance = np.random.default_rng(seed).standard_normal(draws.shape)
    draws = draws * np.exp(noise.of_mean(runs) * chance)
    for i, row in enumerate(first):
        low, high = percentile_interval(draws[:, i], len(fitted.replicates.cells))
        yield HeldOut(
            params=float(held["params"].iloc[row]),
            examples=float(held["examples"].iloc[row]),
            measured=float(measured[i]),
            predicted=float(predicted[i]),
            low=low,
            high=high,
            error=float(measured[i] / predicted[i] - 1),
            inside=bool(low <= measured[i] <= high),
        )
