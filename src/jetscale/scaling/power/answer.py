"""What a planned grid will be able to say, in one call: `power`."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from jetscale.errors import FitError
from jetscale.scaling.engine import laws
from jetscale.scaling.engine.laws import PARAMETERS
from jetscale.scaling.fit import fit
from jetscale.scaling.fitted import MixtureFit
from jetscale.scaling.power.detect import LEVEL, Detection, Setting, detect, near
from jetscale.scaling.power.expect import Widths, widths
from jetscale.scaling.power.extras import Extra, half_width, rank
from jetscale.scaling.power.grid import Grid
from jetscale.scaling.power.simulate import made_up
from jetscale.scaling.power.truth import Assumed, Truth, assume, shifted

STUDIES = 32
"""Made-up studies analysed in full, by default; the standard error of a power of 80% is 7%."""
_REPLICATES = 200
_LEAST, _MOST = 10, 10_000
_NOTABLE = 0.05
"""Share of the half-width of a below which an addition is not recommended."""

Progress = Callable[[str, int, int], None]
"""Told what is simulated, how many studies are done, and how many there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Power:
    """What the planned grid will be able to say under the assumed laws and noise."""

    grid: Grid
    assumed: Assumed
    widths: Mapping[str, Widths]
    """Expected intervals of each mixture."""
    detection: Detection | None
    """Which shifts of a between two mixtures are detected; None for one mixture."""
    half_width: float
    """Of a for the first mixture, in the linear approximation that ranks the extras."""
    extras: tuple[Extra, ...]
    """Additions to the grid, the largest gain per FLOP first."""
    studies: int
    replicates: int
    seed: int
    warnings: tuple[str, ...]

    @property
    def helps_most(self) -> Extra | None:
        """The addition with the largest gain per FLOP among those that are worth a sweep."""
        return next((extra for extra in self.extras if extra.reduction >= _NOTABLE), None)

    @property
    def conclusion(self) -> str:
        """The answer in one sentence, without a stop."""
        parts = (_detects(self.detection), _not_identified(self.widths), _helps(self.helps_most))
        return "; ".join(filter(None, parts))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        grid = self.grid
        return {
            "grid": {
                "mixtures": list(grid.mixtures),
                "params": grid.params.tolist(),
                "examples": grid.examples.tolist(),
                "seeds": grid.seeds.tolist(),
                "flops": grid.total,
                "compute": grid.cost.to_dict(),
            },
            "laws": {
                name: dict(zip(PARAMETERS, truth.theta.tolist(), strict=True))
                | {"params_exponent": exponent(grid, truth)}
                for name, truth in self.assumed.truths.items()
            },
            "source": self.assumed.source,
            "noise": next(iter(self.assumed.truths.values())).noise,
            "misfit": next(iter(self.assumed.truths.values())).misfit,
            "widths": {name: found.to_dict() for name, found in self.widths.items()},
            "detection": self.detection.to_dict() if self.detection else None,
            "linear_half_width": self.half_width if math.isfinite(self.half_width) else None,
            "extras": [extra.to_dict() for extra in self.extras],
            "helps_most": self.helps_most.what if self.helps_most else None,
            "simulated_studies": self.studies,
            "replicates": self.replicates,
            "seed": self.seed,
            "warnings": list(self.warnings),
            "conclusion": self.conclusion,
        }


def power(
    grid: Grid,
    *,
    law: Sequence[float] | None = None,
    pilot: pd.DataFrame | None = None,
    noise: float | None = None,
    misfit: float | None = None,
    shift: float | None = None,
    simulations: int = STUDIES,
    seed: int = 0,
    progress: Progress | None = None,
) -> Power:
    """Simulate a planned grid: interval widths, detectable shift, and which extra runs help most.

    Parameters
    ----------
    grid
        From `planned`.
    law, pilot, noise, misfit
        What is assumed, see `truth.assume`.
    shift
        Measure the power for this shift of the params exponent a, instead of searching for the
        smallest shift that is detected.
    simulations
        Made-up studies that are analysed in full, for every shift.
    seed
        Seed of all that is random.

    Raises
    ------
    FitError
        A number cannot be used, or the law would leave its bounds.
    TableError
        The pilot is no run table.
    """
    _check(grid, simulations, seed)
    assumed = assume(grid, law, pilot, noise, misfit)
    first = next(iter(assumed.truths.values()))
    _check_shift(grid, first, shift)
    setting = _setting(grid, simulations, seed, progress)
    detection: Detection | None = None
    fits: list[MixtureFit] = []
    if len(grid.mixtures) > 1:
        detection, fits = detect(grid, first, setting, shift)
    return Power(
        grid=grid,
        assumed=assumed,
        widths=_all_widths(grid, assumed, setting, fits),
        detection=detection,
        half_width=half_width(grid, first),
        extras=rank(grid, first),
        studies=simulations,
        replicates=setting.replicates,
        seed=seed,
        warnings=(*assumed.warnings, *_warnings(grid)),
    )


def exponent(grid: Grid, truth: Truth) -> float:
    """The params exponent a of a law at the cost of the grid."""
    return float(laws.exponents(truth.theta, grid.cost)[0])


def _all_widths(
    grid: Grid, assumed: Assumed, setting: Setting, fits: list[MixtureFit]
) -> dict[str, Widths]:
    """Widths of every mixture; ``fits`` are real fits under the law of the first, if any."""
    done: dict[bytes, Widths] = {}
    for number, (name, truth) in enumerate(assumed.truths.items()):
        if truth.theta.tobytes() in done:
            continue
        mine = fits if number == 0 else []
        made = mine or [_one_fit(grid, name, truth, setting, i) for i in range(setting.studies)]
        done[truth.theta.tobytes()] = widths(grid, truth, made)
    return {name: done[truth.theta.tobytes()] for name, truth in assumed.truths.items()}


def _one_fit(grid: Grid, name: str, truth: Truth, setting: Setting, number: int) -> MixtureFit:
    runs = made_up(grid, truth, name, (setting.seed, number))
    setting.tick(f"law of {name}")
    return fit(runs, replicates=setting.replicates, seed=number).mixtures[name]


def _setting(grid: Grid, simulations: int, seed: int, progress: Progress | None) -> Setting:
    done: dict[str, int] = {}

    def tick(what: str) -> None:
        done[what] = done.get(what, 0) + 1
        if progress is not None:
            progress(f"made-up studies, {what}", done[what], simulations)

    # enough replicates for the smallest p-value to survive the correction for all pairs
    replicates = max(_REPLICATES, round(2 / LEVEL) * math.comb(len(grid.mixtures), 2))
    return Setting(studies=simulations, replicates=replicates, seed=seed, tick=tick)


def _check(grid: Grid, simulations: int, seed: int) -> None:
    if not _LEAST <= simulations <= _MOST:
        raise FitError(f"simulations is {simulations}, needs {_LEAST} to {_MOST}")
    if seed < 0:
        raise FitError(f"seed is {seed}, needs a whole number of at least 0")


def _check_shift(grid: Grid, truth: Truth, shift: float | None) -> None:
    if shift is None:
        return
    if len(grid.mixtures) < 2:
        raise FitError("a shift needs two mixtures to compare; the plan has one")
    if not math.isfinite(shift) or shift == 0:
        raise FitError(f"shift is {shift:g}, needs a number other than zero, e.g. -0.1")
    shifted(truth.theta, grid.cost, shift, grid.middle)


def _warnings(grid: Grid) -> list[str]:
    lines = []
    if grid.seeds.max() == 1:
        lines.append(
            "one seed: the noise is assumed here and cannot be measured on these runs later; "
            "two seeds in a few cells would"
        )
    if len(grid.mixtures) == 1:
        lines.append("one mixture: nothing to compare")
    if grid.pretrained:
        lines.append(
            "what the runs of one pretrained trunk have in common is allowed for in the analysis "
            "but not simulated: with it, intervals get wider"
        )
    if grid.cost.warning:
        lines.append(grid.cost.warning)
    return lines


def _detects(found: Detection | None) -> str:
    if found is None:
        return ""
    best = max(found.trials[1:], key=lambda trial: trial.claimed.value)
    hits = [trial for trial in found.trials[1:] if trial.shift == found.detectable]
    shown = hits[0] if hits else best
    share = f"claimed in {shown.claimed.value:.0%} +- {shown.claimed.error:.0%} of made-up studies"
    if hits:
        power = "about 80%" if near(shown) else "more than 80%"
        return f"this grid detects a shift of a of {shown.shift:+.2g} with {power} power ({share})"
    return (
        f"no shift of a that was tried is detected with 80% power: at best {shown.shift:+.2g}, "
        f"{share}, exponents not identified in {shown.not_identified.value:.0%}"
    )


def _not_identified(found: Mapping[str, Widths]) -> str:
    groups: dict[int, list[str]] = {}
    for name, width in found.items():
        groups.setdefault(id(width), []).append(name)
    if len(groups) == 1:
        share = next(iter(found.values())).not_identified
        return f"exponents would not be identified in {share.value:.0%} of studies"
    parts = [f"{' and '.join(g)} {found[g[0]].not_identified.value:.0%}" for g in groups.values()]
    return f"exponents would not be identified in this share of studies: {', '.join(parts)}"


def _helps(extra: Extra | None) -> str:
    if extra is None:
        return ""
    return (
        f"per FLOP this helps most: {extra.what} (a {extra.reduction:.0%} narrower for "
        f"{100 * extra.share:.2g}% more compute)"
    )
