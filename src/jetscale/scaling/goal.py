"""What a score needs: how much more data or compute doubles a rejection, and what a loss is worth.

Doubling a rejection, or halving the errors, is halving what stands in the place of the loss (see
`jetscale.scaling.metric`): the law of that quantity says at how many examples it is reached, if at
all. The *link* says the same score from the loss: the quantity as a power of the loss, fitted to
the means of cells, where an isotonic curve shows what is lost by taking a power.
"""

import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from jetscale.errors import FitError
from jetscale.jsonable import HIDDEN
from jetscale.scaling import bootstrap
from jetscale.scaling.checked import fit
from jetscale.scaling.engine.laws import Array
from jetscale.scaling.estimate import Estimate
from jetscale.scaling.fitted import MixtureFit, StudyFit
from jetscale.scaling.link import Link, link
from jetscale.scaling.metric import Metric, metric_of
from jetscale.scaling.table import noun_of, quantity_of
from jetscale.words import number, short, size, times

_MOST = math.log(1e6)  # factors beyond are no answer
_HALVINGS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """What a mixture needs to halve its quantity: from the largest model at its largest data."""

    mixture: str
    metric: Metric
    noun: str
    by: str  # what says it: the law of the quantity, or that of the loss and the link
    params: float
    examples: float
    now: float  # score there, by the law
    wanted: float  # score at half the quantity
    limit: float  # score of that model on any amount of data, by the law
    data: Estimate  # factor on the examples of that model; infinite where none is enough
    compute: Estimate  # factor on compute where model and data grow as is best
    json_also: ClassVar[tuple[str, ...]] = ("text",)

    @property
    def text(self) -> str:
        """The answer in words, without a stop."""
        model, nouns = f"{short(self.params)} parameters", f"{self.noun}s"
        start = (
            f"{self.mixture}: {self.metric.name} {number(self.now)} at {model} and "
            f"{short(self.examples)} {nouns} becomes {number(self.wanted)} "
        )
        if math.isfinite(self.data.value):
            more = f"with {size(self.data.value * self.examples)} {nouns} ({_range(self.data)})"
        else:
            more = f"on no amount of {nouns}: this model ends at {number(self.limit)}"
        grown = "not even a million times the compute reaches it"
        if math.isfinite(self.compute.value):
            grown = f"where the model grows too, with {_range(self.compute)} the compute"
        return f"{start}{more}; {grown} (by {self.by})"


def _range(factor: Estimate) -> str:
    star = "" if factor.identified else ", not identified"
    return f"x{times(factor.value)} [{times(factor.low)}, {times(factor.high)}{star}]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """The score of a run that was not made: by the law of its quantity, and by the loss."""

    by_law: Estimate
    by_loss: Estimate | None

    @property
    def apart(self) -> bool:
        """True where the intervals of both have nothing in common."""
        other = self.by_loss
        return other is not None and (self.by_law.low > other.high or other.low > self.by_law.high)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What the laws say of a metric: goals, and the scores of runs, by both ways."""

    metric: Metric
    goals: tuple[Goal, ...]
    link: Link | None  # None where the table has no loss beside the metric
    losses: StudyFit | None = field(metadata=HIDDEN)  # laws of the loss

    def score(self, mixture: str, quantity: Estimate, params: float, examples: float) -> Score:
        """Return the score of a run of these sizes whose quantity is expected."""
        laws, found = self.losses, None
        if self.link is not None and laws is not None and mixture in laws.mixtures:
            fitted, held = laws[mixture], _held(laws, laws[mixture])
            losses = fitted.law.loss(fitted.all_theta, params, examples, **held)
            reason = bootstrap.not_identified(fitted.parameters, fitted.law)
            expected = Estimate.of(losses[0], losses[1:], fitted.n_cells, reason)
            found = _turned(self.metric, self.link.at(expected, mixture))
        return Score(by_law=_turned(self.metric, quantity), by_loss=found)


def answers(fits: StudyFit) -> Answers | None:
    """Return what fits to a metric say of it; None where they are fits to a loss."""
    metric = metric_of(quantity_of(fits.runs))
    if metric is None:
        return None
    found, losses = link(fits.runs), None
    if found is not None:
        runs = fits.runs.assign(loss=fits.runs["measured_loss"]).drop(columns="quantity")
        with suppress(FitError):  # the loss may allow no law where the metric does
            losses = fit(runs, fits.options, delta=None)
    made = [_goal(fits, one, metric, None) for one in fits.mixtures.values()]
    if losses is not None:
        made += [_goal(losses, one, metric, found) for one in losses.mixtures.values()]
    return Answers(metric=metric, goals=tuple(made), link=found, losses=losses)


def _goal(fits: StudyFit, fitted: MixtureFit, metric: Metric, found: Link | None) -> Goal:
    """What the law of the quantity, or with a link that of the loss, says of a mixture."""
    runs, law = fits.runs[fits.runs["mixture"] == fitted.mixture], fitted.law
    held, theta = _held(fits, fitted), fitted.all_theta
    params = float(runs["params"].max())
    examples = float(runs.loc[runs["params"] == params, "examples"].max())
    here = float(fits.cost.flops(np.array(params), np.array(examples)))

    def by_data(log_factor: Array) -> Array:
        return law.loss(theta, params, examples * np.exp(log_factor), **held)

    def by_compute(log_factor: Array) -> Array:
        return law.optimum(theta, here * np.exp(log_factor), fits.cost, **held).loss

    def score(of_law: Array) -> float:
        value = float(of_law[0])
        exact = Estimate(value=value, low=value, high=value)
        return float(metric.score(found.at(exact, fitted.mixture).value if found else value))

    shrink = _shrink(found, len(theta), fits.options.seed)
    start, far = by_data(np.zeros(len(theta))), by_data(np.full(len(theta), 50.0))
    reason = bootstrap.not_identified(fitted.parameters, law)
    factors = (_reached(curve, start * shrink) for curve in (by_data, by_compute))
    data, compute = (Estimate.of(f[0], f[1:], fitted.n_cells, reason) for f in factors)
    return Goal(
        mixture=fitted.mixture,
        metric=metric,
        noun=noun_of(fits.runs),
        by="the link" if found else f"the law of {metric.quantity}",
        params=params,
        examples=examples,
        now=score(start),
        wanted=score(start * shrink),
        limit=score(far),
        data=data,
        compute=compute,
    )


def _shrink(found: Link | None, count: int, seed: int) -> Array:
    """Factors (1 + R,) on a quantity of which a half is wanted: of a loss, as its link draws them.

    A score that does not rise as the loss falls is reached by none.
    """
    if found is None:
        return np.full(count, 0.5)
    powers = np.concatenate([[found.power.value], found.powers(count - 1, seed)])
    return np.where(powers > 0, 0.5 ** (1 / np.where(powers > 0, powers, 1.0)), 0.0)


def _held(fits: StudyFit, fitted: MixtureFit) -> Mapping[str, float]:
    return fitted.law.held(fits.runs[fits.runs["mixture"] == fitted.mixture])


def _reached(curve: Callable[[Array], Array], goal: Array) -> Array:
    """Factors (n,) at which falling curves of the log factor are down to the goals (n,)."""
    low, high = np.zeros(len(goal)), np.full(len(goal), _MOST)
    out = ~(curve(high) <= goal)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        below = curve(middle) <= goal
        low, high = np.where(below, low, middle), np.where(below, middle, high)
    return np.where(out, np.inf, np.exp(high))


def _turned(metric: Metric, quantity: Estimate) -> Estimate:
    """The score of a quantity; the ends change places where the score rises."""
    ends = (quantity.value, quantity.low, quantity.high)
    value, low, high = (float(metric.score(end)) for end in ends)
    low, high = min(low, high), max(low, high)
    return Estimate(value=value, low=low, high=high, reason=quantity.reason)
