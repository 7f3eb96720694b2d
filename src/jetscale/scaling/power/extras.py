"""Which further runs sharpen the exponent a most per FLOP.

No refits are needed to rank them. Near the truth a fit is weighted linear least squares, so the
covariance of the parameters is (J' W J)^-1 with J the derivatives of log L by the parameters and W
one over the variance of each cell's mean, noise^2 / seeds + misfit^2; the deviation of a follows
by its derivatives. Where exponents are hardly identified the linear width means little (bounds
keep a between 0 and 1); the ranking of additions is what it is for.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from jetscale.scaling.engine.laws import Array
from jetscale.scaling.estimate import CONFIDENCE, plain_number
from jetscale.scaling.power.grid import Grid
from jetscale.scaling.power.truth import Truth

_SMALLEST = 10
"""No smaller model or data set is suggested."""
_SINGULAR = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class Extra:
    """One addition to the grid."""

    what: str
    runs: int
    """Added fine-tuning runs, all mixtures together."""
    flops: float
    """Added FLOPs, pretraining included, all mixtures together."""
    share: float
    """Added FLOPs as a share of the plan."""
    half_width: float
    """95% half-width of a with the addition, in the linear approximation."""
    reduction: float
    """Share of the half-width that the addition removes."""

    @property
    def gain(self) -> float:
        """Reduction per added compute: percent of the half-width per percent of the plan."""
        return self.reduction / self.share

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "what": self.what,
            "runs": self.runs,
            "flops": self.flops,
            "share_of_plan": self.share,
            "half_width": plain_number(self.half_width),
            "reduction": plain_number(self.reduction),
            "gain": plain_number(self.gain),
        }


def deviation(grid: Grid, truth: Truth) -> float:
    """Standard deviation of the fitted a in the linear approximation; infinite if undetermined."""
    E, A, B, alpha, beta = truth.theta
    x, y = np.log(grid.params), np.log(grid.examples)
    by_params, by_examples = A * np.exp(-alpha * x), B * np.exp(-beta * y)
    columns = [np.ones_like(x), by_params, by_examples]  # heights in logs, at the mean size
    columns += [-(x - x.mean()) * by_params, -(y - y.mean()) * by_examples]
    weights = 1 / (truth.noise**2 / grid.seeds + truth.misfit**2)
    J = np.column_stack(columns) / (E + by_params + by_examples)[:, None]
    J *= np.sqrt(weights)[:, None]
    scale = np.linalg.norm(J, axis=0)
    _, sizes, V = np.linalg.svd(J / scale, full_matrices=False)
    if sizes[-1] < _SINGULAR * sizes[0]:
        return math.inf
    total = alpha + grid.cost.p * beta
    slope = np.array([0, 0, 0, -beta, alpha]) / total**2 / scale
    return float(np.linalg.norm((V @ slope) / sizes))


def half_width(grid: Grid, truth: Truth) -> float:
    """Half-width of the 95% interval of a in the linear approximation."""
    return float(stats.norm.ppf((1 + CONFIDENCE) / 2)) * deviation(grid, truth)


def candidates(grid: Grid) -> dict[str, Grid]:
    """Additions by name: a seed, a model size, a data size, or one cell beyond a corner."""
    sizes, data = np.unique(grid.params), np.unique(grid.examples)
    more_sizes, more_data = _further(sizes), _further(data)
    found = {"one more seed everywhere": grid.repeated()}
    for kind, size in more_sizes.items():
        found[f"{kind} N = {_short(size)}, every D"] = grid.extended(size, data)
    for kind, size in more_data.items():
        found[f"{kind} D = {_short(size)}, every N"] = grid.extended(sizes, size)
    for n in (more_sizes.get("smaller"), more_sizes["larger"]):
        for d in (more_data.get("smaller"), more_data["larger"]):
            if n is not None and d is not None:
                found[f"one cell N = {_short(n)}, D = {_short(d)}"] = grid.extended(n, d)
    return found


def rank(grid: Grid, truth: Truth) -> tuple[Extra, ...]:
    """All additions, the largest gain per FLOP first."""
    now = half_width(grid, truth)
    found = [_extra(grid, truth, now, *item) for item in candidates(grid).items()]
    return tuple(sorted(found, key=lambda extra: -extra.gain))


def _extra(grid: Grid, truth: Truth, now: float, what: str, larger: Grid) -> Extra:
    after, added = half_width(larger, truth), larger.total - grid.total
    return Extra(
        what=what,
        runs=len(grid.mixtures) * int(larger.seeds.sum() - grid.seeds.sum()),
        flops=added,
        share=added / grid.total,
        half_width=after,
        reduction=1 - after / now if after < now else 0.0,
    )


def _further(sizes: Array) -> dict[str, float]:
    """One step below the smallest, one above the largest, and the middle of the widest gap."""
    logs = np.log(sizes)
    steps = np.diff(logs)
    widest = int(steps.argmax())
    found = {
        "smaller": math.exp(logs[0] - steps[0]),
        "in-between": math.exp(logs[widest] + steps[widest] / 2),
        "larger": math.exp(logs[-1] + steps[-1]),
    }
    found = {kind: float(round(size)) for kind, size in found.items()}
    return {k: v for k, v in found.items() if v >= _SMALLEST and v not in sizes}


def _short(value: float) -> str:
    """A size in three digits: 656, 2.59k, 1.2M."""
    for factor, suffix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= factor:
            return f"{value / factor:.3g}{suffix}"
    return f"{value:.0f}"
