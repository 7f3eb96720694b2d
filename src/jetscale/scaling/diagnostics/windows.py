"""Refits without an edge of the grid: whether the law holds over the whole window.

Real losses leave the law first at the smallest data and model sizes: on a public sweep dropping
the smallest data sizes moved the exponent by more than its own interval. Cuts are made in every
mixture at its own edge, and the refits keep the options of the fit, with fewer replicates.

A smaller window is less certain, so some shift is chance. Where the law holds and the fit makes
good use of the runs, the variance of the shift is the difference of the two variances (Hausman,
doi 10.2307/1913827): its 95% half-width follows from those of the two intervals.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from jetscale.errors import FitError, TableError
from jetscale.scaling.estimate import Estimate, plain_number
from jetscale.scaling.fit import fit
from jetscale.scaling.fitted import StudyFit

_SHARE = 4
"""Refits make a quarter of the replicates."""
_FEWEST = 50
NOTHING_LEFT = "no runs are left"


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The fit of one mixture without some of its runs."""

    left_out: str
    cells: int
    """Cells that remain; 0 where nothing was fitted."""
    params_exponent: Estimate | None
    alpha: Estimate | None
    beta: Estimate | None
    shift: float
    """Of the exponent a of N*: the window's minus the full one; nan without a fit."""
    moved: bool
    """True where the window's a lies outside the 95% interval of the full fit."""
    chance: float
    """Half-width of the shifts that chance allows in 95% of cases where the law holds."""
    significant: bool
    """True where a moved, by more than chance allows, and both fits identify it."""
    reason: str = ""
    """Why there is no fit."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        plain: dict[str, Any] = {"left_out": self.left_out, "cells": self.cells}
        for name in ("params_exponent", "alpha", "beta"):
            found = getattr(self, name)
            plain[name] = None if found is None else found.to_dict()
        if self.reason:
            return plain | {"reason": self.reason}
        numbers = {"shift": self.shift, "chance": plain_number(self.chance)}
        return plain | numbers | {"moved": self.moved, "significant": self.significant}


def refit(fits: StudyFit, runs: pd.DataFrame) -> StudyFit | str:
    """The same fit to other runs with a quarter of the replicates, or why there is none."""
    if runs.empty:
        return NOTHING_LEFT
    options = fits.options
    try:
        return fit(
            runs,
            max(_FEWEST, fits.replicates // _SHARE),
            fits.seed,
            fits.delta,
            law=options.law,
            objective=options.objective,
            uncertainty=options.uncertainty,
            shared=options.shared,
        )
    except (FitError, TableError) as error:
        return str(error)


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
    """What the refits of `window_fits` say about one mixture."""
    return tuple(_window(fits, name, left_out, part) for left_out, part in refits.items())


def why_not(part: StudyFit | str, name: str) -> str:
    """Why a refit has no law for a mixture; empty where it has one."""
    if isinstance(part, str):
        return part
    return "" if name in part.mixtures else part.not_fitted.get(name, NOTHING_LEFT)


def _window(fits: StudyFit, name: str, left_out: str, part: StudyFit | str) -> Window:
    if isinstance(part, str) or name not in part.mixtures:
        missing = {"params_exponent": None, "alpha": None, "beta": None}
        return Window(
            left_out=left_out,
            cells=0,
            **missing,
            shift=float("nan"),
            moved=False,
            chance=float("nan"),
            significant=False,
            reason=why_not(part, name),
        )
    full, fitted = fits.mixtures[name].frontier["params_exponent"], part.mixtures[name]
    found = fitted.frontier["params_exponent"]
    halves = [(e.high - e.low) / 2 for e in (full, found)]
    chance, shift = math.sqrt(max(0.0, halves[1] ** 2 - halves[0] ** 2)), found.value - full.value
    moved = not full.low <= found.value <= full.high
    return Window(
        left_out=left_out,
        cells=fitted.n_cells,
        params_exponent=found,
        alpha=fitted.parameters["alpha"],
        beta=fitted.parameters["beta"],
        shift=shift,
        moved=moved,
        chance=chance,
        significant=moved and abs(shift) > chance and full.identified and found.identified,
    )
