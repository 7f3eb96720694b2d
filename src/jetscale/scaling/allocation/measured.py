"""What a budget has bought already: the best cell of each mixture that cost no more."""

import math
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy import stats

from jetscale.jsonable import HIDDEN
from jetscale.scaling.budget import Budget
from jetscale.scaling.cost import CostModel
from jetscale.scaling.fitted import StudyFit
from jetscale.scaling.routes.noise import cell_noise

_CLEAR = 3.0  # standard errors by which cells must be lower than a prediction
_WIDTHS = 1.96  # standard errors by which two losses must differ to be told apart


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredCell:
    """A cell that was run; no law is involved."""

    params: float
    examples: float
    flops: float
    loss: float  # mean over seeds; the lowest of many cells, so a little optimistic
    runs: int  # seeds
    within: tuple[tuple[float, int], ...] = field(metadata=HIDDEN)
    """Losses and seeds of all cells within the budget, the lowest first."""

    def below(self, loss: float, noise: float) -> bool:
        """True where cells are lower than a loss by more than ``noise`` of a run explains.

        The lowest of k cells are low by chance: as order statistics of a normal sample (Blom's
        scores). The mean of the lowest m, for any m, must be lower by three standard errors more.
        """
        losses, runs = np.array(self.within).T
        scores = np.sort(np.log(loss / losses) * np.sqrt(runs) / noise)[::-1]
        count = np.arange(1, len(scores) + 1)
        chance = -stats.norm.ppf((count - 0.375) / (len(scores) + 0.25))
        return bool(((scores - chance).cumsum() > _CLEAR * np.sqrt(count)).any())

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
    cells = cells.sort_values("loss", kind="stable")
    losses, counts = cells["loss"].tolist(), cells["runs"].tolist()
    best = cells.iloc[0]
    numbers = {name: float(best[name]) for name in ("params", "examples", "flops", "loss")}
    both = tuple(zip(losses, counts, strict=True))
    return MeasuredCell(**numbers, runs=int(best["runs"]), within=both)


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
