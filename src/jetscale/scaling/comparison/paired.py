"""What is measured directly, with no law assumed: losses of two mixtures compared cell by cell.

Runs of equal params, examples and seed are a pair. Differences of loss are averaged over seeds,
then over the data sizes of a model size, which share a trunk and nested subsets: model sizes alone
are the independent values of an interval. They are few: the intervals are Student's.
The *data factor* is the examples at which the baseline's own curve of that model size reaches the
mixture's loss, over the mixture's; beyond the measured losses it is a limit and says so.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import ClassVar

import numpy as np
import pandas as pd
from scipy.interpolate import PchipInterpolator
from scipy.optimize import isotonic_regression

from jetscale.errors import FitError, unknown
from jetscale.jsonable import HIDDEN
from jetscale.scaling.engine.laws import Array
from jetscale.scaling.estimate import Estimate, student_interval
from jetscale.scaling.searched import recipe_error
from jetscale.scaling.table import matched, quantity_of, validate
from jetscale.shown import Shown, frame_of, row_of
from jetscale.words import counted, number, short, with_interval

INTERVAL = (
    "Student 95% interval over model sizes, data sizes and seeds averaged within each; does not "
    "cover the test set and the training subsets that all sizes share"
)
_JOINED = ("loss", "regret", "regret_error")  # what is taken of the baseline's runs
_FEW_SINGLE = 8  # data sizes of one model size that are still listed
FACTOR_INTERVAL = "Student 95% interval of the mean log factor over model sizes"


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFactor(Estimate):
    """Effective data relative to the baseline at one data size: geometric mean over model sizes."""

    bound: str  # empty where every size is measured; ">" or "<": a limit, "<>": limits oppose
    n_sizes: int
    n_censored: int  # model sizes whose loss lies outside the baseline's measured losses

    @property
    def text(self) -> str:
        """The factor with its interval, or the limit it is: ``at least 2.1``."""
        return self.limit + (number(self.value, 2) if self.bound else with_interval(self, 2))

    @property
    def limit(self) -> str:
        """What is written before a factor that is only known to lie on one side; else nothing."""
        return {"": "", ">": "at least ", "<": "at most "}.get(self.bound, "limits only: about ")

    @property
    def informative(self) -> bool:
        """False for limits that exclude nothing of interest: at least .9 times, at most 1.2."""
        known = self.bound or not math.isnan(self.low)  # one model size has no interval
        return bool(known) and {"": True, ">": self.value > 1, "<": self.value < 1}.get(
            self.bound, False
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Mean loss of a mixture minus its baseline's, over some cells."""

    examples: float | None  # data size, or None for all cells together
    difference: Estimate  # mean over model sizes; for a single one the ends are nan
    recipe: float | None  # how much of it may be the learning rates; None where it is not known
    n_sizes: int  # model sizes: the independent values of the interval
    n_cells: int
    n_pairs: int  # pairs of runs: cells times common seeds
    n_lower: int  # pairs in which the mixture has the lower loss
    data_factor: DataFactor | None  # None for all cells together and where no baseline curve exists


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedMixtures:
    """One mixture against one baseline."""

    mixture: str
    baseline: str
    overall: Difference
    by_examples: tuple[Difference, ...]
    json_also: ClassVar[tuple[str, ...]] = ("single_sizes",)

    @property
    def single_sizes(self) -> int:
        """Data sizes at which one model size was run, where they are too many to list."""
        single = sum(row.n_sizes == 1 for row in self.by_examples)
        return single if single > _FEW_SINGLE else 0

    @property
    def listed(self) -> tuple[Difference, ...]:
        """The rows by data size that are worth a line: an isoFLOP table has hundreds more."""
        return tuple(r for r in self.by_examples if r.n_sizes > 1 or not self.single_sizes)

    @property
    def clause(self) -> str:
        """The difference of losses and what it is worth in data, without a stop."""
        rows = dict.fromkeys((*self.listed[:1], *self.listed[-1:]))
        worth = [
            f"{factor.text} times the data at D = {short(row.examples or 0)}"
            for row in rows
            if (factor := row.data_factor) and factor.informative
        ]
        whole, sizes = self.overall, counted(self.overall.n_sizes, "model size")
        clause = (
            f"{self.mixture} has the lower test loss in {whole.n_lower} of {whole.n_pairs} pairs "
            f"of runs, by a mean difference of {with_interval(whole.difference)} over {sizes}"
        )
        if whole.recipe is not None:
            clause += f" (the learning rates may make ± {number(whole.recipe, 2)} of it)"
        return f"{clause}, worth {' and '.join(worth)}" if worth else clause

    def told_apart(self, examples: float) -> tuple[str, str] | None:
        """The mixture with the lower loss and a clause, at the nearest D; None if there is none.

        Over all pairs where one model size was run at that D, so that nothing is known of it alone.
        """
        near = min(self.by_examples, key=lambda row: abs(math.log((row.examples or 1) / examples)))
        at = f"at D = {short(near.examples or 0)}"
        pair = self.mixture, self.baseline
        known = math.isfinite(near.difference.low) and math.isfinite(near.difference.high)
        found, where = (near, at) if known else (self.overall, "over all D")
        low, value, high = found.difference.low, found.difference.value, found.difference.high
        if not (low > 0 or high < 0):
            return None
        first, second = pair if high < 0 else pair[::-1]
        ends = map(number, sorted(map(abs, (low, value, high))))
        return first, "lower than {0} by {2} [{1}, {3}] {4}".format(second, *ends, where)


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedStudy(Shown):
    """All mixtures against the baseline, then against each other."""

    baseline: str
    pairs: tuple[PairedMixtures, ...]
    not_paired: Mapping[str, str]  # pairs without a common run, and why
    interval: str = INTERVAL
    data_factor_interval: str = FACTOR_INTERVAL
    quantity: str = field(default="loss", metadata=HIDDEN)  # what is compared

    @property
    def sentence(self) -> str:
        """How the losses of all mixtures compare with the baseline's."""
        clauses = [pair.clause for pair in self.pairs if pair.baseline == self.baseline]
        if not clauses:
            return f"No mixture has runs in common with the baseline {self.baseline}."
        return f"Measured against {self.baseline}: {'; '.join(clauses)}."

    def to_frame(self) -> pd.DataFrame:
        """Return a row per pair and data size, and one for all sizes together (examples nan).

        The difference is the mixture's loss minus the baseline's, data_factor the effective data.
        """
        return frame_of(
            (
                {"mixture": pair.mixture, "baseline": pair.baseline} | row_of(row)
                for pair in self.pairs
                for row in (*pair.by_examples, pair.overall)
            ),
            "mixture baseline examples difference difference_low difference_high recipe n_sizes "
            "n_cells n_pairs n_lower data_factor data_factor_low data_factor_high "
            "data_factor_bound",
        )


def pair_runs(frame: pd.DataFrame, baseline: str | None = None) -> PairedStudy:
    """Compare the losses of all mixtures of a run table on their common runs.

    The ``baseline`` is ``scratch`` by default if there, else the first mixture. Raises TableError
    for an unusable table, FitError for one mixture, an unknown baseline, or nothing to pair.
    """
    runs = matched(validate(frame))
    groups = {str(name): part for name, part in runs.groupby("mixture", sort=False)}
    if len(groups) < 2:
        raise FitError(f"the run table has one mixture, {min(groups)!r}; a comparison needs two")
    if baseline is not None and baseline not in groups:
        raise FitError(unknown("baseline mixture", baseline, groups))
    first = baseline or ("scratch" if "scratch" in groups else next(iter(groups)))
    order = [first] + [name for name in groups if name != first]
    pairs, not_paired = [], {}
    # runs of a cell differ by seed; the cell tells apart those that differ in a covariate
    keys = {name: pd.MultiIndex.from_frame(part[["cell", "seed"]]) for name, part in groups.items()}
    means = {name: _seed_means(part) for name, part in groups.items()}
    for base, name in combinations(order, 2):
        both = keys[name].isin(keys[base])
        if not both.any():
            not_paired[f"{name} - {base}"] = "no run with the same params, examples and seed"
            continue
        mine = groups[name][both]
        other = groups[base].iloc[keys[base].get_indexer(keys[name][both])]
        joined = mine.assign(**{f"{c}_base": other[c].to_numpy() for c in _JOINED if c in other})
        factors, sizes = _factors(means[name], means[base]), mine["examples"].to_numpy()
        rows = tuple(
            _difference(joined[sizes == d], float(d), _mean_factor(factors.get(float(d), [])))
            for d in np.unique(sizes)
        )
        whole = _difference(joined, None)
        pairs.append(PairedMixtures(mixture=name, baseline=base, overall=whole, by_examples=rows))
    if not pairs:
        same = "with the same params, examples and seed"
        raise FitError(f"no two mixtures have a run {same}: nothing to pair")
    return PairedStudy(
        baseline=first, pairs=tuple(pairs), not_paired=not_paired, quantity=quantity_of(runs)
    )


def _difference(
    joined: pd.DataFrame, examples: float | None, factor: DataFactor | None = None
) -> Difference:
    change = joined["loss"].to_numpy() - joined["loss_base"].to_numpy()
    params = joined["params"].to_numpy()
    cells, first, cell = np.unique(joined["cell"], return_index=True, return_inverse=True)
    by_size, size = np.unique(params[first], return_inverse=True)
    values = np.bincount(cell, weights=change) / np.bincount(cell)
    sizes = np.bincount(size, weights=values) / np.bincount(size)
    return Difference(
        examples=examples,
        difference=student_interval(sizes),
        recipe=recipe_error(joined),
        n_sizes=len(by_size),
        n_cells=len(cells),
        n_pairs=len(joined),
        n_lower=int((change < 0).sum()),
        data_factor=factor,
    )


def _seed_means(runs: pd.DataFrame) -> dict[float, tuple[Array, Array]]:
    """The data sizes of every model size, and the loss averaged over the seeds there."""
    found: dict[float, tuple[Array, Array]] = {}
    params, examples, losses = (runs[c].to_numpy() for c in ("params", "examples", "loss"))
    for size in np.unique(params):
        there = params == size
        data, index = np.unique(examples[there], return_inverse=True)
        found[float(size)] = data, np.bincount(index, weights=losses[there]) / np.bincount(index)
    return found


def _factors(
    mixture: Mapping[float, tuple[Array, Array]], baseline: Mapping[float, tuple[Array, Array]]
) -> dict[float, list[tuple[float, str]]]:
    """Log data factors and their bound ("", ">" or "<"), one per model size, by data size."""
    found: dict[float, list[tuple[float, str]]] = {}
    for params, (sizes, losses) in mixture.items():
        data, curve = baseline.get(params, (np.empty(0), np.empty(0)))
        if len(curve) < 2:
            continue
        own_d = np.log(sizes)
        reached, bounds = _invert(np.log(data), np.log(curve), np.log(losses))
        for examples, own, there, bound in zip(sizes, own_d, reached, bounds, strict=True):
            found.setdefault(float(examples), []).append((float(there - own), bound))
    return found


def _invert(log_d: Array, log_loss: Array, wanted: Array) -> tuple[Array, list[str]]:
    """Where a falling curve reaches the wanted log losses, and which lie beyond its ends."""
    # noise can make neighbouring points rise: pool them to the nearest falling curve
    falling = isotonic_regression(log_loss, increasing=False).x
    levels, index = np.unique(falling, return_inverse=True)
    places = np.bincount(index, weights=log_d) / np.bincount(index)
    inside = np.full(len(wanted), places[0])
    if len(levels) > 1:
        inside = PchipInterpolator(levels, places)(np.clip(wanted, levels[0], levels[-1]))
    bounds = [">" if w < levels[0] else "<" if w > levels[-1] else "" for w in wanted]
    ends = {">": log_d.max(), "<": log_d.min()}
    reached = [ends.get(b, value) for b, value in zip(bounds, inside, strict=True)]
    return np.array(reached), bounds


def _mean_factor(factors: list[tuple[float, str]]) -> DataFactor | None:
    """Geometric mean over model sizes; a censored size enters with its limit and makes a limit."""
    if not factors:
        return None
    logs = student_interval(np.array([log for log, _ in factors]))
    sides = {bound for _, bound in factors} - {""}
    censored = sum(bound != "" for _, bound in factors)
    reason = ""
    if sides:
        kind = {">": "a lower limit", "<": "an upper limit"}.get("".join(sides), "no limit at all")
        reason = f"{censored} of {len(factors)} sizes lie beyond the measured losses: {kind}"
    return DataFactor(
        value=math.exp(logs.value),
        low=0.0 if "<" in sides else math.exp(logs.low),
        high=math.inf if ">" in sides else math.exp(logs.high),
        reason=reason,
        bound="".join(sorted(sides)),
        n_sizes=len(factors),
        n_censored=censored,
    )
