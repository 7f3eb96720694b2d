"""Fits the scaling law to each mixture of a run table: the best values and all that qualifies them.

The objective is the literature's: the sum of Huber_delta of log residuals. delta separates noise
from outliers, so by default it is 2.5 times the spread between seeds of the same cell; a table
without repeated cells cannot tell the two apart and gets the customary 1e-3 (arXiv 2203.15556).
Whichever it is, the output says so, because published values differ by more than their errors with
that choice.

A mixture with too few cells is left out with the reason, and the others are still fitted.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from jetscale.errors import FitError
from jetscale.scaling import bootstrap, laws
from jetscale.scaling.bootstrap import Replicates
from jetscale.scaling.cost import CostModel, cost_model, pretraining
from jetscale.scaling.estimate import Estimate
from jetscale.scaling.laws import PARAMETERS, Array
from jetscale.scaling.profile import GRID, Centred, profile, unknowns
from jetscale.scaling.solver import Design, Solution, polish, slope
from jetscale.scaling.table import validate

CUSTOMARY_DELTA = 1e-3
_NOISE_WIDTHS = 2.5
_BLOCK = 6
"""The point fit is polished from the best start in each block of 6 x 6 grid points."""
_SAME_OPTIMUM = 1e-6
_SIZES_NEEDED = 3
_CELLS_NEEDED = len(PARAMETERS) + 1
_REPLICATES_NEEDED = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class MixtureFit:
    """The law of one mixture, its frontier and how they were obtained."""

    mixture: str
    n_runs: int
    n_cells: int
    objective: str
    """What was minimised."""
    objective_value: float
    delta: float
    """Width of the quadratic zone of the Huber loss, in log loss."""
    parameters: Mapping[str, Estimate]
    """E, A, B, alpha, beta."""
    frontier: Mapping[str, Estimate]
    """params_exponent and data_exponent."""
    starts: int
    """Grid points tried."""
    starts_polished: int
    """Of them, how many were followed to an optimum."""
    starts_at_optimum: int
    """Of those, how many ended at the best one."""
    converged: bool
    gradient_norm: float
    """Largest derivative of the objective by an unknown that is not at a bound."""
    condition: float
    """Condition number of the scaled Jacobian at the optimum; 1e3 and more means collinear."""
    at_bounds: tuple[str, ...]
    """Parameters at a bound in the fit itself."""
    worst_residual: float
    """Largest relative distance of a run from the law."""
    replicates_degenerate: int
    """Bootstrap replicates that lost a term of the law or did not converge."""
    window: Mapping[str, tuple[float, float]]
    """Smallest and largest params, examples, loss and flops of the runs."""
    warnings: tuple[str, ...]
    theta: Array = field(repr=False, compare=False)
    """(5,) fitted parameters, in the order of `laws.PARAMETERS`."""
    replicates: Replicates = field(repr=False, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        plain = {
            name: getattr(self, name)
            for name in self.__slots__
            if name not in ("mixture", "theta", "replicates", "parameters", "frontier")
        }
        estimates = {
            "parameters": {name: value.to_dict() for name, value in self.parameters.items()},
            "frontier": {name: value.to_dict() for name, value in self.frontier.items()},
        }
        lists = {
            "window": {name: list(ends) for name, ends in self.window.items()},
            "at_bounds": list(self.at_bounds),
            "warnings": list(self.warnings),
        }
        return plain | estimates | lists


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyFit:
    """The laws of all mixtures of a run table."""

    mixtures: Mapping[str, MixtureFit]
    not_fitted: Mapping[str, str]
    """Mixtures left out, and why."""
    cost: CostModel
    delta: float
    replicates: int
    seed: int
    warnings: tuple[str, ...]
    runs: pd.DataFrame = field(repr=False, compare=False)
    """The checked run table."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "mixtures": {name: fitted.to_dict() for name, fitted in self.mixtures.items()},
            "not_fitted": dict(self.not_fitted),
            "law": laws.FORMULA,
            "compute": self.cost.to_dict(),
            "interval": bootstrap.METHOD,
            "replicates": self.replicates,
            "seed": self.seed,
            "warnings": list(self.warnings),
        }


def fit(
    frame: pd.DataFrame, replicates: int = 1000, seed: int = 0, delta: float | None = None
) -> StudyFit:
    """Fit L(N, D) and the compute-optimal frontier of every mixture of a run table.

    Parameters
    ----------
    frame
        A run table, see `table.validate`.
    replicates
        Bootstrap replicates per mixture, at least 50.
    seed
        Seed of the bootstrap.
    delta
        Huber width in log loss; by default chosen from the spread between seeds.

    Raises
    ------
    TableError
        The table is unusable.
    FitError
        No mixture has enough cells, or an option cannot be used.
    """
    if replicates < _REPLICATES_NEEDED:
        raise FitError(f"replicates is {replicates}, needs at least {_REPLICATES_NEEDED}")
    if delta is not None and not (math.isfinite(delta) and delta > 0):
        raise FitError(f"delta is {delta}, needs a finite number above zero, e.g. 1e-3")
    runs = validate(frame)
    groups = {str(name): part for name, part in runs.groupby("mixture", sort=False)}
    not_fitted = {name: why for name, part in groups.items() if (why := shortage(part))}
    if len(not_fitted) == len(groups):
        raise FitError("; ".join(f"mixture {name!r} {why}" for name, why in not_fitted.items()))
    cost = cost_model(runs)
    width = huber_width(runs) if delta is None else delta
    fitted = {
        name: fit_mixture(name, part, cost, width, replicates, seed)
        for name, part in groups.items()
        if name not in not_fitted
    }
    warnings = [f"{name}: not fitted: {why}" for name, why in not_fitted.items()]
    warnings += [cost.warning] if cost.warning else []
    return StudyFit(
        mixtures=fitted,
        not_fitted=not_fitted,
        cost=cost,
        delta=width,
        replicates=replicates,
        seed=seed,
        warnings=(*warnings, *pretraining(runs).values()),
        runs=runs,
    )


def shortage(runs: pd.DataFrame) -> str:
    """What the runs of a mixture lack for a fit, or an empty string."""
    for column in ("params", "examples"):
        count = runs[column].nunique()
        if count < _SIZES_NEEDED:
            values = f"{count} value{'s' if count > 1 else ''} of {column}"
            return f"has {values}, needs at least {_SIZES_NEEDED}"
    cells = runs["cell"].nunique()
    if cells < _CELLS_NEEDED:
        return f"has {cells} cells (params, examples), needs at least {_CELLS_NEEDED}"
    return ""


def huber_width(runs: pd.DataFrame) -> float:
    """2.5 times the pooled seed spread of log loss, at least 1e-3; 1e-3 where no cell repeats."""
    groups = np.log(runs["loss"]).groupby([runs["mixture"], runs["cell"]])
    freedom = int((groups.size() - 1).sum())
    if freedom == 0:
        return CUSTOMARY_DELTA
    squares = float(((np.log(runs["loss"]) - groups.transform("mean")) ** 2).sum())
    return max(CUSTOMARY_DELTA, _NOISE_WIDTHS * math.sqrt(squares / freedom))


def centred(runs: pd.DataFrame) -> Centred:
    """The runs in centred logs."""
    return Centred.of(*(runs[name].to_numpy() for name in ("params", "examples", "loss")))


def fit_mixture(
    name: str, runs: pd.DataFrame, cost: CostModel, delta: float, replicates: int, seed: int
) -> MixtureFit:
    """Point fit and bootstrap of one mixture with enough cells."""
    logs = centred(runs)
    ends = point_fit(logs, delta)
    best = int(ends.objective.argmin())
    theta, low, high = logs.theta(ends.q[best]), ends.low[best], ends.high[best]
    draws = bootstrap.resample(logs, runs["cell"].to_numpy(), delta, replicates, seed)
    lowest_loss = float(runs["loss"].min())
    parameters = bootstrap.parameter_estimates(theta, low, high, draws, lowest_loss)
    frontier = bootstrap.exponent_estimates(theta, draws, parameters, cost)
    near = ends.objective <= ends.objective[best] * (1 + _SAME_OPTIMUM) + 1e-15
    design, q = Design.single(logs), ends.q[best : best + 1]
    free = ~(low | high)
    pull = slope(design, q, logs.z[None], np.ones((1, len(runs))), delta)[0]
    residuals = np.expm1(np.log(runs["loss"]) - np.log(_law(theta, runs)))
    return MixtureFit(
        mixture=name,
        n_runs=len(runs),
        n_cells=len(draws.cells),
        objective=f"sum of Huber(delta={delta:.4g}) of log residuals",
        objective_value=float(ends.objective[best]),
        delta=delta,
        parameters=parameters,
        frontier=frontier,
        starts=len(GRID) ** 2,
        starts_polished=len(ends.q),
        starts_at_optimum=int(near.sum()),
        converged=bool(ends.converged[best]),
        gradient_norm=float(np.abs(pull[free]).max(initial=0.0)),
        condition=_condition(design, q, free),
        at_bounds=tuple(n for n, held in zip(PARAMETERS, low | high, strict=True) if held),
        worst_residual=float(np.abs(residuals).max()),
        replicates_degenerate=int(draws.degenerate.sum()),
        window=_window(runs, cost),
        warnings=tuple(_warnings(name, parameters, frontier, draws, bool(ends.converged[best]))),
        theta=theta,
        replicates=draws,
    )


def point_fit(runs: Centred, delta: float) -> Solution:
    """Optima reached from the best start in each block of the exponent grid, one row each."""
    one = np.ones((1, len(runs.x)))
    squares, linear = profile(runs, one)
    starts = []
    for i in range(0, len(GRID), _BLOCK):
        for j in range(0, len(GRID), _BLOCK):
            block = squares[0, i : i + _BLOCK, j : j + _BLOCK]
            row, column = np.unravel_index(block.argmin(), block.shape)
            at = i + int(row), j + int(column)
            starts.append(unknowns(linear[0][at], GRID[at[0]], GRID[at[1]]))
    q = np.stack(starts)
    return polish(Design.single(runs), q, runs.z[None], np.repeat(one, len(q), axis=0), delta)


def _law(theta: Array, runs: pd.DataFrame) -> Array:
    return laws.loss(theta, runs["params"].to_numpy(), runs["examples"].to_numpy())


def _condition(design: Design, q: Array, free: Any) -> float:
    """Condition number of the Jacobian of the unknowns not at a bound, columns of unit length."""
    J = design.jacobian(q)[1][0][:, free]
    norms = np.linalg.norm(J, axis=0)
    return float(np.linalg.cond(J / np.where(norms > 0, norms, 1.0))) if J.size else 1.0


def _window(runs: pd.DataFrame, cost: CostModel) -> dict[str, tuple[float, float]]:
    sizes = runs["params"].to_numpy(), runs["examples"].to_numpy()
    flops = runs["flops"] if "flops" in runs else pd.Series(cost.flops(*sizes))
    columns = {name: runs[name] for name in ("params", "examples", "loss")} | {"flops": flops}
    return {name: (float(values.min()), float(values.max())) for name, values in columns.items()}


def _warnings(
    name: str,
    parameters: Mapping[str, Estimate],
    frontier: Mapping[str, Estimate],
    draws: Replicates,
    converged: bool,
) -> list[str]:
    """What a reader must know before using the numbers; root causes only."""
    loose = [n for n in ("E", "alpha", "beta") if not parameters[n].identified]
    lines = [f"{name}: {n} not identified at this scale: {parameters[n].reason}" for n in loose]
    reasons = {e.reason for e in frontier.values()} - {"", bootstrap.not_identified(parameters)}
    lines += [f"{name}: frontier exponents not identified: {why}" for why in sorted(reasons)]
    lost = int(draws.degenerate.sum())
    if lost:
        lines.append(f"{name}: {lost} of {len(draws.theta)} bootstrap replicates are degenerate")
    if not converged:
        lines.append(f"{name}: the fit did not converge")
    return lines
