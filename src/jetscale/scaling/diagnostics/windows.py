"""Refits without an edge of the grid: whether the law holds over the whole window.

Real losses leave the law first at the smallest data and model sizes. Some shift is chance: where
the law holds its variance is the difference of the two variances (Hausman, doi 10.2307/1913827).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from jetscale.scaling.diagnostics.batch import refit, why_not
from jetscale.scaling.estimate import Estimate
from jetscale.scaling.fitted import StudyFit


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The fit of one mixture without some of its runs."""

    left_out: str
    cells: int = 0  # cells that remain; 0 where nothing was fitted
    params_exponent: Estimate | None = None
    alpha: Estimate | None = None
    beta: Estimate | None = None
    shift: float = math.nan  # of the exponent a of N*: the window's minus the full one
    moved: bool = False  # True where the window's a lies outside the 95% interval of the full fit
    chance: float = math.nan  # half-width of the shifts that chance allows in 95% of cases
    significant: bool = False  # True where a moved by more than that, and both fits identify it
    reason: str = ""  # why there is no fit


def window_fits(fits: StudyFit) -> dict[str, StudyFit | str]:
    """Refits without the smallest data size, the smallest and the largest model of each mixture."""
    by_mixture = fits.runs.groupby("mixture", sort=False)
    examples, params = fits.runs["examples"], fits.runs["params"]
    cuts = {
        "the smallest data size": examples > by_mixture["examples"].transform("min"),
        "the smallest model": params > by_mixture["params"].transform("min"),
        "the largest model": params < by_mixture["params"].transform("max"),
    }
    return {name: refit(fits, fits.runs[kept]) for name, kept in cuts.items()}


def windows(fits: StudyFit, name: str, refits: Mapping[str, StudyFit | str]) -> tuple[Window, ...]:
    """Return what the refits of `window_fits` say about one mixture."""
    full, found = fits.mixtures[name].frontier["params_exponent"], []
    for left_out, part in refits.items():
        if isinstance(part, str) or name not in part.mixtures:
            found.append(Window(left_out=left_out, reason=why_not(part, name)))
            continue
        fitted = part.mixtures[name]
        other = fitted.frontier["params_exponent"]
        halves = [(e.high - e.low) / 2 for e in (full, other)]
        chance = math.sqrt(max(0.0, halves[1] ** 2 - halves[0] ** 2))
        shift, moved = other.value - full.value, not full.low <= other.value <= full.high
        judged = full.identified and other.identified
        window = Window(
            left_out=left_out,
            cells=fitted.n_cells,
            params_exponent=other,
            alpha=fitted.parameters["alpha"],
            beta=fitted.parameters["beta"],
            shift=shift,
            moved=moved,
            chance=chance,
            significant=moved and abs(shift) > chance and judged,
        )
        found.append(window)
    return tuple(found)
