"""Cell means of one mixture and the noise of seeds about them.

The routes to the frontier that interpolate between runs (`isoflop`, `envelope`) cannot lose cells
to resampling as a fitted law can. Their intervals come from redrawing the mean log loss of every
cell with the spread between seeds. That covers the noise of seeds and nothing else.
"""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from jetscale.scaling.engine.laws import Array

METHOD = "cell means redrawn with the spread between seeds, percentiles, 95%; seed noise alone"


@dataclass(frozen=True, slots=True)
class CellMeans:
    """The cells of one mixture, sorted by params and examples; every array is (k,)."""

    params: Array
    examples: Array
    log_loss: Array  # mean over seeds
    runs: Array  # seeds of each cell
    spread: float  # pooled standard deviation between seeds of log loss; nan where no cell repeats

    def redrawn(self, replicates: int, seed: int) -> Array:
        """(1 + R, k) log losses: as measured, then replicates; without repeats R is 0."""
        if not math.isfinite(self.spread):
            return self.log_loss[None]
        noise = np.random.default_rng(seed).standard_normal((replicates, len(self.params)))
        return np.concatenate(
            [self.log_loss[None], self.log_loss + noise * self.spread / np.sqrt(self.runs)]
        )


def cell_means(runs: pd.DataFrame) -> CellMeans:
    """The cells of one mixture of a clean run table."""
    logs = runs.assign(log_loss=np.log(runs["loss"]))
    cells = ["params", "examples"]
    table = logs.groupby(cells)["log_loss"].agg(["mean", "size"]).reset_index()
    return CellMeans(
        params=table["params"].to_numpy(dtype=float),
        examples=table["examples"].to_numpy(dtype=float),
        log_loss=table["mean"].to_numpy(dtype=float),
        runs=table["size"].to_numpy(dtype=float),
        spread=seed_spread(runs, cells),
    )


def seed_spread(runs: pd.DataFrame, cell: list[str]) -> float:
    """Pooled standard deviation of log loss within cells; nan where no cell repeats.

    ``cell`` names the columns that runs of one cell have in common.
    """
    groups = np.log(runs["loss"]).groupby([runs[name] for name in cell])
    freedom = len(runs) - groups.ngroups
    squares = float(((np.log(runs["loss"]) - groups.transform("mean")) ** 2).sum())
    return math.sqrt(squares / freedom) if freedom else math.nan
