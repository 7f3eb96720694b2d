"""How to spend a budget: model size, data size and mixture, with what the answer rests on.

Intervals are those of the bootstrap replicates, for the expected loss. Outside the compute range
of the runs the answer is an extrapolation, and says by how many decades. What may be said is
decided here, once: `Allocation.choice` says whether a mixture may be called the best, and
`Allocation.answer` is the sentence; every output is made from these.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import ClassVar

import numpy as np
import pandas as pd

from jetscale.errors import FitError, unknown
from jetscale.jsonable import HIDDEN, json_key
from jetscale.scaling import bootstrap
from jetscale.scaling.budget import Budget, flops_budget
from jetscale.scaling.comparison.paired import PairedMixtures, pair_runs
from jetscale.scaling.cost import CostModel, pretraining
from jetscale.scaling.engine.laws import Array, Optimum
from jetscale.scaling.estimate import CONFIDENCE, Estimate
from jetscale.scaling.fitted import MixtureFit, StudyFit
from jetscale.scaling.searched import rate_cost, unlike
from jetscale.scaling.table import noun_of, seed_spread
from jetscale.words import loss, loss_interval, short, size

TOLD_APART = CONFIDENCE  # a mixture is the best where it is lowest in this share of the replicates
FAR = 2.0  # decades beyond the measured compute from which an extrapolation is called a guess
_NOTABLE = 0.05  # decades beyond the measured compute from which a sentence says so
_NOISE_WIDTHS = 1.96  # standard errors by which two measured losses must differ to be told apart
_SMALLEST = 1 + 1e-6  # a size of one parameter or one example is the end of a search, no optimum


class Choice(Enum):
    """Whether a mixture may be called the best at a budget."""

    ALONE = "alone"  # one mixture was asked about
    TOLD_APART = "told_apart"
    NOT_TOLD_APART = "not_told_apart"  # laws identified, and no mixture wins often enough
    NOT_IDENTIFIED = "not_identified"  # the runs do not determine the laws behind the choice


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredCell:
    """A cell that was run; no law is involved."""

    params: float
    examples: float
    flops: float
    loss: float  # mean over seeds; the lowest of many cells, so a little optimistic
    runs: int  # seeds


@dataclass(frozen=True, slots=True, kw_only=True)
class MixtureAllocation:
    """The best run of one mixture at the budget."""

    mixture: str
    params: Estimate
    examples: Estimate
    loss: Estimate  # expected test loss of that run
    flops: float  # compute of that run
    data_share: float  # share of the budget spent on examples; 0 where they have no price
    data_free: Optimum | None  # of the same budget if they had no price; None where they have none
    best_share: float | None  # share of replicates where it is lowest; None for one alone
    replicates_undefined: int  # replicates without a usable optimum: a size below one or not finite
    recipe: float | None  # what the learning rates may cost its runs, in loss; None where unknown
    measured: MeasuredCell | None  # the lowest within the budget; None where all cost more
    warnings: tuple[str, ...]

    def advice(self, exact_size: bool, noun: str) -> str:
        """Return the run to make, in words; sizes of a ladder are exact."""
        if min(self.params.value, self.examples.value) < _SMALLEST:
            return f"no usable optimum, less than one parameter or {noun}"
        params = (short if exact_size else size)(self.params.value)
        return (
            f"train {params} parameters on {size(self.examples.value)} {noun}s, "
            f"expect loss {loss_interval(self.loss)}"
        )


class _ByMixture(dict[str, MixtureAllocation]):
    def __missing__(self, name: str) -> MixtureAllocation:
        raise KeyError(unknown("mixture", name, self))


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """The answer for one budget; ``print(allocation)`` says it."""

    budget: Budget
    ladder: tuple[float, ...] | None  # sizes to choose from; None where any size will do
    mixtures: Mapping[str, MixtureAllocation]
    paired: bool = field(metadata=json_key("replicates_paired"))  # all run on the same cells
    decades_beyond: float  # best run above the measured compute; below if negative, else 0
    pairs: tuple[PairedMixtures, ...] = field(metadata=HIDDEN)  # none for a mixture alone
    noise: float = field(metadata=HIDDEN)  # spread of log loss between seeds; nan: no cell repeats
    convention: str = field(metadata=json_key("compute"))  # convention the budget refers to
    interval: str  # how the intervals were made
    noun: str  # what one example is called
    not_fitted: Mapping[str, str]  # mixtures left out, and why
    warnings: tuple[str, ...]  # what the budget leaves out
    json_also: ClassVar[tuple[str, ...]] = (
        *("budget_flops", "best", "best_share", "best_identified", "choice", "lowest"),
        *("measured_best", "guess", "answer"),
    )

    @property
    def budget_flops(self) -> float:
        """FLOPs the budget buys where no example is paid for."""
        return self.budget.flops

    @property
    def lowest(self) -> str:
        """Mixture with the lowest predicted loss, told apart or not."""
        return min(self.mixtures, key=lambda name: self.mixtures[name].loss.value)

    @property
    def best_share(self) -> float | None:
        """Share of the replicates in which `lowest` has the lowest loss; None for one alone."""
        return self.mixtures[self.lowest].best_share

    @property
    def best_identified(self) -> bool:
        """True where the laws behind the choice of mixture are all identified."""
        return all(mixture.loss.identified for mixture in self.mixtures.values())

    @property
    def choice(self) -> Choice:
        """Whether a mixture may be called the best."""
        if self.best_share is None:
            return Choice.ALONE
        if not self.best_identified:
            return Choice.NOT_IDENTIFIED
        return Choice.TOLD_APART if self.best_share >= TOLD_APART else Choice.NOT_TOLD_APART

    @property
    def best(self) -> str | None:
        """The best mixture; None where it is not told apart from the others."""
        return self.lowest if self.choice in (Choice.ALONE, Choice.TOLD_APART) else None

    @property
    def measured_best(self) -> str | None:
        """The mixture with the lowest measured loss; None where seeds differ by as much."""
        cells = sorted(self._measured().items(), key=lambda item: item[1].loss)
        if len(cells) < 2:
            return cells[0][0] if cells else None
        (name, first), (_, second) = cells[:2]
        error = self.noise * math.sqrt(1 / first.runs + 1 / second.runs)
        apart = math.log(second.loss / first.loss) > _NOISE_WIDTHS * error  # False for nan
        return name if apart else None

    @property
    def guess(self) -> bool:
        """True where the budget lies so far outside the measured compute that a law says little."""
        return abs(self.decades_beyond) > FAR

    @property
    def answer(self) -> str:
        """The answer in words: the law's where it is identified, else what was measured first."""
        found = self.mixtures[self.lowest]
        advice = found.advice(self.ladder is not None, self.noun)
        if self.choice is Choice.NOT_TOLD_APART:
            shown = ", ".join(f"{n} {m.best_share:.0%}" for n, m in self.mixtures.items())
            lead = (
                f"The mixtures are not told apart here: lowest loss in {shown} of replicates. For "
                f"mixture {self.lowest} and {self.budget}: {advice}."
            )
        elif found.loss.identified and self.best:
            lead = f"For mixture {self.best} and {self.budget}: {advice}."
        else:
            share = f", in {self.best_share:.0%} of replicates" if self.best_share else ""
            lead = (
                f"{self._measured_sentence()} Not identified at this scale: the runs do not "
                "determine the laws; test what they predict before you spend by it. Their best "
                f"guess is {self.lowest}{share}: {advice}."
            )
        if abs(self.decades_beyond) < _NOTABLE:
            return lead
        side = "above" if self.decades_beyond > 0 else "below"
        return (
            f"{lead} This budget lies {abs(self.decades_beyond):.1f} decades {side} the measured "
            f"compute: an extrapolation{', and at that distance a guess' if self.guess else ''}."
        )

    def __str__(self) -> str:
        return self.answer

    def _measured(self) -> dict[str, MeasuredCell]:
        return {n: f.measured for n, f in self.mixtures.items() if f.measured is not None}

    def _measured_sentence(self) -> str:
        """Return what the budget has bought already; no mixture is named that seeds may decide."""
        cells = self._measured()
        if not cells:
            return f"No run costs as little as {self.budget}."
        name = self.measured_best
        if name is not None:
            cell, rank = cells[name], ", the lowest of all mixtures" if len(cells) > 1 else ""
            sizes = f"{short(cell.params)} parameters on {short(cell.examples)} {self.noun}s"
            reached = f"{sizes} reached loss {loss(cell.loss)}, measured{rank}"
            return f"For mixture {name} and {self.budget}: {reached}."
        reached = ", ".join(
            f"{loss(cell.loss)} ({n}: {short(cell.params)} parameters, {short(cell.examples)} "
            f"{self.noun}s)"
            for n, cell in cells.items()
        )
        return (
            f"Measured within {self.budget}: loss {reached}. No mixture is better by more than "
            f"seeds differ in these cells alone.{self._over_pairs()}"
        )

    def _over_pairs(self) -> str:
        """Return what the mixture that wins most pairs is better than; empty if none is."""
        cells = self._measured()
        examples = min(cells.values(), key=lambda cell: cell.loss).examples
        pairs = [pair for pair in self.pairs if {pair.mixture, pair.baseline} <= cells.keys()]
        told = [found for pair in pairs if (found := pair.told_apart(examples))]
        first = Counter(name for name, _ in told).most_common(1)
        won = [clause for name, clause in told if name == first[0][0]]
        start = " Over pairs of runs of equal N, D and seed"
        return f"{start} {first[0][0]} is {', '.join(won)}." if won else ""


def check_mixture(mixture: str | None, names: Iterable[str]) -> None:
    """Refuse a mixture no run has; worth calling before a fit is made. Raises FitError."""
    known = list(dict.fromkeys(names))
    if mixture is not None and mixture not in known:
        raise FitError(unknown("mixture", mixture, known))


def allocate(
    fits: StudyFit,
    budget: float | Budget,
    *,
    mixture: str | None = None,
    ladder: Sequence[float] = (),
) -> Allocation:
    """Return the best model size, data size and loss within a budget.

    N* and D* minimise L(N, D) at C(N, D) = C, or where data have a price at u C(N, D) + v D = the
    budget, see `jetscale.scaling.budget`. Laws with a covariate answer at the value that `Law.held`
    gives, and the warnings say it.

    Args:
        budget: Of one training run: FLOPs in the convention of ``fits.cost``, or a `Budget`.
        mixture: Answer for this mixture alone; by default for all.
        ladder: Model sizes to choose from; by default any.

    Raises FitError where the budget is not a finite number above zero, the mixture has no fit, or
    examples have a price under a law that has no formula for it.
    """
    budget = budget if isinstance(budget, Budget) else flops_budget(budget)
    sizes = np.array(sorted(ladder), dtype=float)
    check_mixture(mixture, fits.runs["mixture"])
    if mixture is not None and mixture in fits.not_fitted:
        raise FitError(f"mixture {mixture!r} was not fitted: it {fits.not_fitted[mixture]}")
    chosen = {n: f for n, f in fits.mixtures.items() if mixture in (None, n)}
    of = {name: fits.runs[fits.runs["mixture"] == name] for name in chosen}

    def best(name: str, theta: Array, price: float) -> Optimum:
        paid = replace(budget, per_example=price)
        law, held = chosen[name].law, chosen[name].law.held(of[name])
        if len(sizes):
            return paid.best_of(theta, fits.cost, sizes, law, **held)
        return paid.optimum(theta, fits.cost, law, **held)

    price = budget.per_example
    draws = {name: best(name, f.replicates.theta, price) for name, f in chosen.items()}
    winners = np.argmin([drawn.loss for drawn in draws.values()], axis=0)
    found = {}
    for number, (name, fitted) in enumerate(chosen.items()):
        point = best(name, fitted.theta, price)
        # what the price of examples moves the optimum away from
        free = best(name, fitted.theta, 0.0) if price else None
        share = float(np.mean(winners == number)) if len(chosen) > 1 else None
        found[name] = _mixture(fitted, of[name], budget, fits.cost, point, draws[name], free, share)
    pairs: tuple[PairedMixtures, ...] = ()
    if len(chosen) > 1:
        with suppress(FitError):  # no common runs
            pairs = pair_runs(fits.runs).pairs
    lowest = min(found.values(), key=lambda one: one.loss.value)
    low, high = fits.flops
    if not 0 < lowest.flops / high < math.inf:
        raise FitError(f"{budget} buys no run: {lowest.flops:g} FLOPs; check amount and prices")
    beyond = max(0.0, math.log10(lowest.flops / high)) + min(0.0, math.log10(lowest.flops / low))
    return Allocation(
        budget=budget,
        ladder=tuple(sizes.tolist()) or None,
        mixtures=_ByMixture(found),
        pairs=pairs,
        paired=len({tuple(fitted.replicates.cells) for fitted in chosen.values()}) == 1,
        decades_beyond=beyond,
        noise=seed_spread(fits.runs, ["mixture", "cell"]),
        convention=fits.cost.convention,
        interval=fits.interval,
        noun=noun_of(fits.runs),
        not_fitted=fits.not_fitted,
        warnings=(
            *([f"{why}: do not choose between them by this"] if (why := unlike(fits.runs)) else ()),
            *(line for name, line in pretraining(fits.runs).items() if name in chosen),
        ),
    )


def _mixture(
    fitted: MixtureFit,
    runs: pd.DataFrame,
    budget: Budget,
    cost: CostModel,
    point: Optimum,
    draws: Optimum,
    free: Optimum | None,
    share: float | None,
) -> MixtureAllocation:
    usable = np.isfinite(draws.params) & np.isfinite(draws.examples)
    usable &= (draws.params >= _SMALLEST) & (draws.examples >= _SMALLEST)
    undefined = int((~usable).sum())
    # further parameters of a law move the optimum as E, alpha and beta do
    reason = bootstrap.not_identified(fitted.parameters, fitted.law)
    flops = float(cost.flops(point.params, point.examples))
    both = zip(point, draws, strict=True)
    params, examples, expected = (Estimate.of(p, d, fitted.n_cells, reason) for p, d in both)
    values = {"flops": flops, "params": float(point.params), "examples": float(point.examples)}
    parts = []
    for (name, value), shown in zip(values.items(), ("budget", "N*", "D*"), strict=True):
        low, high = fitted.window[name]
        if value > high:
            parts.append(f"{shown} {math.log10(value / high):.2f} decades above")
        elif value < low:
            distance = math.log10(low / value) if value else math.inf
            parts.append(f"{shown} {distance:.2f} decades below")
    lines = [f"extrapolates: {', '.join(parts)} the measured runs"] if parts else []
    lines += [f"{reason} at this scale"] if reason else []
    if undefined:
        lines.append(
            f"{undefined} of {len(fitted.replicates.theta)} bootstrap replicates have no usable "
            "optimum (a size below one or not finite)"
        )
    if assumed := fitted.law.assumes(fitted.law.held(runs)):
        lines.append(assumed)
    return MixtureAllocation(
        mixture=fitted.mixture,
        params=params,
        examples=examples,
        loss=expected,
        flops=flops,
        data_share=budget.per_example * float(point.examples) / budget.amount,
        data_free=free,
        best_share=share,
        replicates_undefined=undefined,
        recipe=rate_cost(runs),
        measured=_measured_cell(runs, budget, cost),
        warnings=tuple(f"{fitted.mixture}: {line}" for line in lines),
    )


def _measured_cell(runs: pd.DataFrame, budget: Budget, cost: CostModel) -> MeasuredCell | None:
    """Return the cell of lowest mean loss among those the budget pays for."""
    spent = cost.of_runs(runs)
    within = runs.assign(flops=spent).loc[budget.spent(spent, runs["examples"]) <= budget.amount]
    if within.empty:
        return None
    groups = within.groupby(["params", "examples", "cell"], as_index=False)
    cells = groups.agg(flops=("flops", "mean"), loss=("loss", "mean"), runs=("loss", "size"))
    best = cells.sort_values("loss", kind="stable").iloc[0]
    numbers = {name: float(best[name]) for name in ("params", "examples", "flops", "loss")}
    return MeasuredCell(**numbers, runs=int(best["runs"]))
