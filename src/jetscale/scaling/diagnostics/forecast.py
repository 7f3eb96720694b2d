"""Leave the largest out: whether the law forecasts the runs it is meant to extrapolate to.

The law is refitted without the largest model size, and without the cells of largest compute, and
predicts what was left out. The 95% prediction interval of a held-out cell joins the bootstrap of
the reduced fit with a normal draw of the cell's own mean log loss: the noise of its seeds and the
deviations of cells from the law, both as they are among the runs fitted (`scatter`). It does not
cover a law that bends beyond the window: cells outside their intervals, or errors of one sign, say
that it does.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from jetscale.scaling.diagnostics.scatter import Scatter, scatter
from jetscale.scaling.diagnostics.windows import refit, why_not
from jetscale.scaling.engine.laws import Array
from jetscale.scaling.estimate import percentile_interval, plain_number
from jetscale.scaling.fitted import MixtureFit, StudyFit

_TOP_SHARE = 0.2
_FEWEST_HELD_OUT = 2
LARGEST_MODEL = "the largest model"
LARGEST_COMPUTE = "the cells of largest compute"


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """One cell the reduced fit did not see."""

    params: float
    examples: float
    measured: float
    """Mean loss over seeds."""
    predicted: float
    low: float
    """95% prediction interval of the measured mean."""
    high: float
    error: float
    """(measured - predicted) / predicted: positive where the law was too hopeful."""
    inside: bool

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {n: plain_number(v) if isinstance(v, float) else v for n, v in asdict(self).items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """A reduced fit of one mixture against the cells left out of it."""

    left_out: str
    cells: tuple[HeldOut, ...]
    """Empty where there is no reduced fit."""
    mean_error: float
    rms_error: float
    inside: int
    """Held-out cells inside their prediction intervals."""
    decades: float
    """How far the largest held-out cell lies beyond the largest one fitted, in decades of N for
    the largest model and of compute else."""
    noise: float
    """Relative scatter of one run about the law that the intervals count in."""
    reason: str = ""
    """Why there is no forecast."""

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

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        if self.reason:
            return {"left_out": self.left_out, "reason": self.reason, "text": self.text}
        numbers = ("mean_error", "rms_error", "decades", "noise")
        return {
            "left_out": self.left_out,
            "cells": [cell.to_dict() for cell in self.cells],
            **{name: plain_number(getattr(self, name)) for name in numbers},
            "inside": self.inside,
            "text": self.text,
        }


def without_largest_compute(fits: StudyFit) -> StudyFit | str:
    """The refit without the fifth of each mixture's cells, at least 2, that cost most."""
    return refit(fits, fits.runs[~_most_expensive(fits)])


def _most_expensive(fits: StudyFit) -> "pd.Series[bool]":
    runs = fits.runs.assign(flops=_flops(fits, fits.runs))
    cost = runs.groupby(["mixture", "cell"], sort=False)["flops"].mean().reset_index()
    sizes = cost.groupby("mixture")["cell"].transform("size")
    count = np.maximum(_FEWEST_HELD_OUT, np.ceil(_TOP_SHARE * sizes))
    order = cost.groupby("mixture")["flops"].rank(method="first", ascending=False)
    top = pd.MultiIndex.from_frame(cost.loc[order <= count, ["mixture", "cell"]])
    held = pd.MultiIndex.from_frame(fits.runs[["mixture", "cell"]]).isin(top)
    return pd.Series(held, index=fits.runs.index)


def _flops(fits: StudyFit, runs: pd.DataFrame) -> Array:
    if "flops" in runs:
        return runs["flops"].to_numpy(dtype=float)
    return fits.cost.flops(runs["params"].to_numpy(), runs["examples"].to_numpy())


def forecast(fits: StudyFit, name: str, left_out: str, part: StudyFit | str) -> Forecast:
    """Predict the cells of a mixture that a refit to part of the runs did not see."""
    runs = fits.runs[fits.runs["mixture"] == name]
    if isinstance(part, str) or name not in part.mixtures:
        return _none(left_out, why_not(part, name))
    kept = part.runs[part.runs["mixture"] == name]
    pairs = pd.MultiIndex.from_frame(runs[["params", "examples"]])
    seen = pairs.isin(pd.MultiIndex.from_frame(kept[["params", "examples"]]))
    held = runs[~seen]
    fitted = part.mixtures[name]
    noise = _scatter(runs[seen], fitted)
    cells = tuple(_cells(held, fitted, noise, fits.seed))
    errors = np.array([cell.error for cell in cells])
    of_model = left_out == LARGEST_MODEL
    ends = (rows["params"] if of_model else _flops(fits, rows) for rows in (held, runs[seen]))
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


def _none(left_out: str, reason: str) -> Forecast:
    nan = math.nan
    return Forecast(
        left_out=left_out,
        cells=(),
        mean_error=nan,
        rms_error=nan,
        inside=0,
        decades=nan,
        noise=nan,
        reason=reason,
    )


def _scatter(kept: pd.DataFrame, fitted: MixtureFit) -> Scatter:
    off = np.log(kept["loss"].to_numpy() / _losses(fitted, fitted.theta, kept))
    index = np.unique(kept["cell"].to_numpy(), return_inverse=True)[1]
    return scatter(off, index, fitted.law.free)


def _losses(fitted: MixtureFit, theta: Array, rows: pd.DataFrame) -> Array:
    columns = {name: rows[name].to_numpy() for name in fitted.law.columns}
    return fitted.law.loss(theta, rows["params"].to_numpy(), rows["examples"].to_numpy(), **columns)


def _cells(held: pd.DataFrame, fitted: MixtureFit, noise: Scatter, seed: int) -> list[HeldOut]:
    numbers, first, index = np.unique(held["cell"], return_index=True, return_inverse=True)
    mean = index == np.arange(len(numbers))[:, None]
    runs = mean.sum(axis=1)
    mean = mean / runs[:, None]
    measured = mean @ held["loss"].to_numpy()
    predicted = mean @ _losses(fitted, fitted.theta, held)
    draws = _losses(fitted, fitted.replicates.theta[:, None, :], held) @ mean.T
    chance = np.random.default_rng(seed).standard_normal(draws.shape)
    draws = draws * np.exp(noise.of_mean(runs) * chance)
    found = []
    for i, row in enumerate(first):
        low, high = percentile_interval(draws[:, i], len(fitted.replicates.cells))
        cell = HeldOut(
            params=float(held["params"].iloc[row]),
            examples=float(held["examples"].iloc[row]),
            measured=float(measured[i]),
            predicted=float(predicted[i]),
            low=low,
            high=high,
            error=float(measured[i] / predicted[i] - 1),
            inside=bool(low <= measured[i] <= high),
        )
        found.append(cell)
    return found
