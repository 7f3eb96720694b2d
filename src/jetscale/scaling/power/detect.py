"""The smallest shift of the exponent a that the real comparison claims in 80% of studies.

The search starts where the deviation of the difference of two fitted exponents, and the test of
equal (alpha, beta), give 80% power. There and at no shift, `fit` and `compare` run on made-up
studies, and the shift is rescaled until the measured power is 80% within its error. P-values are
multiplied by the number of pairs (Bonferroni), which Holm's correction does to the smallest.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from scipy import optimize, stats

from jetscale.jsonable import json_key
from jetscale.scaling.comparison.claims import SIGNIFICANT, side_of_zero
from jetscale.scaling.comparison.compare import compare
from jetscale.scaling.engine.laws import Array
from jetscale.scaling.fit import fit
from jetscale.scaling.fitted import MixtureFit, Options, StudyFit
from jetscale.scaling.power.grid import Grid
from jetscale.scaling.power.simulate import Share, central_deviation, quick_fits, simulate_runs
from jetscale.scaling.power.truth import Truth, shift_range, shifted

Tick = Callable[[str], None]  # told what was simulated, once per made-up study
POWER, LEVEL = 0.80, SIGNIFICANT
_QUICK = 1000  # quick fits behind the first estimate
_STEPS = 3  # shifts tried at most; one where even equal laws are too rarely identified for 80%
_ERRORS = 1.5  # measured power this many of its errors from 80% will do
_SHRINK = 0.6  # factor on a shift too large for the law to be identified
_ENOUGH_ROOM = 0.7
_INSIDE = 0.98  # share of the room for a shift that is used


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What the real comparison of two mixtures said in made-up studies with this shift of a."""

    shift: float
    claimed: Share  # a shift was claimed
    interval: Share  # the interval of the difference excluded zero
    test: Share  # the test rejected equal exponents
    not_identified: Share  # the exponents of either mixture were not identified


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """Which shifts are detected."""

    baseline: str  # mixture whose law and shifted law are compared
    spread: float  # standard deviation of the difference of two fitted exponents under this law
    first_estimate: float  # size of the detectable shift by that deviation alone
    pairs: int  # pairs of mixtures the p-values are corrected for
    trials: tuple[Trial, ...]  # no shift, then the shifts tried
    detectable: float | None = field(metadata=json_key("detectable_shift"))  # of 80% power
    level: float = LEVEL  # a p-value below this is significant

    @property
    def text(self) -> str:
        """Which shift is detected, or the nearest to it that was tried, without a stop."""
        hits = [trial for trial in self.trials[1:] if trial.shift == self.detectable]
        shown = hits[0] if hits else max(self.trials[1:], key=lambda trial: trial.claimed.share)
        claimed = shown.claimed
        share = f"claimed in {claimed.share:.0%} +- {claimed.error:.0%} of made-up studies"
        if hits:
            power = f"{'about' if near(shown) else 'more than'} 80% power ({share})"
            return f"this grid detects a shift of a of {shown.shift:+.2g} with {power}"
        return (
            f"no shift of a that was tried is detected with 80% power: at best {shown.shift:+.2g}, "
            f"{share}, exponents not identified in {shown.not_identified.share:.0%}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """How the made-up studies are analysed."""

    studies: int
    replicates: int
    seed: int
    tick: Tick
    options: Options = field(default_factory=Options)  # of the fits


def pairs_of_equals(grid: Grid, truth: Truth, setting: Setting) -> list[StudyFit]:
    """Real fits to made-up studies of two mixtures, ``a`` and ``b``, with one law."""
    made = []
    for number in range(setting.studies):
        draw = setting.seed, number
        tables = [simulate_runs(grid, truth, m, (*draw, i)) for i, m in enumerate("ab")]
        runs = pd.concat(tables, ignore_index=True)
        made.append(fit(runs, setting.options, replicates=setting.replicates, seed=number))
        setting.tick("equal laws")
    return made


def with_shift(
    grid: Grid, truth: Truth, equals: list[StudyFit], shift: float, setting: Setting
) -> list[StudyFit]:
    """The same studies with the exponent of ``b`` shifted; ``a`` need not be fitted again."""
    other = shifted(truth, grid.cost, shift, grid.middle)
    made = []
    for number, pair in enumerate(equals):
        table = simulate_runs(grid, other, "b", (setting.seed, number, 1))
        how = replace(setting.options, replicates=setting.replicates, delta=pair.delta)
        b = fit(table, how, seed=number)
        runs = pd.concat([pair.runs[pair.runs["mixture"] == "a"], b.runs], ignore_index=True)
        made.append(replace(pair, mixtures={**pair.mixtures, **b.mixtures}, runs=runs))
        setting.tick(f"shift {shift:+.3f}")
    return made


def try_shift(
    grid: Grid, truth: Truth, equals: list[StudyFit], shift: float, setting: Setting
) -> Trial:
    """Return what the real comparison says of the studies, ``b`` shifted unless ``shift`` is 0."""
    fits = with_shift(grid, truth, equals, shift, setting) if shift else equals
    pairs = math.comb(len(grid.mixtures), 2)
    found = [
        compare(f, questions=(truth.law.deciding,), pairs_of_study=pairs).pairs[0] for f in fits
    ]
    deltas = [pair.delta_params_exponent for pair in found]
    return Trial(
        shift=shift,
        claimed=Share.of_studies(pair.verdict.claims_shift for pair in found),
        interval=Share.of_studies(side_of_zero(delta) != 0 for delta in deltas),
        test=Share.of_studies(pair.p_value < LEVEL for pair in found),
        not_identified=Share.of_studies(not delta.identified for delta in deltas),
    )


def detect(
    grid: Grid, truth: Truth, setting: Setting, shift: float | None = None
) -> tuple[Detection, list[MixtureFit]]:
    """Return the detectable shift, or the power for one ``shift``, and the unshifted law's fits."""
    equals = pairs_of_equals(grid, truth, setting)
    none = try_shift(grid, truth, equals, 0.0, setting)
    drawn = quick_fits(grid, truth, _QUICK, setting.seed)
    spread = math.sqrt(2) * central_deviation(truth.law.exponents(drawn, grid.cost, 1.0)[0])
    first = spread * float(stats.norm.ppf(1 - LEVEL / 2) + stats.norm.ppf(POWER))
    if shift is None:
        start = max(first, _by_test(grid, truth, 2 * np.cov(drawn[:, 3:].T)))
        hopeless = none.not_identified.share - _ERRORS * none.not_identified.error > 1 - POWER
        tried = _search(grid, truth, equals, setting, start, 1 if hopeless else _STEPS)
    else:
        tried = [try_shift(grid, truth, equals, shift, setting)]
    enough = [t for t in tried if near(t) or (shift is not None and t.claimed.share >= POWER)]
    best = min(enough, key=lambda t: abs(t.claimed.share - POWER), default=None)
    found = Detection(
        baseline=grid.mixtures[0],
        spread=spread,
        first_estimate=first,
        pairs=math.comb(len(grid.mixtures), 2),
        trials=(none, *tried),
        detectable=best.shift if best else None,
    )
    return found, [fitted for pair in equals for fitted in pair.mixtures.values()]


def _by_test(grid: Grid, truth: Truth, covariance: Array) -> float:
    """Shift that a chi-square test of equal exponents, of this covariance, detects at 80%."""
    freedom = len(covariance)
    threshold = stats.chi2.ppf(1 - LEVEL / math.comb(len(grid.mixtures), 2), freedom)
    needed = optimize.brentq(lambda x: stats.ncx2.sf(threshold, freedom, x) - POWER, 1e-3, 1e3)
    per_shift = np.zeros(freedom)  # of alpha and beta; what else decides stays
    per_shift[:2] = truth.theta[4] / truth.exponent(grid.cost) * np.array([-grid.cost.p, 1.0])
    try:
        information = float(per_shift @ np.linalg.solve(covariance, per_shift))
    except np.linalg.LinAlgError:  # every quick fit ended at a bound
        return math.inf
    return math.sqrt(needed / information)


def _search(
    grid: Grid, truth: Truth, equals: list[StudyFit], setting: Setting, start: float, steps: int
) -> list[Trial]:
    """Trials at the start and at rescaled shifts, until the power is near 80%."""
    # to more data, unless there is little room for that inside the bounds of the exponents
    least, most = shift_range(truth, grid.cost)
    sign = -1 if -least >= _ENOUGH_ROOM * most else 1
    room = _INSIDE * (-least if sign < 0 else most)
    size, tried = min(start, room / 2), list[Trial]()
    for _ in range(steps):
        last = try_shift(grid, truth, equals, sign * size, setting)
        tried.append(last)
        # what takes the power to 80% if the estimates of a are normal
        needed = float(stats.norm.ppf(1 - LEVEL / 2 / math.comb(len(grid.mixtures), 2)))
        reached = float(stats.norm.ppf((last.claimed.hits + 0.5) / (last.claimed.of + 1)))
        factor = (needed + float(stats.norm.ppf(POWER))) / max(0.8, needed + reached)
        if factor > 1 and last.not_identified.share > 1 - POWER:
            factor = _SHRINK  # a large shift flattens one term of the law: nothing can be claimed
        wanted = min(size * factor, room)
        if near(last) or wanted == size:
            break
        size = wanted
    return tried


def near(trial: Trial) -> bool:
    """True where the measured power is 80% within the error of the simulation."""
    return abs(trial.claimed.share - POWER) <= _ERRORS * trial.claimed.error
