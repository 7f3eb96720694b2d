"""What is assumed: a law for each mixture, the noise of seeds, and the misfit of the law.

Log losses are simulated as log L(N, D) + misfit of the cell + noise of the run, both normal. All
seeds of a cell have the misfit in common, because no law is exact and seeds share data. It is drawn
anew for every mixture, the careful choice: what mixtures share would cancel in a comparison.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from jetscale.errors import FitError
from jetscale.scaling.cost import CostModel
from jetscale.scaling.engine import laws
from jetscale.scaling.engine.laws import EXPONENT_BOUNDS, PARAMETERS, Array
from jetscale.scaling.fit import fit
from jetscale.scaling.fitted import MixtureFit, Options
from jetscale.scaling.power.grid import Grid
from jetscale.scaling.table import spread_of

NOISE = 0.01  # spread between seeds of log loss where nothing else is known
GENERIC_FLOOR, GENERIC_EXPONENT = 0.5, 0.35
"""Half of the loss at the middle of the grid is floor; alpha and beta near the Chinchilla values
(arXiv 2404.10102: .348 and .366)."""
_PILOT_REPLICATES = 200
_ROOM = 1.02  # factor from a bound at which the law of a pilot may lie
_FURTHER = 0.2  # decades beyond a pilot from which a warning says so


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """One law with its noise, in log loss."""

    theta: Array  # (5,) E, A, B, alpha, beta
    noise: float
    misfit: float

    def __post_init__(self) -> None:
        for name, value in (("noise", self.noise), ("misfit", self.misfit)):
            least = "above" if name == "noise" else "of at least"
            good = math.isfinite(value) and (value > 0 or (name == "misfit" and value == 0))
            if not good or value > 1:
                raise FitError(f"{name} is {value:g}, needs a number {least} 0 and at most 1")


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


def generic(grid: Grid) -> Array:
    """The law (5,) with loss 1, half of it floor, and equal terms at the middle of the grid."""
    n, d = grid.middle
    height, exponent = (1 - GENERIC_FLOOR) / 2, GENERIC_EXPONENT
    return np.array([GENERIC_FLOOR, height * n**exponent, height * d**exponent, exponent, exponent])


def check_law(theta: Sequence[float] | Array) -> Array:
    """Return the parameters (5,) of a stated law; raises FitError for those no law can have."""
    values = np.asarray(theta, dtype=float)
    if values.shape != (len(PARAMETERS),):
        raise FitError(f"a law is 5 numbers {','.join(PARAMETERS)}, not {values.size}")
    low, high = EXPONENT_BOUNDS
    for name, value in zip(PARAMETERS, values, strict=True):
        if name in ("alpha", "beta") and not low < value < high:
            raise FitError(f"law: {name} is {value:g}, needs a number between {low:g} and {high:g}")
        if not math.isfinite(value) or value < 0 or (value == 0 and name != "E"):
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
        law: E, A, B, alpha, beta for all mixtures.
        pilot: A run table; a mixture takes the law of its name there, else the first one.
        noise: Spread between seeds of log loss; by default that of the pilot, else 0.01.
        misfit: Spread of cells about the law, of log loss; by default that of the pilot, else
            equal to the noise.
        options: How the laws of the pilot are fitted.
    """
    if law is not None and pilot is not None:
        raise FitError("give a law or a pilot's runs, not both")
    if pilot is not None:
        return _from_pilot(grid, pilot, noise, misfit, options or Options())
    theta = generic(grid) if law is None else check_law(law)
    spread = NOISE if noise is None else noise
    truth = Truth(theta, spread, spread if misfit is None else misfit)
    source = "generic law anchored at the middle of the grid" if law is None else "stated law"
    return Assumed(truths=dict.fromkeys(grid.mixtures, truth), source=source)


def _from_pilot(
    grid: Grid, pilot: pd.DataFrame, noise: float | None, misfit: float | None, options: Options
) -> Assumed:
    fits = fit(pilot, options, replicates=_PILOT_REPLICATES)
    first = next(iter(fits.mixtures))
    taken = {name: name if name in fits.mixtures else first for name in grid.mixtures}
    used = [fits.mixtures[name] for name in dict.fromkeys(taken.values())]
    spread, deviation, warnings = spreads(fits.runs, used, noise, misfit)
    truths, at_bounds = {}, dict[str, str]()
    for name, other in taken.items():
        window = fits.mixtures[other].window
        middle = [math.sqrt(math.prod(window[size])) for size in ("params", "examples")]
        theta, bound = _inside(fits.mixtures[other].theta, middle)
        try:
            truths[name] = Truth(check_law(theta), spread, deviation)
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
    """Return the noise of seeds and the misfit of cells that runs show about laws, and warnings.

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
    expected = laws.loss(fitted.theta, mine["params"].to_numpy(), mine["examples"].to_numpy())
    residuals = np.log(mine["loss"]) - np.log(expected)
    cells = residuals.groupby(mine["cell"]).agg(["mean", "size"])
    share = len(cells) / max(1, len(cells) - len(PARAMETERS))
    squares = float((cells["mean"] ** 2).mean()) * share
    return math.sqrt(max(0.0, squares - noise**2 * float((1 / cells["size"]).mean())))


def shift_law(theta: Array, cost: CostModel, shift: float, middle: tuple[float, float]) -> Array:
    """Return the law with its params exponent a changed, or raise FitError outside the bounds.

    alpha + p beta and both terms at the middle (N, D) stay as they are.
    """
    E, A, B, alpha, beta = theta
    a, total = float(laws.exponents(theta, cost)[0]), alpha + cost.p * beta
    new_alpha, new_beta = total * (1 - cost.p * (a + shift)), total * (a + shift)
    low, high = EXPONENT_BOUNDS
    if not (low < new_alpha < high and low < new_beta < high):
        least, most = shift_range(theta, cost)
        room = f"it can be {least:.3f} to {most:.3f}"
        raise FitError(f"a shift of {shift:g} takes the law out of bounds; {room}")
    n, d = middle
    heights = A * n ** (new_alpha - alpha), B * d ** (new_beta - beta)
    return np.array([E, *heights, new_alpha, new_beta])


def shift_range(theta: Array, cost: CostModel) -> tuple[float, float]:
    """Smallest and largest shift of a that keeps alpha and beta inside their bounds."""
    a = float(laws.exponents(theta, cost)[0])
    total = theta[3] + cost.p * theta[4]
    low, high = (bound / total for bound in EXPONENT_BOUNDS)
    least, most = max(low, (1 - high) / cost.p), min(high, (1 - low) / cost.p)
    return float(least - a), float(most - a)
