"""The planned grid: which cells, how many seeds, what they cost.

All mixtures of a study are run on the same cells, at the same FLOPs of fine-tuning. Pretraining
happens once per model size and seed and is counted for all mixtures together.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from jetscale.errors import FitError
from jetscale.scaling.cost import CostModel, cost_model
from jetscale.scaling.engine.laws import Array
from jetscale.scaling.fit import shortage
from jetscale.scaling.misfit import Basis
from jetscale.scaling.table import validate


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """Cells (k,) of every mixture."""

    params: Array
    examples: Array
    seeds: NDArray[np.int64]  # runs of each cell
    flops: Array  # of one run, without pretraining
    pretraining_flops: Array  # of the cell's model size: one seed, all mixtures together
    mixtures: tuple[str, ...]
    cost: CostModel = field(init=False)  # C = k N^p D, fitted to the cells

    def __post_init__(self) -> None:
        _check(self)
        table = validate(self.runs(np.zeros(int(self.seeds.sum()))))
        if lacking := shortage(table):
            raise FitError(f"the planned grid {lacking}")
        object.__setattr__(self, "cost", cost_model(table))

    def __json__(self) -> dict[str, Any]:
        """Return the plan with the FLOPs of all of it."""
        cells = {"params": self.params, "examples": self.examples, "seeds": self.seeds}
        return {"mixtures": self.mixtures, **cells, "flops": self.total, "compute": self.cost}

    @property
    def total(self) -> float:
        """FLOPs of the whole study, pretraining included."""
        runs = len(self.mixtures) * float(self.seeds @ self.flops)
        at_size = [self.params == size for size in np.unique(self.params)]
        trunks = (self.seeds[at].max() * self.pretraining_flops[at].max() for at in at_size)
        return runs + sum(float(flops) for flops in trunks)

    @property
    def pretrained(self) -> bool:
        """True where models start from pretrained trunks, each common to all its data sizes."""
        return bool(self.pretraining_flops.any())

    @property
    def warnings(self) -> list[str]:
        """What the grid cannot tell, a line each."""
        lines = []
        if self.seeds.max() == 1:
            lines.append(
                "one seed: the noise is assumed here and cannot be measured on these runs later; "
                "two seeds in a few cells would"
            )
        if len(self.mixtures) == 1:
            lines.append("one mixture: nothing to compare")
        if self.pretrained:
            lines.append(
                "what the runs of one pretrained trunk have in common is allowed for in the "
                "analysis but not simulated: with it, intervals get wider"
            )
        return [*lines, *([self.cost.warning] if self.cost.warning else [])]

    @property
    def middle(self) -> tuple[float, float]:
        """Geometric middle of the model sizes and of the data sizes."""
        n, d = self.params, self.examples
        return math.sqrt(n.min() * n.max()), math.sqrt(d.min() * d.max())

    def smooth(self, window: "Grid | None" = None) -> Array:
        """The smooth deviations (k, K) of a law at the cells.

        Together they have mean square 1 at the cells of the ``window``, by default this grid.
        """
        over = self if window is None else window
        return Basis.over(over.params, over.examples).at(self.params, self.examples)

    @property
    def cell_of_run(self) -> NDArray[np.intp]:
        """Cell (n,) of every run of one mixture."""
        return np.repeat(np.arange(len(self.params)), self.seeds)

    def runs(self, log_losses: Array, mixture: str = "m") -> pd.DataFrame:
        """The run table of one mixture with these log losses (n,)."""
        cell = self.cell_of_run
        first = np.repeat(np.cumsum(self.seeds) - self.seeds, self.seeds)
        table = pd.DataFrame({"params": self.params[cell], "examples": self.examples[cell]})
        table = table.assign(mixture=mixture, seed=np.arange(len(cell)) - first)
        table = table.assign(flops=self.flops[cell], loss=np.exp(log_losses))
        if self.pretrained:  # the analysis allows for runs that start from the same model
            table["trunk"] = table["params"].astype(str) + "/" + table["seed"].astype(str)
        return table

    def with_another_seed(self) -> "Grid":
        """The grid with one more seed in every cell."""
        return replace(self, seeds=self.seeds + 1)

    def with_cells(self, params: ArrayLike, examples: ArrayLike) -> "Grid":
        """The grid with further cells, repeated like the median one, at FLOPs by power laws."""
        sizes = np.asarray(params, dtype=float), np.asarray(examples, dtype=float)
        n, d = (np.atleast_1d(v) for v in np.broadcast_arrays(*sizes))
        seeds = np.full(len(n), int(np.median(self.seeds)))
        return replace(
            self,
            params=np.concatenate([self.params, n]),
            examples=np.concatenate([self.examples, d]),
            seeds=np.concatenate([self.seeds, seeds]),
            flops=np.concatenate([self.flops, self.cost.flops(n, d)]),
            pretraining_flops=np.concatenate([self.pretraining_flops, self._trunks(n)]),
        )

    def _trunks(self, params: Array) -> Array:
        """Pretraining FLOPs of model sizes; those of the plan where it has the size."""
        if not self.pretrained:
            return np.zeros(len(params))
        x, y = np.log(self.params), np.log(self.pretraining_flops)
        slope, height = np.polyfit(x - x.mean(), y, 1)
        known = dict(zip(self.params, self.pretraining_flops, strict=True))
        fitted = np.exp(height + slope * (np.log(params) - x.mean()))
        return np.array([known.get(n, f) for n, f in zip(params, fitted, strict=True)])


def make_grid(
    params: ArrayLike,
    examples: ArrayLike,
    seeds: ArrayLike = 1,
    flops: ArrayLike | None = None,
    pretraining_flops: ArrayLike = 0.0,
    mixtures: Sequence[str] = ("a", "b"),
) -> Grid:
    """Return a grid from one row per cell; each argument is (k,) or one number.

    Raises FitError where the numbers are no grid, or the grid has too few cells for a law.

    Args:
        seeds: Runs of each cell.
        flops: Of one run of each cell; by default 6 x params x examples.
        pretraining_flops: Of pretraining a model of the cell's size once for each mixture that
            needs it, all mixtures together.
    """
    try:
        n, d = (np.asarray(sizes, dtype=float).ravel() for sizes in (params, examples))
        cost = 6 * n * d if flops is None else np.asarray(flops, dtype=float)
        columns = np.broadcast_arrays(n, d, np.asarray(seeds, dtype=float), cost)
        trunk = np.broadcast_to(np.asarray(pretraining_flops, dtype=float), n.shape)
    except ValueError as error:
        raise FitError(f"the planned grid: {error}; give every cell one value of each") from error
    if not (columns[2] == np.round(columns[2])).all():
        raise FitError("the planned grid: seeds must be whole numbers")
    n, d, repeats, cost = columns
    return Grid(n, d, repeats.astype(np.int64), cost, trunk, tuple(mixtures))


def grid_of(runs: pd.DataFrame) -> Grid:
    """Return the grid of a clean run table: the cells of the mixture that has most, for all."""
    cells = runs.groupby("mixture", sort=False)["cell"].nunique()
    mine = runs[runs["mixture"] == cells.idxmax()].groupby("cell")
    first = mine.first()
    return make_grid(
        params=first["params"],
        examples=first["examples"],
        seeds=mine.size(),
        flops=first["flops"] if "flops" in runs else None,
        mixtures=[str(name) for name in cells.index],
    )


def _check(grid: Grid) -> None:
    for name in ("params", "examples", "flops", "seeds", "pretraining_flops"):
        values, least = getattr(grid, name), -1 if name == "pretraining_flops" else 0
        bad = values[~(np.isfinite(values) & (values > least))]
        if len(bad):
            raise FitError(f"the planned grid: {name} is {bad[0]:g}, needs a number above zero")
    if not len(grid.params):
        raise FitError("the planned grid has no cells")
    if not grid.mixtures:
        raise FitError("the planned grid has no mixtures")
    twice = next((m for i, m in enumerate(grid.mixtures) if m in grid.mixtures[:i]), None)
    if twice is not None:
        raise FitError(f"the planned grid lists mixture {twice!r} twice; keep one")
    if len(set(zip(grid.params, grid.examples, strict=True))) < len(grid.params):
        raise FitError("the planned grid lists a cell twice; raise its seeds instead")
