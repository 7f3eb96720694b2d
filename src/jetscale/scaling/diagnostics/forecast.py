"""Leave the largest out: whether law and misfit forecast the runs they are meant to extrapolate to.

The 95% prediction interval of a held-out cell joins the replicates of the expected loss of the
reduced fit, what the law misses included, with the noise of its seeds (`outlook`). Cells outside,
or errors of one sign, say that losses bend beyond the window as they did not inside.
"""

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from jetscale.scaling.cost import CostModel
from jetscale.scaling.diagnostics.batch import refit, why_not
from jetscale.scaling.fitted import MixtureFit, StudyFit
from jetscale.scaling.heldout import Forecast, HeldOut
from jetscale.scaling.table import identity

_TOP_SHARE = 0.2
_FEWEST_HELD_OUT = 2
LARGEST_MODEL = "the largest model"
LARGEST_COMPUTE = "the cells of largest compute"


def without_largest_compute(fits: StudyFit) -> StudyFit | str:
    """Return the refit without the fifth of each mixture's cells, at least 2, that cost most."""
    return refit(fits, fits.runs[~of_largest_compute(fits.runs, fits.cost)])


def of_largest_compute(runs: pd.DataFrame, convention: CostModel) -> NDArray[np.bool_]:
    """Which runs belong to the fifth of each mixture's cells, at least 2, that cost most."""
    runs = runs.assign(flops=convention.of_runs(runs))
    cost = runs.groupby(["mixture", "cell"], sort=False)["flops"].mean().reset_index()
    sizes = cost.groupby("mixture")["cell"].transform("size")
    count = np.maximum(_FEWEST_HELD_OUT, np.ceil(_TOP_SHARE * sizes))
    order = cost.groupby("mixture")["flops"].rank(method="first", ascending=False)
    top = pd.MultiIndex.from_frame(cost.loc[order <= count, ["mixture", "cell"]])
    return np.asarray(pd.MultiIndex.from_frame(runs[["mixture", "cell"]]).isin(top))


def without_largest_model(fits: StudyFit) -> StudyFit | str:
    """Return the refit without the largest model of each mixture."""
    return refit(fits, fits.runs[~of_largest_model(fits.runs)])


def of_largest_model(runs: pd.DataFrame) -> NDArray[np.bool_]:
    """Which runs are of the largest model of their mixture."""
    largest = runs.groupby("mixture", sort=False)["params"].transform("max")
    return np.asarray(runs["params"] == largest)


def forecast(fits: StudyFit, name: str, left_out: str, part: StudyFit | str) -> Forecast:
    """Predict the cells of a mixture that a refit to part of the runs did not see."""
    runs = fits.runs[fits.runs["mixture"] == name]
    if isinstance(part, str) or name not in part.mixtures:
        return Forecast(left_out=left_out, reason=why_not(part, name))
    kept, names = part.runs[part.runs["mixture"] == name], identity(runs)
    seen = pd.MultiIndex.from_frame(runs[names]).isin(pd.MultiIndex.from_frame(kept[names]))
    held, fitted = runs[~seen], part.mixtures[name]
    cells = tuple(held_out(held, fitted, fits.options.seed))
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
        noise=fitted.misfit.noise,
    )


def held_out(held: pd.DataFrame, fitted: MixtureFit, seed: int) -> Iterator[HeldOut]:
    """The cells of runs that a fit did not see, against what it forecasts."""
    _, first, index = np.unique(held["cell"], return_index=True, return_inverse=True)
    runs = np.bincount(index).astype(float)
    measured = np.bincount(index, held["loss"]) / runs
    rows = held.iloc[first]
    sizes = [rows[name].to_numpy() for name in ("params", "examples")]
    columns = {name: rows[name].to_numpy()[:, None] for name in fitted.law.columns}
    found = fitted.predicted(sizes[0], sizes[1], runs, seed, **columns)
    for i, (predicted, low, high) in enumerate(found.tolist()):
        yield HeldOut(
            params=float(sizes[0][i]),
            examples=float(sizes[1][i]),
            measured=float(measured[i]),
            predicted=predicted,
            low=low,
            high=high,
            error=float(measured[i] / predicted - 1),
            inside=bool(low <= measured[i] <= high),
        )
