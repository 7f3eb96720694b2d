"""How to spend a budget: model size, data size and mixture, with what the answer rests on.

The optimum follows from the fitted law, the cost model and the prices (`jetscale.scaling.budget`),
for the fit and for each bootstrap replicate; intervals are those of the replicates. They hold for
the expected loss if the law holds at the budget: outside the compute range of the runs that is an
extrapolation, and the answer says by how many decades. A law whose parameters are not identified
still answers, with intervals as wide as that implies and a warning.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from jetscale.errors import FitError, unknown
from jetscale.scaling import bootstrap
from jetscale.scaling.budget import Budget, flops_budget
from jetscale.scaling.cost import CostModel, pretraining
from jetscale.scaling.engine.laws import Array, Optimum
from jetscale.scaling.estimate import Estimate, percentile_interval, plain_number
from jetscale.scaling.fitted import MixtureFit, StudyFit, two_terms


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredCell:
    """A cell that was run; no law is involved."""

    params: float
    examples: float
    flops: float
    loss: float
    """Mean over seeds; the lowest of many cells, so a little optimistic."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MixtureAllocation:
    """The best run of one mixture at the budget."""

    mixture: str
    params: Estimate
    examples: Estimate
    loss: Estimate
    """Expected test loss of that run."""
    flops: float
    """Compute of that run."""
    jets_share: float
    """Share of the budget spent on jets; 0 where they have no price."""
    jets_free: Optimum | None
    """N*, D* and L* of the same budget if jets had no price; None where they have none."""
    best_share: float
    """Share of the replicates in which no other mixture has a lower loss; 1 where it is alone."""
    replicates_undefined: int
    """Replicates without a usable optimum: a size below one or not finite."""
    measured: MeasuredCell | None
    """The measured cell of lowest loss within the budget; None where all cost more."""
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "params": self.params.to_dict(),
            "examples": self.examples.to_dict(),
            "loss": self.loss.to_dict(),
            "flops": plain_number(self.flops),
            "jets_share": plain_number(self.jets_share),
            "jets_free": None
            if self.jets_free is None
            else {name: plain_number(float(x)) for name, x in self.jets_free._asdict().items()},
            "best_share": self.best_share,
            "replicates_undefined": self.replicates_undefined,
            "measured": None if self.measured is None else asdict(self.measured),
            "warnings": list(self.warnings),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """The answer for one budget."""

    budget: Budget
    ladder: tuple[float, ...]
    """Model sizes the answer was chosen from; empty where any size will do."""
    mixtures: Mapping[str, MixtureAllocation]
    best: str
    """Mixture with the lowest predicted loss."""
    paired: bool
    """True where all mixtures were run on the same cells, so that replicates are paired."""
    decades_beyond: float
    """How far the best run lies above the measured compute; below if negative, else 0."""
    convention: str
    """The compute convention the budget refers to."""
    interval: str
    """How the intervals were made."""
    not_fitted: Mapping[str, str]
    """Mixtures left out, and why."""
    warnings: tuple[str, ...]
    """What the budget leaves out."""

    @property
    def budget_flops(self) -> float:
        """FLOPs the budget buys where no jet is paid for."""
        return self.budget.flops

    @property
    def best_identified(self) -> bool:
        """True where the laws behind the choice of mixture are all identified."""
        return all(mixture.loss.identified for mixture in self.mixtures.values())

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; a mixture looked at alone has no share of wins."""
        alone = {"best_share": None} if len(self.mixtures) == 1 else {}
        return {
            "budget_flops": self.budget_flops,
            "budget": self.budget.to_dict(),
            "ladder": list(self.ladder) or None,
            "mixtures": {name: value.to_dict() | alone for name, value in self.mixtures.items()},
            "best": self.best,
            "best_share": None if alone else self.mixtures[self.best].best_share,
            "best_identified": self.best_identified,
            "replicates_paired": self.paired,
            "decades_beyond": self.decades_beyond,
            "not_fitted": dict(self.not_fitted),
            "compute": self.convention,
            "interval": self.interval,
            "warnings": list(self.warnings),
        }


def check_question(budget: float | Budget, mixture: str | None, names: Iterable[str]) -> None:
    """Refuse what no fit can answer; worth calling before one is made.

    Raises
    ------
    FitError
        The budget is not a finite number above zero, or no mixture has that name.
    """
    _as_budget(budget)
    known = list(dict.fromkeys(names))
    if mixture is not None and mixture not in known:
        raise FitError(unknown("mixture", mixture, known))


def _as_budget(budget: float | Budget) -> Budget:
    return budget if isinstance(budget, Budget) else flops_budget(budget)


def allocate(
    fits: StudyFit,
    budget: float | Budget,
    mixture: str | None = None,
    ladder: Sequence[float] = (),
) -> Allocation:
    """Best model size, data size and loss within a budget.

    N* and D* minimise L(N, D) at C(N, D) = k N^p D = C: N*^(alpha + p beta) =
    alpha A / (p beta B) (C / k)^beta (arXiv 2203.15556, equation 4, for p = 1); where jets have a
    price, at u C(N, D) + v D = the budget, see `jetscale.scaling.budget`.

    Parameters
    ----------
    fits
        What `fit` returned.
    budget
        Of one training run: FLOPs in the convention of ``fits.cost``, or a `Budget` in other units.
    mixture
        Answer for this mixture alone; by default for all.
    ladder
        Model sizes to choose from; by default any.

    Raises
    ------
    FitError
        The budget is not a finite number above zero, the mixture has no fit, or the law is not one
        of N and D alone.
    """
    two_terms(fits.options, "allocation")
    budget, sizes = _as_budget(budget), np.array(sorted(ladder), dtype=float)
    check_question(budget, mixture, fits.runs["mixture"])
    if mixture is not None and mixture in fits.not_fitted:
        raise FitError(f"mixture {mixture!r} was not fitted: it {fits.not_fitted[mixture]}")
    chosen = {n: f for n, f in fits.mixtures.items() if mixture in (None, n)}
    answers = [
        (
            _best(budget, f.theta, fits.cost, sizes),
            _best(budget, f.replicates.theta, fits.cost, sizes),
            _best(replace(budget, per_example=0.0), f.theta, fits.cost, sizes)
            if budget.per_example  # what the price of jets moves the optimum away from
            else None,
        )
        for f in chosen.values()
    ]
    losses = [draws.loss for _, draws, _ in answers]
    winners = np.argmin(losses, axis=0)
    shares = [float(np.mean(winners == i)) for i in range(len(chosen))]
    found = {
        name: _mixture(fitted, budget, fits, answer, share)
        for (name, fitted), answer, share in zip(chosen.items(), answers, shares, strict=True)
    }
    cells = [tuple(fitted.replicates.cells) for fitted in chosen.values()]
    best = min(found, key=lambda name: found[name].loss.value)
    return Allocation(
        budget=budget,
        ladder=tuple(sizes.tolist()),
        mixtures=found,
        best=best,
        paired=len(set(cells)) == 1,
        decades_beyond=_decades_beyond(fits, found[best].flops),
        convention=fits.cost.convention,
        interval=fits.interval,
        not_fitted=fits.not_fitted,
        warnings=tuple(line for name, line in pretraining(fits.runs).items() if name in chosen),
    )


def _decades_beyond(fits: StudyFit, flops: float) -> float:
    low = min(fitted.window["flops"][0] for fitted in fits.mixtures.values())
    high = max(fitted.window["flops"][1] for fitted in fits.mixtures.values())
    return max(0.0, math.log10(flops / high)) + min(0.0, math.log10(flops / low))


def _best(budget: Budget, theta: Array, cost: CostModel, sizes: Array) -> Optimum:
    return budget.among(theta, cost, sizes) if len(sizes) else budget.optimum(theta, cost)


def _mixture(
    fitted: MixtureFit,
    budget: Budget,
    fits: StudyFit,
    answer: tuple[Optimum, Optimum, Optimum | None],
    share: float,
) -> MixtureAllocation:
    cost, (point, draws, free) = fits.cost, answer
    usable = np.isfinite(draws.params) & np.isfinite(draws.examples)
    usable &= (draws.params >= 1) & (draws.examples >= 1)
    reason = bootstrap.not_identified(fitted.parameters)
    undefined = int((~usable).sum())
    flops = float(cost.flops(point.params, point.examples))
    estimates = [
        _estimate(float(value), values, fitted.n_cells, reason)
        for value, values in zip(point, draws, strict=True)
    ]
    return MixtureAllocation(
        mixture=fitted.mixture,
        params=estimates[0],
        examples=estimates[1],
        loss=estimates[2],
        flops=flops,
        jets_share=budget.per_example * float(point.examples) / budget.amount,
        jets_free=free,
        best_share=share,
        replicates_undefined=undefined,
        measured=_measured(fits.runs[fits.runs["mixture"] == fitted.mixture], budget, cost),
        warnings=tuple(_warnings(fitted, flops, point, undefined, reason)),
    )


def _measured(runs: pd.DataFrame, budget: Budget, cost: CostModel) -> MeasuredCell | None:
    """The cell of lowest mean loss among those the budget pays for."""
    params, examples = (runs[name].to_numpy(dtype=float) for name in ("params", "examples"))
    spent = runs["flops"].to_numpy(dtype=float) if cost.measured else cost.flops(params, examples)
    affordable = budget.spent(spent, examples) <= budget.amount
    within = runs.assign(flops=spent).loc[affordable]
    if within.empty:
        return None
    cells = within.groupby(["params", "examples"], as_index=False)[["flops", "loss"]].mean()
    best = cells.sort_values("loss", kind="stable").iloc[0]
    return MeasuredCell(**{name: float(best[name]) for name in MeasuredCell.__slots__})


def _estimate(value: float, draws: Array, cells: int, reason: str) -> Estimate:
    low, high = percentile_interval(draws, cells)
    return Estimate(value=value, low=low, high=high, reason=reason)


def _warnings(
    fitted: MixtureFit, flops: float, point: Optimum, undefined: int, reason: str
) -> list[str]:
    sizes = {"flops": flops, "params": float(point.params), "examples": float(point.examples)}
    beyond = [
        f"{shown} {distance}"
        for (name, value), shown in zip(sizes.items(), ("budget", "N*", "D*"), strict=True)
        if (distance := _beyond(value, *fitted.window[name]))
    ]
    lines = [f"extrapolates: {', '.join(beyond)} the measured runs"] if beyond else []
    if reason:
        lines.append(f"{reason} at this scale")
    if undefined:
        lines.append(
            f"{undefined} of {len(fitted.replicates.theta)} bootstrap replicates have no usable "
            "optimum (a size below one or not finite)"
        )
    return [f"{fitted.mixture}: {line}" for line in lines]


def _beyond(value: float, low: float, high: float) -> str:
    """How far a size lies outside a measured range, in words; empty inside."""
    if low <= value <= high:
        return ""
    if value > high:
        return f"{math.log10(value / high):.2f} decades above"
    return f"{math.log10(low / value) if value else math.inf:.2f} decades below"
