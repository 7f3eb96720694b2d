"""The best run of a mixture as its law sees it, with the sizes that are nearly as good."""

import math
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from jetscale.scaling import bootstrap
from jetscale.scaling.allocation import sense
from jetscale.scaling.allocation.measured import measured_cell
from jetscale.scaling.allocation.values import Band, MixtureAllocation, SmallerModel
from jetscale.scaling.budget import Budget
from jetscale.scaling.cost import CostModel
from jetscale.scaling.engine.laws import Array, Optimum
from jetscale.scaling.estimate import Estimate
from jetscale.scaling.fitted import MixtureFit
from jetscale.scaling.searched import rate_cost

_SMALLEST = 1 + 1e-6  # a size of one parameter or one example is the end of a search, no optimum
NOTABLE = 1.1  # times beyond the measured runs that are worth a word
_WITHIN = 0.01  # of the best loss
_SHARES = (1 / 3, 1 / 10)  # of the best size, for a model that is cheaper to run
_GRID = np.log(10) * np.linspace(-3, 3, 1201)  # of log N about the optimum


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """One mixture, its law, and what there is to spend."""

    fitted: MixtureFit
    runs: pd.DataFrame
    budget: Budget
    cost: CostModel
    sizes: Array  # of the ladder; none where any size will do
    rate: float  # FLOP/s; nan: unknown

    def best(self, theta: Array, priced: bool = True) -> Optimum:
        """Return the best run of laws theta (..., P)."""
        paid = self.budget if priced else replace(self.budget, per_example=0.0)
        law, held = self.fitted.law, self.fitted.law.held(self.runs)
        if len(self.sizes):
            return paid.best_of(theta, self.cost, self.sizes, law, **held)
        return paid.optimum(theta, self.cost, law, **held)

    def losses(self, params: float, examples: float) -> Array:
        """(1 + R,) expected losses of a run, misfit of the law included: best guess, replicates."""
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            held = self.fitted.law.held(self.runs)
            return self.fitted.losses(params, examples, **held)

    def hours(self, flops: float) -> float | None:
        """Return hours of one device for a run of so many FLOPs."""
        return flops / self.rate / 3600 if math.isfinite(self.rate) else None


def answer(asked: Question, losses: Array, share: float | None) -> MixtureAllocation:
    """Return the answer of one mixture, given the expected losses (1 + R,) of its best run."""
    fitted, cost, budget = asked.fitted, asked.cost, asked.budget
    point, draws = asked.best(fitted.theta), asked.best(fitted.replicates.theta)
    usable = np.isfinite(draws.params) & np.isfinite(draws.examples)
    usable &= (draws.params >= _SMALLEST) & (draws.examples >= _SMALLEST)
    undefined = int((~usable).sum())
    # further parameters of a law move the optimum as E, alpha and beta do
    reason = bootstrap.not_identified(fitted.parameters, fitted.law)
    with np.errstate(invalid="ignore"):  # nan where N* has no bound
        flops = float(cost.flops(point.params, point.examples))
    of = ((point.params, draws.params), (point.examples, draws.examples), (losses[0], losses[1:]))
    params, examples, expected = (Estimate.of(p, d, fitted.n_cells, reason) for p, d in of)
    sizes = {"params": float(point.params), "examples": float(point.examples)}
    none = sense.no_optimum(sizes, fitted.window)
    if none:
        params, examples, expected = (
            replace(e, reason=e.reason or none) for e in (params, examples, expected)
        )
    away = sense.beyond(flops, fitted.window["flops"])
    free = bool(budget.per_example)
    return MixtureAllocation(
        mixture=fitted.mixture,
        params=sense.bounded(params, fitted.window["params"], away),
        examples=sense.bounded(examples, fitted.window["examples"], away),
        loss=sense.bounded_loss(expected),
        by_law=_by_law(float(point.loss), float(losses[0])),
        flops=flops,
        hours=asked.hours(flops),
        no_optimum=none,
        data_share=budget.per_example * sizes["examples"] / budget.amount,
        # what the price of examples moves the optimum away from
        data_free=asked.best(fitted.theta, priced=False) if free else None,
        best_share=share,
        replicates_undefined=undefined,
        recipe=rate_cost(asked.runs),
        measured=measured_cell(asked.runs, budget, cost),
        ladder_edge=_edge(asked, sizes["params"]),
        band=None if none else _band(asked, point, away),
        smaller=() if none else tuple(_smaller(asked, point, losses, part) for part in _SHARES),
        floors=(),
        rival=None,
        warnings=_warnings(asked, {"flops": flops} | sizes, reason or none, undefined),
    )


def _warnings(
    asked: Question, values: dict[str, float], reason: str, undefined: int
) -> tuple[str, ...]:
    """What a reader must know of this answer, each line with the name of the mixture."""
    fitted, parts = asked.fitted, []
    for (name, value), shown in zip(values.items(), ("budget", "N*", "D*"), strict=True):
        low, high = fitted.window[name]
        if value > high * NOTABLE:
            parts.append(f"{shown} {math.log10(value / high):.2f} decades above")
        elif value < low / NOTABLE:
            distance = math.log10(low / value) if value else math.inf
            parts.append(f"{shown} {distance:.2f} decades below")
    lines = [f"extrapolates: {', '.join(parts)} the measured runs"] if parts else []
    lines += [f"{reason} at this scale"] if reason else []
    if undefined:
        lines.append(
            f"{undefined} of {len(fitted.replicates.theta)} bootstrap replicates have no usable "
            "optimum (a size below one or not finite)"
        )
    if assumed := fitted.law.assumes(fitted.law.held(asked.runs)):
        lines.append(assumed)
    return tuple(f"{fitted.mixture}: {line}" for line in lines)


def _by_law(alone: float, expected: float) -> float | None:
    """The loss of the law alone, where the misfit makes much of it: it may end below the floor."""
    return alone if abs(alone / expected - 1) > _WITHIN else None


def _edge(asked: Question, chosen: float) -> str:
    """Return what lies beyond a ladder whose end is chosen; empty inside it."""
    sizes = asked.sizes
    if len(sizes) == 0 or sizes[0] < chosen < sizes[-1]:
        return ""
    without = float(replace(asked, sizes=np.empty(0)).best(asked.fitted.theta).params)
    if chosen == sizes[-1] and without > chosen:
        return f"the largest size of the ladder; a larger one, x{without / chosen:.2g}, is best"
    if chosen == sizes[0] and without < chosen:
        return f"the smallest size of the ladder; a smaller one, x{without / chosen:.2g}, is best"
    return ""


def _band(asked: Question, point: Optimum, away: float) -> Band:
    """Return the sizes within 1% of the best loss, each on all the data the budget buys."""
    params = np.exp(np.log(point.params) + _GRID)
    examples = asked.budget.examples(params, asked.cost)
    held = asked.fitted.law.held(asked.runs)
    losses = asked.fitted.curve(params, examples, **held)
    inside = np.flatnonzero(losses <= (1 + _WITHIN) * point.loss)
    first, last = int(inside[0]), int(inside[-1])
    n, d = (
        sense.bounds((float(sizes[first]), float(sizes[last])), asked.fitted.window[name], away)
        for name, sizes in (("params", params), ("examples", examples))
    )
    return Band(params=n, examples=d)


def _smaller(asked: Question, point: Optimum, losses: Array, share: float) -> SmallerModel:
    """Return a model of a share of the best size at the same budget."""
    params = float(share * point.params)
    examples = float(asked.budget.examples(params, asked.cost))
    found = asked.losses(params, examples)
    ratios = found / losses - 1
    rise = Estimate.of(ratios[0], ratios[1:], asked.fitted.n_cells)
    return SmallerModel(
        share=share, params=params, examples=examples, loss=float(found[0]), rise=rise
    )
