"""What a budget has bought already: the best cell of each mixture that cost no more."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from jetscale.scaling.budget import Budget
from jetscale.scaling.cost import CostModel
from jetscale.scaling.fitted import StudyFit
from jetscale.scaling.routes.noise import cell_noise

_WIDTHS = 1.96  # standard errors by which two losses must differ to be told apart


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredCell:
    """A cell that was run; no law is involved."""

    params: float
    examples: float
    flops: float
    loss: float  # mean over seeds; the lowest of many cells, so a little optimistic
    runs: int  # seeds
    among: int  # cells it is the lowest of

    def below(self, loss: float, noise: float) -> bool:
        """True where this cell is lower than a loss by more than ``noise`` of a run explains.

        The lowest of k cells is low by chance: by less than sqrt(2 ln k) errors, usually.
        """
        widths = _WIDTHS + math.sqrt(2 * math.log(self.among))
        return math.log(loss / self.loss) > widths * noise / math.sqrt(self.runs)

    def told_apart(self, other: "MeasuredCell", noise: float) -> bool:
        """True where this cell is lower than another by more than noise; False for nan."""
        error = noise * math.sqrt(1 / self.runs + 1 / other.runs)
        return math.log(other.loss / self.loss) > _WIDTHS * error


def measured_cell(runs: pd.DataFrame, budget: Budget, cost: CostModel) -> MeasuredCell | None:
    """Return the cell of lowest mean loss among those the budget pays for."""
    spent = cost.of_runs(runs)
    within = runs.assign(flops=spent).loc[budget.spent(spent, runs["examples"]) <= budget.amount]
    if within.empty:
        return None
    groups = within.groupby(["params", "examples", "cell"], as_index=False)
    cells = groups.agg(flops=("flops", "mean"), loss=("loss", "mean"), runs=("loss", "size"))
    best = cells.sort_values("loss", kind="stable").iloc[0]
    numbers = {name: float(best[name]) for name in ("params", "examples", "flops", "loss")}
    return MeasuredCell(**numbers, runs=int(best["runs"]), among=len(cells))


def run_noise(fits: StudyFit) -> float:
    """Return the spread of log loss of one run over all mixtures; nan where nothing tells it."""
    squares, cells = 0.0, 0
    for name, fitted in fits.mixtures.items():
        runs = fits.runs[fits.runs["mixture"] == name]
        noise, count = cell_noise(runs, fitted), runs.groupby(["params", "examples"]).size()
        if noise.known:
            squares += float((noise.errors**2 * count.to_numpy()).sum())
            cells += len(count)
    return math.sqrt(squares / cells) if cells else math.nan


def beyond(flops: float, measured: tuple[float, float]) -> float:
    """Return decades above the measured compute; below if negative, 0 within it."""
    low, high = measured
    return float(max(0.0, np.log10(flops / high)) + min(0.0, np.log10(flops / low)))
