"""The law of the best rate: log rate = log c + a log(width / 16) + b log(steps / 1000), per start.

Cells are weighted by the curvature of their log loss. Their scatter about the law is its noise: it
holds the error of each optimum and what the law does not describe, so intervals widen where optima
disagree by more than their errors. They take cells as independent; if arms searched at the same
width and steps miss the law together, they are too narrow. That of c also holds the error of the
skew that all cells share, but not a loss of quite another form: the bias is then common to all.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy import stats

from jetscale.errors import FitError, unknown
from jetscale.scaling.cost import Array
from jetscale.scaling.estimate import CONFIDENCE, Estimate, Z
from jetscale.scaling.tuning.optima import CellOptimum, find_optima
from jetscale.scaling.tuning.search import STARTS
from jetscale.words import counted

AXES = ("width", "steps")
FIXED = {"width": -0.75, "steps": 0.0}
"""Exponents of an axis that a search does not vary."""
LEVEL = 0.05
SATURATED = "as many cells as parameters: no scatter to judge the law by"
_PAIR = ("scratch", "pretrained")  # the starts that may share a law


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedLaw:
    """The peak rate that a start needs, as a power law of width and optimiser steps."""

    start: str  # "scratch+pretrained" for the law of both
    log_c: Estimate  # log of the rate at the reference width and steps
    width: Estimate  # exponent a
    steps: Estimate  # exponent b
    fixed: tuple[str, ...]  # axes that the search does not vary: their exponents are given
    n_cells: int
    left_out: int  # cells without an optimum
    freedom: int  # cells minus fitted parameters
    scatter: float  # standard deviation of log optima about the law, at the mean curvature
    reference_width: float
    reference_steps: float
    covariance: tuple[tuple[float, ...], ...]  # of (log c, a, b) by scatter; zero where fixed
    skewed: tuple[float, ...]  # how (log c, a, b) move with the common skew, per standard error

    def rate(self, width: float, steps: float) -> float:
        """Return the peak rate at a width and a number of optimiser steps."""
        return math.exp(float(self._point(width, steps) @ self._values))

    def estimate(self, width: float, steps: float) -> Estimate:
        """Return the peak rate with its 95% interval; fixed exponents count as known."""
        point = self._point(width, steps)
        scatter = float(point @ np.array(self.covariance) @ point)
        shift = float(point @ np.array(self.skewed))
        log = _student(float(point @ self._values), scatter, self.freedom, shift**2)
        value, low, high = map(_exp, (log.value, log.low, log.high))
        return Estimate(value=value, low=low, high=high, reason=log.reason)

    @property
    def _values(self) -> Array:
        return np.array([self.log_c.value, self.width.value, self.steps.value])

    def _point(self, width: float, steps: float) -> Array:
        reference = self.reference_width, self.reference_steps
        return np.array([1.0, *np.log([width / reference[0], steps / reference[1]])])


@dataclass(frozen=True, slots=True, kw_only=True)
class LawTest:
    """Does one law serve several groups of cells? The F test of nested weighted least squares."""

    of: str  # what the groups are
    statistic: float
    freedom: tuple[int, int]
    p_value: float  # nan where it cannot be tested
    reason: str = ""

    @property
    def refused(self) -> bool:
        """Return True where one law is refused at 5%."""
        return self.p_value < LEVEL

    def __str__(self) -> str:
        """Return the outcome as a sentence."""
        if self.reason:
            return f"Whether {self.of} share one law was not tested: {self.reason}."
        verdict = "do not share" if self.refused else "may share"
        return (
            f"{self.of[0].upper()}{self.of[1:]} {verdict} one law (F = {self.statistic:.2f} with "
            f"{self.freedom[0]} and {self.freedom[1]} degrees of freedom, p = {self.p_value:.3f})."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLaws:
    """The laws of all starts that were searched."""

    laws: Mapping[str, FittedLaw]  # those to train by: the pooled one twice where it is shared
    separate: Mapping[str, FittedLaw]  # each start by itself
    shared: bool  # scratch and pretrained have one law: it was tested and not refused
    test: LawTest  # of scratch against pretrained
    arms: Mapping[str, LawTest]  # of the arms within each start
    optima: tuple[CellOptimum, ...] = field(repr=False)

    def rate(self, start: str, width: float, steps: float) -> float:
        """Return the peak rate of a start at a width and a number of optimiser steps."""
        return self.law(start).rate(width, steps)

    def law(self, start: str) -> FittedLaw:
        """Return the law of a start; raises FitError where it was not searched."""
        if start not in self.laws:
            raise FitError(unknown("start", start, self.laws))
        return self.laws[start]


def fit_rate_laws(
    search: pd.DataFrame,
    *,
    reference_width: float = 16,
    reference_steps: float = 1000,
    fixed: Mapping[str, float] = FIXED,
) -> RateLaws:
    """Return the rate laws of a search, with 95% intervals and tests of what is shared.

    An exponent whose axis is not varied stays at ``fixed``. The starts ``scratch`` and
    ``pretrained`` get one law where the F test does not refuse it at 5%, ``pretraining`` has its
    own. Raises TableError for an unusable table, FitError where a start has fewer optima than its
    law has parameters or its width and steps vary together.
    """
    optima = find_optima(search)
    if strange := set(fixed) - set(AXES):
        raise FitError(unknown("exponent", min(strange), AXES))
    groups = {start: [o for o in optima if o.start == start] for start in STARTS}
    groups = {start: group for start, group in groups.items() if group}
    frame = _Frame(reference_width, reference_steps, {**FIXED, **fixed})
    separate = {start: frame.law(start, group) for start, group in groups.items()}
    laws, test = dict(separate), _test(frame, "the starts scratch and pretrained", groups, _PAIR)
    shared = not test.reason and not test.refused
    if shared:
        pooled = frame.law("+".join(_PAIR), [o for start in _PAIR for o in groups[start]])
        laws |= dict.fromkeys(_PAIR, pooled)
    arms = {start: _arms(frame, start, group) for start, group in groups.items()}
    return RateLaws(
        laws=laws, separate=separate, shared=shared, test=test, arms=arms, optima=optima
    )


@dataclass(frozen=True, slots=True)
class _Frame:
    """What all laws are fitted by."""

    reference_width: float
    reference_steps: float
    fixed: Mapping[str, float]

    def axes(self, cells: Sequence[CellOptimum]) -> Array:
        """Return log width and log steps relative to the reference (n, 2)."""
        sizes = np.array([(o.width, o.steps) for o in cells], dtype=float).reshape(-1, 2)
        return np.asarray(np.log(sizes / [self.reference_width, self.reference_steps]))

    def law(self, start: str, group: Sequence[CellOptimum]) -> FittedLaw:
        """Return the law of weighted least squares through the optima of a group."""
        cells = [o for o in group if o.identified]
        axes = self.axes(cells)
        free = [len(np.unique(axes[:, i])) > 1 for i in range(2)]
        used = np.array([True, *free])
        _check(start, group, len(cells), used, axes)
        given = np.array([0.0, *(self.fixed[a] for a in AXES)]) * ~used
        full = np.column_stack([np.ones(len(cells)), axes])
        x, weight = full[:, used], np.array([o.curvature for o in cells])
        y = np.array([o.log_rate for o in cells]) - full @ given
        # near its optimum a cell loses curvature x (log rate - optimum)^2 / 2 of log loss: with
        # these weights the squares are the expected excess log loss of training by the law
        inverse = np.linalg.inv(x.T @ (weight[:, None] * x))
        solve = inverse @ (x.T * weight)
        freedom = len(cells) - int(used.sum())
        squares = float(weight @ (y - x @ (solve @ y)) ** 2)
        noise = squares / freedom if freedom else math.nan
        values, covariance, skewed = given, np.zeros((3, 3)), np.zeros(3)
        values[used] = solve @ y
        covariance[np.ix_(used, used)] = noise * inverse
        # the skew is common to all cells: its error moves all optima together and leaves no scatter
        skewed[used] = solve @ np.array([o.skewed for o in cells])
        estimates = [
            _student(float(v), float(s), freedom, float(k) ** 2) if u else _given(float(v))
            for v, s, k, u in zip(values, np.diag(covariance), skewed, used, strict=True)
        ]
        return FittedLaw(
            start=start,
            log_c=estimates[0],
            width=estimates[1],
            steps=estimates[2],
            fixed=tuple(a for a, f in zip(AXES, free, strict=True) if not f),
            n_cells=len(cells),
            left_out=len(group) - len(cells),
            freedom=freedom,
            scatter=math.sqrt(noise / float(weight.mean())),
            reference_width=self.reference_width,
            reference_steps=self.reference_steps,
            covariance=tuple(tuple(float(v) for v in row) for row in covariance),
            skewed=tuple(float(v) for v in skewed),
        )


def _check(
    start: str, group: Sequence[CellOptimum], n_cells: int, used: Array, axes: Array
) -> None:
    """Raise FitError where the optima of a start do not determine its law."""
    wanted = int(used.sum())
    if n_cells < wanted:
        why = next((f": {o.reason}" for o in group if o.reason), "")
        raise FitError(
            f"{start}: {counted(n_cells, 'cell')} of {len(group)} with an optimum, the law has "
            f"{counted(wanted, 'parameter')}; search the rates of more cells{why}"
        )
    design = np.column_stack([np.ones(n_cells), axes])[:, used]
    if np.linalg.matrix_rank(design) < wanted:
        raise FitError(
            f"{start}: width and steps vary together, so their exponents cannot be told apart; "
            "search one width at two numbers of steps"
        )


def _student(value: float, scatter: float, freedom: int, skew: float) -> Estimate:
    """Return a value with its interval, from the variance by scatter and that by the skew."""
    if not freedom:
        return Estimate(value=value, low=-math.inf, high=math.inf, reason=SATURATED)
    few = float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom))
    many = Z
    # half widths add in squares: with effective degrees of freedom in place of the few of the
    # scatter, intervals of four cells held the truth in 88% of simulations
    half = math.sqrt(few**2 * scatter + many**2 * skew)
    return Estimate(value=value, low=value - half, high=value + half)


def _given(value: float) -> Estimate:
    reason = "fixed, not fitted: no two optima differ in it"
    return Estimate(value=value, low=math.nan, high=math.nan, reason=reason)


def _exp(value: float) -> float:
    return math.exp(value) if value < 700 else math.inf


def _arms(frame: _Frame, start: str, group: Sequence[CellOptimum]) -> LawTest:
    arms = {o.mixture: [p for p in group if p.mixture == o.mixture] for o in group}
    return _test(frame, f"the arms of {start}", arms, tuple(arms))


def _test(
    frame: _Frame, of: str, groups: Mapping[str, Sequence[CellOptimum]], names: Sequence[str]
) -> LawTest:
    """Return the F test of one law for the named groups against one for each.

    With too few cells for laws of their own, groups may differ in log c alone.
    """
    parts = {name: [o for o in groups.get(name, ()) if o.identified] for name in names}
    cells = [o for part in parts.values() for o in part]
    empty = [name for name, part in parts.items() if not part]
    if empty or len(parts) < 2:
        why = f"no optimum of {empty[0]}" if empty else "there is one alone"
        return _untested(of, why)
    member = np.repeat(np.eye(len(parts)), [len(part) for part in parts.values()], axis=0)
    one = np.column_stack([np.ones(len(cells)), frame.axes(cells)])
    own = (member[:, :, None] * one[:, None, :]).reshape(len(cells), -1)
    root = np.sqrt([o.curvature for o in cells])
    y = root * np.array([o.log_rate for o in cells])
    rest, ranks = _residual(root[:, None] * one, y)
    for wider in (own, np.hstack([one, member])):
        least, rank = _residual(root[:, None] * wider, y)
        between, within = rank - ranks, len(cells) - rank
        if between > 0 and within > 0:
            ratio = (rest - least) / between / (least / within) if least > 0 else math.inf
            return LawTest(
                of=of,
                statistic=ratio,
                freedom=(between, within),
                p_value=float(stats.f.sf(ratio, between, within)),
            )
    return _untested(of, "too few cells")


def _untested(of: str, reason: str) -> LawTest:
    return LawTest(of=of, statistic=math.nan, freedom=(0, 0), p_value=math.nan, reason=reason)


def _residual(x: Array, y: Array) -> tuple[float, int]:
    """Return the residual sum of squares of least squares and the rank of its design."""
    found, _, rank, _ = np.linalg.lstsq(x, y, rcond=1e-10)
    return float(((y - x @ found) ** 2).sum()), int(rank)
