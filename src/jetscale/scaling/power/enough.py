"""The grid that would determine the exponent a: the measured one, enlarged until it does.

Steps are those of `extras`: a larger model size, a larger data size, one more seed. The one that
narrows a most per FLOP is taken until a is narrow enough: by the linear approximation, times how
much wider than that the interval of a is on the measured grid. Models below the smallest measured
one are cheaper still and not proposed: the smallest leave a law first.
"""

from dataclasses import dataclass, field

import numpy as np

from jetscale.errors import FitError
from jetscale.jsonable import HIDDEN
from jetscale.scaling.fitted import StudyFit
from jetscale.scaling.power.extras import further, half_width, narrowed
from jetscale.scaling.power.grid import Grid, grid_of
from jetscale.scaling.power.truth import ASSUMED, Truth, generic, spreads
from jetscale.words import counted, short

WANTED = 0.1  # half-width of a that tells apart who wants more data from who does not
_STEPS = 8  # further ones cost more than anybody's second study
_SEEDS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Enough:
    """A grid on which a would be determined to within ``half_width``."""

    grid: Grid = field(metadata=HIDDEN)
    half_width: float  # of a
    runs: int  # to be added, all mixtures together
    flops: float  # of these; of pretraining nothing
    noun: str

    @property
    def text(self) -> str:
        """The grid in words, without its price; one that is not crossed by what it adds."""
        sizes, data = np.unique(self.grid.params), np.unique(self.grid.examples)
        ends = [f"{short(v[0])} to {short(v[-1])}" for v in (sizes, data)]
        if len(sizes) * len(data) > len(self.grid.params):
            more = f"{counted(self.runs, 'more run')}, up to {short(sizes[-1])} parameters and "
            return f"{more}{short(data[-1])} {self.noun}s"
        return (
            f"{len(sizes)} model sizes from {ends[0]}, {len(data)} data sizes from {ends[1]} "
            f"{self.noun}s, {counted(int(np.median(self.grid.seeds)), 'seed')}"
        )


def enough(fits: StudyFit, noun: str = "example", wanted: float = WANTED) -> Enough | None:
    """Return the grid that would give a within ``wanted``; None where no near one does.

    The law assumed is that of the first mixture where its a is identified, else the generic one;
    seeds and cells scatter as they did. None too where every a is known that well.
    """
    now = max((one["a"].high - one["a"].low) / 2 for one in fits.mixtures.values())
    if now <= wanted:
        return None
    try:
        start = grid_of(fits.runs)
        return grown(start, _assumed(fits, start), now, noun, wanted)
    except FitError:  # a grid or a law outside of what can be planned
        return None


def grown(
    start: Grid, truth: Truth, now: float, noun: str = "example", wanted: float = WANTED
) -> Enough | None:
    """Return the grid that would give a within ``wanted``, where ``start`` gives it within ``now``.

    None where no near one does; raises FitError where a grid has no next one.
    """
    if now <= wanted:
        return None
    grid, wider = start, max(1.0, now / half_width(start, truth))
    for _ in range(_STEPS):
        grid = _next(grid, truth)
        if (reached := wider * half_width(grid, truth)) <= wanted:
            runs = len(grid.mixtures) * int(grid.seeds.sum() - start.seeds.sum())
            more = grid.total - start.total
            return Enough(grid=grid, half_width=reached, runs=runs, flops=more, noun=noun)
    return None


def _assumed(fits: StudyFit, grid: Grid) -> Truth:
    first = next(iter(fits.mixtures.values()))
    # the misfit that is seen: of few cells, what noise alone leaves would pass for a large one
    misfit = max(one.misfit.size for one in fits.mixtures.values())
    noise, misfit, _ = spreads(fits.runs, list(fits.mixtures.values()), misfit=misfit)
    if first.law in ASSUMED and first["a"].identified:
        return Truth(first.theta, noise, misfit, first.law)
    return Truth(generic(grid), noise, misfit)


def _next(grid: Grid, truth: Truth) -> Grid:
    """Return the grid after the step that narrows a most per FLOP."""
    sizes, data = np.unique(grid.params), np.unique(grid.examples)
    steps = []
    if more := further(sizes).get("larger"):
        steps.append(grid.with_cells(more, data))
    if more := further(data).get("larger"):
        steps.append(grid.with_cells(sizes, more))
    if not steps:
        raise FitError("the planned grid: sizes in other units than single ones have no next one")
    if np.median(grid.seeds) < _SEEDS:
        steps.append(grid.with_another_seed())
    return max(steps, key=lambda g: (1 - narrowed(grid, g, truth)) / (g.total - grid.total))
