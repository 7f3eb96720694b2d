"""What a planned grid will be able to say, in one call: `power`."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

import pandas as pd

from jetscale.errors import FitError
from jetscale.jsonable import HIDDEN, json_key
from jetscale.scaling.fit import fit
from jetscale.scaling.fitted import MixtureFit, Options
from jetscale.scaling.power.detect import LEVEL, Detection, Setting, detect
from jetscale.scaling.power.enough import grown
from jetscale.scaling.power.extras import Extra, half_width, rank
from jetscale.scaling.power.grid import Grid
from jetscale.scaling.power.simulate import Widths, simulate_runs, widths
from jetscale.scaling.power.truth import Assumed, Truth, assume, shifted
from jetscale.shown import Shown, frame_of, row_of

STUDIES = 32  # made-up studies by default; the standard error of a power of 80% is then 7%
_REPLICATES = 200
_LEAST, _MOST = 10, 10_000
_NOTABLE = 0.05  # share of the half-width of a below which an addition is not recommended

Progress = Callable[[str, int, int], None]  # what is simulated, studies done, studies in all


@dataclass(frozen=True, slots=True, kw_only=True)
class Power(Shown):
    """What the planned grid will be able to say under the assumed laws and noise."""

    grid: Grid
    assumed: Assumed = field(metadata=HIDDEN)
    widths: Mapping[str, Widths]  # expected intervals of each mixture
    detection: Detection | None  # which shifts of a are detected; None for one mixture
    half_width: float = field(metadata=json_key("linear_half_width"))
    """Of a for the first mixture, in the linear approximation that ranks the extras."""
    extras: tuple[Extra, ...]  # additions to the grid, the largest gain per FLOP first
    studies: int = field(metadata=json_key("simulated_studies"))
    replicates: int
    seed: int
    warnings: tuple[str, ...]
    json_also: ClassVar = (
        *("laws", "assumed.source", "assumed.first.noise", "assumed.first.misfit", "helps_most"),
        "conclusion",
    )

    @property
    def laws(self) -> dict[str, dict[str, float]]:
        """The parameters assumed for each mixture, and their exponent of N*."""
        found = {}
        for name, truth in self.assumed.truths.items():
            found[name] = truth.named | {"params_exponent": truth.exponent(self.grid.cost)}
        return found

    @property
    def best_extra(self) -> Extra | None:
        """The addition with the largest gain per FLOP among those that are worth a sweep."""
        return next((extra for extra in self.extras if extra.reduction >= _NOTABLE), None)

    @property
    def helps_most(self) -> str | None:
        """That addition in words."""
        return self.best_extra.what if self.best_extra else None

    @property
    def verdict(self) -> str:
        """What the grid can tell, in one sentence without a stop."""
        parts = [self.detection.text] if self.detection else []
        shares = {name: f"{width.not_identified.share:.0%}" for name, width in self.widths.items()}
        groups: dict[int, list[str]] = {}
        for name, width in self.widths.items():  # mixtures of one law have one answer
            groups.setdefault(id(width), []).append(name)
        share = f"{next(iter(shares.values()))} of studies"
        if len(groups) > 1 and len(set(shares.values())) > 1:
            listed = ", ".join(f"{' and '.join(g)} {shares[g[0]]}" for g in groups.values())
            share = f"this share of studies: {listed}"
        parts.append(f"exponents would not be identified in {share}")
        return "; ".join(parts)

    @property
    def advice(self) -> str:
        """Which further runs help most, without a stop; empty where none are worth a sweep."""
        if (extra := self.best_extra) is None:
            return ""
        gain = f"a {extra.reduction:.0%} narrower for {100 * extra.share:.2g}% more compute"
        worth = f"of what narrows a by {_NOTABLE:.0%} or more"
        return f"{worth}, this helps most per FLOP: {extra.what} ({gain})"

    @property
    def grid_needed(self) -> str:
        """The grid near this one that would give a within 0.1, without a stop; empty for none."""
        now = max(one.exponent for one in self.widths.values())
        try:
            found = grown(self.grid, self.assumed.first, now)
        except FitError:  # sizes that have no next one
            found = None
        if found is None:
            return ""
        grid = f"{found.text}, {found.flops:.2g} FLOPs more than this"
        return f"a to within {found.half_width:.2f} would take a grid of {grid}"

    @property
    def conclusion(self) -> str:
        """Verdict and advice in one sentence, without a stop."""
        return "; ".join(filter(None, (self.verdict, self.advice, self.grid_needed)))

    def to_frame(self) -> pd.DataFrame:
        """Return a row per mixture and budget: expected half-widths of 95% intervals."""
        rows = (
            {"mixture": name, "not_identified": one.not_identified.share, "exponent": one.exponent}
            | row_of(at)
            for name, one in self.widths.items()
            for at in one.at
        )
        columns = "mixture budget exponent params_factor loss_relative not_identified"
        return frame_of(rows, columns)


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
    options: Options | None = None,
    progress: Progress | None = None,
) -> Power:
    """Simulate a planned grid: interval widths, detectable shift, and which extra runs help most.

    Raises FitError where a number cannot be used or the law would leave its bounds, TableError
    where the pilot is no run table.

    Args:
        law, pilot, noise, misfit: What is assumed, see `truth.assume`.
        shift: Of the params exponent a, whose power is measured; by default the smallest one that
            is detected is searched for.
        simulations: Made-up studies that are analysed in full, for every shift.
        options: How fits are made. Made-up studies are analysed under the law they come from.
    """
    assumed = assume(grid, law, pilot, noise, misfit, options)
    how = replace(options or Options(), law=assumed.law.name)
    first, done = assumed.first, Counter[str]()
    _check(grid, first, shift, simulations, seed)

    def tick(what: str) -> None:
        done[what] += 1
        if progress is not None:
            progress(f"made-up studies, {what}", done[what], simulations)

    # enough replicates for the smallest p-value to survive the correction for all pairs
    replicates = max(_REPLICATES, round(2 / LEVEL) * math.comb(len(grid.mixtures), 2))
    counts = {"studies": simulations, "replicates": replicates, "seed": seed}
    setting = Setting(**counts, tick=tick, options=how)
    pairs = len(grid.mixtures) > 1
    detection, fits = detect(grid, first, setting, shift) if pairs else (None, [])
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
        warnings=(*assumed.warnings, *grid.warnings),
    )


def _all_widths(
    grid: Grid, assumed: Assumed, setting: Setting, fits: list[MixtureFit]
) -> dict[str, Widths]:
    """Widths of every mixture; ``fits`` are real fits under the law of the first, if any."""
    done: dict[bytes, Widths] = {}
    for number, (name, truth) in enumerate(assumed.truths.items()):
        if truth.theta.tobytes() in done:  # mixtures of one law have one answer
            continue
        made = list(fits) if number == 0 else []
        for i in range(0 if made else setting.studies):
            runs = simulate_runs(grid, truth, name, (setting.seed, i))
            setting.tick(f"law of {name}")
            found = fit(runs, setting.options, replicates=setting.replicates, seed=i)
            made.append(found.mixtures[name])
        done[truth.theta.tobytes()] = widths(grid, truth, made)
    return {name: done[truth.theta.tobytes()] for name, truth in assumed.truths.items()}


def _check(grid: Grid, truth: Truth, shift: float | None, simulations: int, seed: int) -> None:
    """Refuse what cannot be used before anything is simulated; raises FitError."""
    if not _LEAST <= simulations <= _MOST:
        raise FitError(f"simulations is {simulations}, needs {_LEAST} to {_MOST}")
    if seed < 0:
        raise FitError(f"seed is {seed}, needs a whole number of at least 0")
    if shift is None:
        return
    if len(grid.mixtures) < 2:
        raise FitError("a shift needs two mixtures to compare; the plan has one")
    if not math.isfinite(shift) or shift == 0:
        raise FitError(f"shift is {shift:g}, needs a number other than zero, e.g. -0.1")
    shifted(truth, grid.cost, shift, grid.middle)
