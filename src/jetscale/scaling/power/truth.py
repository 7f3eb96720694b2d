"""What is assumed: a law for each mixture, the noise of seeds, and the misfit of the law.

Log losses are simulated as log L(N, D) + misfit of the law + noise of the run, both normal. No law
is exact, and what one misses is smooth in both sizes: the process of `jetscale.scaling.misfit`. In
two real studies, of 57 and 66 cells, effects of single cells were 0.05 to 0.7 times as large as it,
and studies made up with these alone promised half of the interval of a that came. The misfit is
drawn anew for every mixture, the careful choice: what mixtures share would cancel in a comparison.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from jetscale.errors import FitError
from jetscale.scaling.checked import fit as fit_checked
from jetscale.scaling.cost import CostModel
from jetscale.scaling.engine.forms import AUTO, CHINCHILLA, LAWS, Law, law_named
from jetscale.scaling.engine.laws import EXPONENT_BOUNDS, Array
from jetscale.scaling.fit import fit
from jetscale.scaling.fitted import MixtureFit, Options, StudyFit
from jetscale.scaling.power.grid import Grid
from jetscale.scaling.table import spread_of

NOISE = 0.01  # spread between seeds of log loss where nothing else is known
GENERIC_FLOOR, GENERIC_EXPONENT = 0.5, 0.35
"""Half of the loss at the middle of the grid is floor; alpha and beta near the Chinchilla values
(arXiv 2404.10102: .348 and .366)."""
ASSUMED = (CHINCHILLA, LAWS["overfit"])
"""The laws that can be assumed, by how many numbers they are: the frontier is a power law."""
_PILOT_REPLICATES = 200
_ROOM = 1.02  # factor from a bound at which the law of a pilot may lie
_FURTHER = 0.2  # decades beyond a pilot from which a warning says so


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """One law with its noise, in log loss."""

    theta: Array  # (P,) E, A, B, alpha, beta and what else the law has
    noise: float
    misfit: float
    law: Law = CHINCHILLA

    def __post_init__(self) -> None:
        for name, value in (("noise", self.noise), ("misfit", self.misfit)):
            least = "above" if name == "noise" else "of at least"
            good = math.isfinite(value) and (value > 0 or (name == "misfit" and value == 0))
            if not good or value > 1:
                raise FitError(f"{name} is {value:g}, needs a number {least} 0 and at most 1")

    @property
    def named(self) -> dict[str, float]:
        """The parameters by name."""
        return dict(zip(self.law.parameters, self.theta.tolist(), strict=True))

    def loss(self, params: Array, examples: Array) -> Array:
        """Loss (k,) without noise and misfit at sizes (k,)."""
        return self.law.loss(self.theta, params, examples)

    def exponent(self, cost: CostModel) -> float:
        """The exponent a of N* ~ C^a; raises FitError where N* has no bound."""
        if not self.law.bounded(self.theta, cost):
            raise FitError(f"under {self.named} N* has no bound: no grid tells where it lies")
        return float(self.law.exponents(self.theta, cost, 1.0)[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumed:
    """The truths of all mixtures, and where they come from."""

    truths: Mapping[str, Truth]
    source: str
    warnings: tuple[str, ...] = ()

    @property
    def first(self) -> Truth:
        """That of the first mixture; noise and misfit are those of all."""
        return next(iter(self.truths.values()))

    @property
    def same(self) -> bool:
        """True where all mixtures have one law."""
        return all(np.array_equal(self.first.theta, t.theta) for t in self.truths.values())

    @property
    def law(self) -> Law:
        """That of all mixtures, their parameters apart."""
        return self.first.law


def generic(grid: Grid) -> Array:
    """The law (5,) with loss 1, half of it floor, and equal terms at the middle of the grid."""
    n, d = grid.middle
    height, exponent = (1 - GENERIC_FLOOR) / 2, GENERIC_EXPONENT
    return np.array([GENERIC_FLOOR, height * n**exponent, height * d**exponent, exponent, exponent])


def law_of(theta: Sequence[float] | Array) -> Law:
    """Return the law that these numbers are parameters of; raises FitError for other counts."""
    for law in ASSUMED:
        if np.shape(theta) == (len(law.parameters),):
            return law
    known = " or ".join(f"{len(a.parameters)} numbers {','.join(a.parameters)}" for a in ASSUMED)
    raise FitError(f"a law is {known}, not {np.size(theta)}")


def check_law(theta: Sequence[float] | Array) -> Array:
    """Return the parameters (P,) of a stated law; raises FitError for those no law can have."""
    law, values = law_of(theta), np.asarray(theta, dtype=float)
    bounds = {"alpha": EXPONENT_BOUNDS, "beta": EXPONENT_BOUNDS}
    bounds |= {extra.name: (extra.low, extra.high) for extra in law.extras}
    for name, value in zip(law.parameters, values, strict=True):
        if name in bounds:
            low, high = bounds[name]
            if not low < value < high:
                room = f"between {low:g} and {high:g}"
                raise FitError(f"law: {name} is {value:g}, needs a number {room}")
        elif not math.isfinite(value) or value < 0 or (value == 0 and name != "E"):
            least = "of at least" if name == "E" else "above"
            raise FitError(f"law: {name} is {value:g}, needs a finite number {least} zero")
    return values


def assume(
    grid: Grid,
    law: Sequence[float] | None = None,
    pilot: pd.DataFrame | None = None,
    noise: float | None = None,
    misfit: float | None = None,
    options: Options | None = None,
) -> Assumed:
    """Return what to simulate: the stated law, that of a pilot's runs, or the generic one.

    Raises FitError where law and pilot are both given or one of them cannot be used, TableError
    where the pilot is no run table.

    Args:
        law: E, A, B, alpha, beta for all mixtures, and gamma for the law ``overfit``.
        pilot: A run table; a mixture takes the law of its name there, else the first one.
        noise: Spread between seeds of log loss; by default that of the pilot, else 0.01.
        misfit: Smooth deviation of log loss from the law; by default that of the pilot, else
            equal to the noise.
        options: How the laws of the pilot are fitted; the law ``auto`` is the one that forecasts
            the pilot best.
    """
    how = options or Options()
    if how.law not in (AUTO, *(law.name for law in ASSUMED)):
        law_named(how.law)
        told = ", ".join(law.name for law in ASSUMED)
        raise FitError(f"law is {how.law!r}: what a grid can say is known under {told} or {AUTO}")
    if law is not None and pilot is not None:
        raise FitError("give a law or a pilot's runs, not both")
    if pilot is not None:
        return _from_pilot(grid, pilot, noise, misfit, how)
    if law is None and how.law != CHINCHILLA.name:
        lacks = "needs the runs of a pilot, or numbers of its own"
        raise FitError(f"the law {how.law!r} {lacks}: only {CHINCHILLA.name} has generic ones")
    theta = generic(grid) if law is None else check_law(law)
    spread = NOISE if noise is None else noise
    truth = Truth(theta, spread, spread if misfit is None else misfit, law_of(theta))
    source = "generic law anchored at the middle of the grid" if law is None else "stated law"
    return Assumed(truths=dict.fromkeys(grid.mixtures, truth), source=source)


def _from_pilot(
    grid: Grid, pilot: pd.DataFrame, noise: float | None, misfit: float | None, options: Options
) -> Assumed:
    fits, doubts = _fit_pilot(pilot, options)
    first = next(iter(fits.mixtures))
    taken = {name: name if name in fits.mixtures else first for name in grid.mixtures}
    used = [fits.mixtures[name] for name in dict.fromkeys(taken.values())]
    spread, deviation, warnings = spreads(fits.runs, used, noise, misfit)
    warnings = [*doubts, *warnings]
    truths, at_bounds = {}, dict[str, str]()
    for name, other in taken.items():
        window = fits.mixtures[other].window
        middle = [math.sqrt(math.prod(window[size])) for size in ("params", "examples")]
        theta, bound = _inside(fits.mixtures[other].theta, middle)
        try:
            truths[name] = Truth(check_law(theta), spread, deviation, law_of(theta))
        except FitError as error:
            raise FitError(
                f"the pilot's {other!r}: {error}; state a law with --law E,A,B,alpha,beta, or give "
                "a pilot of more model and data sizes"
            ) from error
        at_bounds |= {other: bound} if bound else {}
    for name, bound in at_bounds.items():
        warnings.append(
            f"the pilot's {name!r} puts {bound}: a step at its smallest sizes, no power law; give "
            "a pilot of more sizes, or state a law with --law"
        )
    if loose := ", ".join(f.mixture for f in used if not f["a"].identified):
        lost = f"the pilot does not identify the exponents of {loose}: other laws fit as well"
        warnings.append(lost)
    beyond = []
    for name in ("params", "examples"):
        (low, high), sizes = used[0].window[name], getattr(grid, name)
        decades = max(math.log10(low / sizes.min()), math.log10(sizes.max() / high))
        if decades > _FURTHER:
            beyond.append(f"{decades:.1f} decades in {name}")
    if beyond:
        warnings.append(f"the grid goes beyond the pilot by {' and '.join(beyond)}")
    listed = ", ".join(f"{name} from {other}" for name, other in taken.items() if name != other)
    source = "laws of the pilot" + (f" ({listed})" if listed else "")
    return Assumed(truths=truths, source=source, warnings=tuple(warnings))


def _fit_pilot(pilot: pd.DataFrame, options: Options) -> tuple[StudyFit, list[str]]:
    """Return the fits of a pilot under a law that can be assumed, and what stands against it."""
    how = replace(options, replicates=_PILOT_REPLICATES)
    if options.law != AUTO:
        return fit(pilot, how), []
    found = fit_checked(pilot, how)
    if found.options.law in [law.name for law in ASSUMED]:
        return found, []
    doubt = f"the law {found.options.law!r} forecasts the pilot best, {CHINCHILLA.name} is assumed"
    return fit(pilot, replace(how, law=CHINCHILLA.name)), [doubt]


def _inside(theta: Array, middle: Sequence[float]) -> tuple[Array, str]:
    """Return a law with exponents inside their bounds, and what lay at one; empty for nothing.

    Its terms stay what they were at the middle of the sizes, of N and of D.
    """
    moved, told = theta.copy(), []
    low, high = EXPONENT_BOUNDS[0] * _ROOM, EXPONENT_BOUNDS[1] / _ROOM
    for place, name, size in ((3, "alpha", middle[0]), (4, "beta", middle[1])):
        moved[place] = np.clip(theta[place], low, high)
        moved[place - 2] *= size ** (moved[place] - theta[place])
        if moved[place] != theta[place]:
            told.append(
                f"{name} at or near its bound, {theta[place]:.3g} ({moved[place]:.3g} is assumed)"
            )
    return moved, " and ".join(told)


def spreads(
    runs: pd.DataFrame,
    used: Sequence[MixtureFit],
    noise: float | None = None,
    misfit: float | None = None,
) -> tuple[float, float, list[str]]:
    """Return the noise of seeds and the misfit that runs show about laws, and warnings.

    ``noise`` and ``misfit`` are taken as they are where they are stated.
    """
    seeds = spread_of(runs, ["mixture", "cell"])
    warnings = [f"{seeds.note} in the pilot"] if seeds.note and noise is None else []
    spread = seeds.value if noise is None else noise
    if math.isnan(spread) and "error" in runs:  # what the test set alone makes of a score
        spread = float(runs["error"].median())
        warnings.append(f"the pilot repeats no cell: noise is that of its test set, {spread:.2g}")
    if math.isnan(spread):  # a cell of its own for each run: its effect counts as noise
        spread = max(fitted.misfit.noise for fitted in used)
        warnings.append(
            f"the pilot repeats no cell: noise is what runs scatter beside a smooth misfit, "
            f"{spread:.2g}; state another with --noise"
        )
    deviation = max(_misfit(runs, spread, f) for f in used) if misfit is None else misfit
    return spread, deviation, warnings


def _misfit(runs: pd.DataFrame, noise: float, fitted: MixtureFit) -> float:
    """Spread of the cell means about the law beyond what the noise of seeds explains."""
    mine = runs[runs["mixture"] == fitted.mixture]
    sizes = mine["params"].to_numpy(), mine["examples"].to_numpy()
    expected = fitted.law.loss(fitted.theta, *sizes)
    residuals = np.log(mine["loss"]) - np.log(expected)
    cells = residuals.groupby(mine["cell"]).agg(["mean", "size"])
    share = len(cells) / max(1, len(cells) - len(fitted.theta))
    squares = float((cells["mean"] ** 2).mean()) * share
    return math.sqrt(max(0.0, squares - noise**2 * float((1 / cells["size"]).mean())))


def shifted(truth: Truth, cost: CostModel, shift: float, middle: tuple[float, float]) -> Truth:
    """Return the truth with its params exponent a changed, or raise FitError outside the bounds.

    gamma, alpha + gamma + p beta and both terms at the middle (N, D) stay as they are.
    """
    E, A, B, alpha, beta, *more = truth.theta
    a, total = truth.exponent(cost), alpha + sum(more) + cost.p * beta
    least, most = shift_range(truth, cost)
    if not least < shift < most:
        room = f"it can be {least:.3f} to {most:.3f}"
        raise FitError(f"a shift of {shift:g} takes the law out of bounds; {room}")
    new_alpha = total * (1 - cost.p * (a + shift)) - sum(more)
    new_beta = total * (a + shift)
    n, d = middle
    heights = A * n ** (new_alpha - alpha), B * d ** (new_beta - beta)
    return replace(truth, theta=np.array([E, *heights, new_alpha, new_beta, *more]))


def shift_range(truth: Truth, cost: CostModel) -> tuple[float, float]:
    """Smallest and largest shift of a that keeps alpha and beta inside their bounds.

    With a gamma below zero a small beta would make data cost nothing: there is no optimum.
    """
    _, _, _, alpha, beta, *more = truth.theta
    a, total = truth.exponent(cost), alpha + sum(more) + cost.p * beta
    low, high = (bound / total for bound in EXPONENT_BOUNDS)
    rise = sum(more) / total
    least = max(low + max(0.0, -rise / cost.p), (1 - rise - high) / cost.p)
    most = min(high, (1 - rise - low) / cost.p)
    return float(least - a), float(most - a)
