"""Made-up studies: run tables drawn from a stated law, and quick fits to many of them at once.

The quick fits give the sampling distribution of the exponent a without any interval being made:
all data sets are fitted in one batch, a few tenths of a millisecond each.
"""

import numpy as np
import pandas as pd
from scipy import stats

from jetscale.scaling.engine import laws
from jetscale.scaling.engine.family import Family
from jetscale.scaling.engine.forms import CHINCHILLA
from jetscale.scaling.engine.laws import Array
from jetscale.scaling.engine.logs import Centred
from jetscale.scaling.engine.objective import Objective
from jetscale.scaling.fit import huber_width
from jetscale.scaling.power.grid import Grid
from jetscale.scaling.power.truth import Truth
from jetscale.scaling.table import validate


def log_losses(grid: Grid, truth: Truth, count: int, rng: np.random.Generator) -> Array:
    """Log losses (count, n) of the runs of one mixture, one row per made-up study."""
    cell = grid.cell_of_run
    exact = np.log(laws.loss(truth.theta, grid.params, grid.examples))
    misfit = truth.misfit * rng.standard_normal((count, len(grid.params)))
    noise = truth.noise * rng.standard_normal((count, len(cell)))
    return np.asarray((exact + misfit)[:, cell] + noise)


def simulate_runs(grid: Grid, truth: Truth, mixture: str, random: tuple[int, ...]) -> pd.DataFrame:
    """The run table of one mixture of a made-up study; ``random`` decides the draw."""
    draw = log_losses(grid, truth, 1, np.random.default_rng(random))
    return grid.runs(draw[0], mixture)


def quick_fits(grid: Grid, truth: Truth, count: int, seed: int) -> Array:
    """Parameters (count, 5) fitted to made-up studies as `fit` would, without intervals."""
    rng = np.random.default_rng(seed)
    cell = grid.cell_of_run
    exact = laws.loss(truth.theta, grid.params, grid.examples)
    runs = Centred.of(grid.params[cell], grid.examples[cell], exact[cell])
    family = Family(CHINCHILLA, runs)
    targets = log_losses(grid, truth, count, rng) - runs.z0
    delta = huber_width(validate(grid.runs(targets[0] + runs.z0)))
    fits = family.fit(np.ones_like(targets), Objective("huber", delta), targets)
    return family.theta(fits.q, 0)


def central_deviation(values: Array) -> float:
    """Standard deviation by the central 95% of values, so that strays do not decide it."""
    low, high = np.quantile(values, [0.025, 0.975])
    return float(high - low) / (2 * float(stats.norm.ppf(0.975)))
