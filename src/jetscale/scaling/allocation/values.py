"""The answer for one budget, as values: `Choice` says whether a mixture may be called the best."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import ClassVar

import numpy as np
import pandas as pd

from jetscale.errors import unknown
from jetscale.jsonable import HIDDEN, json_key
from jetscale.scaling.allocation.measured import MeasuredCell
from jetscale.scaling.budget import Budget
from jetscale.scaling.comparison.paired import PairedMixtures
from jetscale.scaling.engine.laws import Array, Optimum
from jetscale.scaling.estimate import CONFIDENCE, Estimate
from jetscale.shown import Shown, frame_of, row_of

TOLD_APART = CONFIDENCE  # a mixture is the best where it is lowest in this share of the replicates
_NOISE = 0.01  # of a loss, where nothing tells it
FAR = 2.0  # decades beyond the measured compute from which an extrapolation is called a guess


class Choice(Enum):
    """Whether a mixture may be called the best at a budget."""

    ALONE = "alone"  # one mixture was asked about
    TOLD_APART = "told_apart"
    NOT_TOLD_APART = "not_told_apart"  # laws identified, and no mixture wins often enough
    NOT_IDENTIFIED = "not_identified"  # the runs do not determine the laws behind the choice


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """Model sizes whose loss at the budget is within 1% of the best; with the data each gets."""

    params: tuple[float, float]  # smallest and largest
    examples: tuple[float, float]  # of the smallest and of the largest


@dataclass(frozen=True, slots=True, kw_only=True)
class SmallerModel:
    """A smaller model on all the data the same budget buys: cheaper to run, faster in a trigger."""

    share: float  # of N*
    params: float
    examples: float
    loss: float
    rise: Estimate  # loss over that of the best size, less 1


@dataclass(frozen=True, slots=True, kw_only=True)
class FloorAnswer:
    """The optimum under another assumption about the floor E."""

    floor: str  # own, shared or zero
    fit: float  # what was minimised over that with own floors: above 1 the runs are described worse
    params: float
    examples: float
    loss: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Rival:
    """What another route answers that forecast held-out budgets better."""

    route: str
    params: Estimate
    examples: Estimate
    loss: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class MixtureAllocation:
    """The best run of one mixture at the budget."""

    mixture: str
    params: Estimate
    examples: Estimate
    loss: Estimate  # expected test loss of that run
    by_law: float | None  # the same by the law alone, where its misfit makes much of it; else None
    flops: float  # compute of that run
    hours: float | None  # of one device, at the speed of the runs; None where it is unknown
    no_optimum: str  # why the sizes are none a person would train; empty where they are
    data_share: float  # share of the budget spent on examples; 0 where they have no price
    data_free: Optimum | None  # of the same budget if they had no price; None where they have none
    best_share: float | None  # share of replicates where it is lowest: see `shares_lowest`
    replicates_undefined: int  # replicates without a usable optimum: a size below one or not finite
    recipe: float | None  # what the learning rates may cost its runs, in loss; None where unknown
    measured: MeasuredCell | None  # the lowest within the budget; None where all cost more
    ladder_edge: str  # what lies beyond a ladder whose end was chosen; else empty
    band: Band | None  # None where a route answers, or there is no optimum
    smaller: tuple[SmallerModel, ...]
    floors: tuple[FloorAnswer, ...]  # side by side far outside the measured compute; else none
    rival: Rival | None  # None where no other route forecast held-out budgets better
    warnings: tuple[str, ...]


def first_of(mixtures: Mapping[str, MixtureAllocation]) -> str:
    """Return the mixture with the lowest predicted loss; one without an optimum has none."""
    losses = {name: one.loss.value for name, one in mixtures.items()}
    return min(losses, key=lambda name: (math.isnan(losses[name]), losses[name]))


def shares_lowest(losses: Mapping[str, Array]) -> dict[str, float | None]:
    """Return in which share of draws (R,) the loss of each mixture is lowest; None for one alone.

    A mixture without an optimum wins nothing. Where no draw tells, no share is known: nan.

    >>> shares_lowest({"a": np.array([1.0, 3.0]), "b": np.array([2.0, 2.0])})
    {'a': 0.5, 'b': 0.5}
    """
    if len(losses) < 2:
        return dict.fromkeys(losses)
    drawn = np.array(list(losses.values()))
    drawn = drawn[:, ~np.isnan(drawn).all(axis=0)]
    if not drawn.size:
        return dict.fromkeys(losses, math.nan)
    winners = np.nanargmin(drawn, axis=0)
    return {name: float(np.mean(winners == i)) for i, name in enumerate(losses)}


class ByMixture(dict[str, MixtureAllocation]):
    """Answers by mixture; an unknown name is answered with the nearest."""

    def __missing__(self, name: str) -> MixtureAllocation:
        raise KeyError(unknown("mixture", name, self))


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation(Shown):
    """The answer for one budget; ``print(allocation)`` says it."""

    budget: Budget
    route: str  # what answers: law, isoFLOP or envelope
    ladder: tuple[float, ...] | None  # sizes to choose from; None where any size will do
    mixtures: Mapping[str, MixtureAllocation]
    paired: bool = field(metadata=json_key("replicates_paired"))  # all run on the same cells
    decades_beyond: float  # best run above the measured compute; below if negative, else 0
    pairs: tuple[PairedMixtures, ...] = field(metadata=HIDDEN)  # none for a mixture alone
    noise: float = field(metadata=HIDDEN)  # spread of log loss of one run; nan: unknown
    convention: str = field(metadata=json_key("compute"))  # convention the budget refers to
    interval: str  # how the intervals were made
    noun: str  # what one example is called
    not_fitted: Mapping[str, str]  # mixtures left out, and why
    warnings: tuple[str, ...]  # what the budget leaves out
    quantity: str = field(default="loss", metadata=HIDDEN)  # what the laws are of
    answer: str = ""  # the answer in words
    json_also: ClassVar[tuple[str, ...]] = (
        *("budget_flops", "best", "best_share", "best_identified", "choice", "lowest"),
        *("measured_best", "measured_first", "guess"),
    )

    @property
    def budget_flops(self) -> float:
        """FLOPs the budget buys where no example is paid for."""
        return self.budget.flops

    @property
    def lowest(self) -> str:
        """Mixture with the lowest predicted loss, told apart or not."""
        return first_of(self.mixtures)

    @property
    def best_share(self) -> float | None:
        """Share of the replicates in which `lowest` has the lowest loss: see `shares_lowest`."""
        return self.mixtures[self.lowest].best_share

    @property
    def best_identified(self) -> bool:
        """True where the laws behind the choice of mixture are all identified."""
        return all(m.loss.identified and not m.no_optimum for m in self.mixtures.values())

    @property
    def choice(self) -> Choice:
        """Whether a mixture may be called the best."""
        if self.best_share is None:
            return Choice.ALONE
        if not self.best_identified or math.isnan(self.best_share):
            return Choice.NOT_IDENTIFIED
        return Choice.TOLD_APART if self.best_share >= TOLD_APART else Choice.NOT_TOLD_APART

    @property
    def best(self) -> str | None:
        """The best mixture; None where it is not told apart from the others."""
        return self.lowest if self.choice in (Choice.ALONE, Choice.TOLD_APART) else None

    @property
    def measured(self) -> dict[str, MeasuredCell]:
        """The best measured cells within the budget, the lowest first."""
        found = {n: f.measured for n, f in self.mixtures.items() if f.measured is not None}
        return dict(sorted(found.items(), key=lambda item: item[1].loss))

    @property
    def measured_best(self) -> str | None:
        """The mixture with the lowest measured loss; None where noise is as large."""
        cells = list(self.measured.items())
        if len(cells) < 2:
            return cells[0][0] if cells else None
        return cells[0][0] if cells[0][1].told_apart(cells[1][1], self.noise) else None

    @property
    def measured_first(self) -> bool:
        """True where a cell within the budget is better than any prediction, beyond noise."""
        if self.ladder:  # its sizes need not hold the best one
            return False
        cells = list(self.measured.values())
        return bool(cells) and self.refuted(self.mixtures[self.lowest].loss, cells[0])

    def refuted(self, expected: Estimate, cell: MeasuredCell) -> bool:
        """True where a cell within the budget is lower than an expected loss, beyond noise."""
        noise = 0.0 if math.isnan(self.noise) else self.noise
        return cell.below(expected.value, noise or _NOISE)

    @property
    def guess(self) -> bool:
        """True where the budget lies so far outside the measured compute that a law says little."""
        return abs(self.decades_beyond) > FAR

    def to_frame(self) -> pd.DataFrame:
        """Return a row per mixture: the best run by its law, and the best measured cell."""
        return frame_of(
            (row_of(one) | row_of(one.measured, "measured_") for one in self.mixtures.values()),
            "mixture params params_low params_high examples examples_low examples_high loss "
            "loss_low loss_high loss_identified flops hours best_share measured_params "
            "measured_examples measured_flops measured_loss measured_runs",
        )
