"""Which further runs sharpen the exponent a most per FLOP.

Near the truth a fit is weighted linear least squares: parameters have covariance (J' V^-1 J)^-1, J
the derivatives of log L and V the covariance of the cell means, noise^2 / seeds on its diagonal
and a smooth misfit. It ranks additions; as a width it means little where exponents are hardly
identified.
"""

import math
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from scipy import linalg

from jetscale.jsonable import json_key
from jetscale.scaling.engine.laws import Array
from jetscale.scaling.estimate import Z
from jetscale.scaling.power.grid import Grid
from jetscale.scaling.power.truth import Truth
from jetscale.words import short

_SMALLEST = 10  # no smaller model or data set is suggested
_SINGULAR = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class Extra:
    """One addition to the grid."""

    what: str
    runs: int  # added fine-tuning runs, all mixtures together
    flops: float  # added FLOPs, pretraining included, all mixtures together
    share: float = field(metadata=json_key("share_of_plan"))  # added FLOPs as a share of the plan
    half_width: float  # 95% half-width of a with the addition, in the linear approximation
    reduction: float  # share of the half-width that the addition removes
    json_also: ClassVar[tuple[str, ...]] = ("gain",)

    @property
    def gain(self) -> float:
        """Reduction per added compute: percent of the half-width per percent of the plan."""
        return self.reduction / self.share


def deviation(grid: Grid, truth: Truth, window: Grid | None = None) -> float:
    """Standard deviation of the fitted a in the linear approximation; infinite if undetermined.

    The misfit is that over the cells of the ``window``, by default the grid.
    """
    _, A, B, alpha, beta, *more = truth.theta
    gamma = sum(more)
    x, y = np.log(grid.params), np.log(grid.examples)
    by_params, by_examples = A * np.exp(-alpha * x), B * np.exp(gamma * x - beta * y)
    columns = [np.ones_like(x), by_params, by_examples]  # heights in logs, at the mean size
    columns += [-(x - x.mean()) * by_params, -(y - y.mean()) * by_examples]
    columns += [(x - x.mean()) * by_examples] * len(more)
    J = np.column_stack(columns) / truth.loss(grid.params, grid.examples)[:, None]
    smooth = truth.misfit * grid.smooth(window)
    covariance = np.diag(truth.noise**2 / grid.seeds) + smooth @ smooth.T
    J = linalg.solve_triangular(np.linalg.cholesky(covariance), J, lower=True)
    scale = np.linalg.norm(J, axis=0)
    _, sizes, V = np.linalg.svd(J / scale, full_matrices=False)
    if sizes[-1] < _SINGULAR * sizes[0]:
        return math.inf
    slope = np.array([0, 0, 0, -beta, alpha + gamma, *[-beta for _ in more]])
    slope = slope / (alpha + gamma + grid.cost.p * beta) ** 2 / scale
    return float(np.linalg.norm((V @ slope) / sizes))


def half_width(grid: Grid, truth: Truth) -> float:
    """Half-width of the 95% interval of a in the linear approximation."""
    return Z * deviation(grid, truth)


def narrowed(grid: Grid, larger: Grid, truth: Truth) -> float:
    """Width of a on the larger grid over that on the grid.

    Both have the misfit over the larger one: otherwise a cell far outside would seem to make the
    law smoother everywhere.
    """
    before = deviation(grid, truth, larger)
    return deviation(larger, truth, larger) / before if math.isfinite(before) else 0.0


def candidates(grid: Grid) -> dict[str, Grid]:
    """Additions by name: a seed, a model size, a data size, or one cell beyond a corner."""
    sizes, data = np.unique(grid.params), np.unique(grid.examples)
    more_sizes, more_data = further(sizes), further(data)
    found = {"one more seed everywhere": grid.with_another_seed()}
    for kind, size in more_sizes.items():
        found[f"{kind} N = {short(size)}, every D"] = grid.with_cells(size, data)
    for kind, size in more_data.items():
        found[f"{kind} D = {short(size)}, every N"] = grid.with_cells(sizes, size)
    for n in (more_sizes.get("smaller"), more_sizes.get("larger")):
        for d in (more_data.get("smaller"), more_data.get("larger")):
            if n is not None and d is not None:
                found[f"one cell N = {short(n)}, D = {short(d)}"] = grid.with_cells(n, d)
    return found


def rank(grid: Grid, truth: Truth) -> tuple[Extra, ...]:
    """All additions, the largest gain per FLOP first."""
    now, found = half_width(grid, truth), []
    for what, larger in candidates(grid).items():
        added = larger.total - grid.total
        less = max(0.0, round(1 - narrowed(grid, larger, truth), 9))  # no rounding taken for gain
        new = Extra(
            what=what,
            runs=len(grid.mixtures) * int(larger.seeds.sum() - grid.seeds.sum()),
            flops=added,
            share=added / grid.total,
            half_width=now * (1 - less),
            reduction=less,
        )
        found.append(new)
    return tuple(sorted(found, key=lambda extra: -extra.gain))


def further(sizes: Array) -> dict[str, float]:
    """One step below the smallest, one above the largest, and the middle of the widest gap."""
    logs = np.log(sizes)
    steps = np.diff(logs)
    widest = int(steps.argmax())
    places = logs[0] - steps[0], logs[widest] + steps[widest] / 2, logs[-1] + steps[-1]
    rounded = [float(round(math.exp(place))) for place in places]
    found = zip(("smaller", "in-between", "larger"), rounded, strict=True)
    return {kind: size for kind, size in found if size >= _SMALLEST and size not in sizes}
