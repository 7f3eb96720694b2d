"""How sure a fit is, and whether the runs determine it at all.

The unit of resampling is the cell: its seeds share data and stay together. Draws depend on the
numbers of cells, runs and trunks and on the seed alone: mixtures run on the same cells get the same
draws, and their replicates are paired. All cells share one test set and may share training data: no
interval covers what that does. Each estimate carries the reason where it is not identified.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from jetscale.errors import FitError, unknown
from jetscale.scaling import wild
from jetscale.scaling.components import Components
from jetscale.scaling.cost import CostModel
from jetscale.scaling.engine import laws
from jetscale.scaling.engine.family import Family
from jetscale.scaling.engine.forms import CHINCHILLA, Law
from jetscale.scaling.engine.laws import Array
from jetscale.scaling.engine.objective import Objective
from jetscale.scaling.estimate import Estimate, percentile_interval
from jetscale.scaling.kinds import share_trunks
from jetscale.scaling.outlook import Outlook, Simulations

_SHARED = "cells that share training examples count as independent"
_TRUNKS = "cells that share a pretrained trunk or training examples count as independent"
_EFFECTS = f"with variances averaged over what the residuals allow ({_SHARED}), 95%"
_TOGETHER = f"over cells with their seeds kept together ({_TRUNKS})"
METHODS = {
    "components": f"refits to a redrawn smooth misfit and effects of cells and runs {_EFFECTS}",
    "trunks": f"refits to a redrawn smooth misfit and effects of trunks, cells and runs {_EFFECTS}",
    "cells": f"bootstrap {_TOGETHER}, expanded percentiles, 95%",
    "wild": f"wild cluster bootstrap {_TOGETHER}, Student percentiles, 95%",
}
"""What each kind of uncertainty is called in the outputs. ``cells`` draws cells with replacement,
``wild`` multiplies each cell's own residuals by a random number."""
_BOUND_SHARE = 0.10  # a parameter at its bound in more of the replicates is not identified
_AT_BOUND = 1e-6
_SPAN_SHARE = 0.80  # nor is one whose interval covers more than this share of what is allowed
_COLLINEAR = 1e6  # condition number beyond which runs leave a direction open; 20 is usual


@dataclass(frozen=True, slots=True, eq=False)
class Replicates:
    """Refits to resampled cells."""

    theta: Array  # (R, 5) parameters
    low: NDArray[np.bool_]  # (R, 5) at the lower bound
    high: NDArray[np.bool_]  # (R, 5) at the upper bound
    degenerate: NDArray[np.bool_]  # (R,) fits that lost a term of the law or did not converge
    cells: NDArray[np.int64]  # numbers of the cells resampled
    outlook: Outlook  # the loss at any sizes, with what the law misses
    components: Components | None = None  # of the residuals; None where the fit was kept


def cell_weights(count: int, replicates: int, seed: int) -> Array:
    """How often each of ``count`` cells is drawn, (replicates, count)."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(count, np.full(count, 1 / count), size=replicates).astype(float)


def choose_method(asked: str | None) -> str:
    """Name of the method, as asked or by default; raises FitError."""
    if asked is None:
        return "components"
    if asked not in METHODS:
        raise FitError(unknown("uncertainty", asked, METHODS))
    return asked


def resample(
    family: Family,
    q: Array,
    runs: pd.DataFrame,
    objective: Objective,
    replicates: int,
    seed: int,
    method: str = "components",
) -> list[Replicates]:
    """Refit the laws, with optimum q (1, K), to redrawn data; one value per mixture.

    ``runs`` are the rows of a clean run table the family was made from, in the same order.
    """
    by_trunk = method == "trunks" or share_trunks(runs)
    simulations = Simulations(family, q, runs, objective, replicates, seed, by_trunk)
    numbers, index = np.unique(runs["cell"].to_numpy(), return_inverse=True)
    if method == "cells":
        # a cell drawn twice counts twice: redrawing is reweighting, and the runs stay what they are
        weights = cell_weights(len(numbers), replicates, seed)[:, index]
        fits = family.fit(weights, objective)
    elif method == "wild":
        fits = wild.draw(family, q, index, objective, replicates, seed)
    else:
        fits = simulations.around
    found = []
    for group, places in enumerate(family.slots):
        low, high = fits.low[:, places], fits.high[:, places]
        # a term at its lower bound has vanished: such a fit says nothing about its exponent
        lost = low[:, 1] | low[:, 2] | ~fits.converged
        cells = np.unique(runs["cell"].to_numpy()[family.group == group])
        outlook = Outlook(simulations, group, len(cells))
        made = family.theta(fits.q, group), low, high, lost, cells
        found.append(Replicates(*made, outlook, simulations.components[group]))
    return found


def parameter_estimates(
    theta: Array,
    low: NDArray[np.bool_],
    high: NDArray[np.bool_],
    replicates: Replicates,
    lowest_loss: float,
    law: Law = CHINCHILLA,
) -> dict[str, Estimate]:
    """Estimates of the parameters of a law with the reason where one is not identified.

    A and B are the heights of their terms at N = 1 and D = 1, far outside any data, and so is k:
    they are only as well determined as their exponents, and inherit their verdict.
    """
    lowest, highest = laws.EXPONENT_BOUNDS
    allowed = {"E": lowest_loss, "alpha": highest - lowest, "beta": highest - lowest}
    allowed |= {extra.name: extra.high - extra.low for extra in law.extras if extra.name != "k"}
    in_logs = {extra.name for extra in law.extras if extra.log}
    found: dict[str, Estimate] = {}
    for i, name in enumerate(law.parameters):
        # the worst first: a bound, then an interval as wide as what is allowed, then one end at it
        ends = percentile_interval(replicates.theta[:, i], len(replicates.cells))
        parts = []
        for side, at, draws in (("lower", low, replicates.low), ("upper", high, replicates.high)):
            if (share := draws[:, i].mean()) > _BOUND_SHARE:
                parts.append(f"{share:.0%} of bootstrap replicates end at its {side} bound")
            if at[i]:
                parts.append(f"the fit itself ends at its {side} bound")
        reason = "; ".join(parts)
        if name in allowed:
            span_of = [math.log(end) for end in ends] if name in in_logs else ends
            reason = reason or _spans(span_of, allowed[name])
        if name in ("alpha", "beta") and not reason:
            # at a bound a term is a constant or a step: an interval that holds it excludes little
            if ends[0] <= lowest * (1 + _AT_BOUND):
                reason = f"its interval reaches its lower bound {lowest:g}"
            elif ends[1] >= highest - _AT_BOUND:
                reason = f"its interval reaches its upper bound {highest:g}"
        found[name] = Estimate(value=float(theta[i]), low=ends[0], high=ends[1], reason=reason)
    for height, exponent in (("A", "alpha"), ("B", "beta"), ("k", "x"), ("k", "y")):
        if height in found and found[height].identified and not found[exponent].identified:
            found[height] = replace(found[height], reason=f"{exponent} is not identified")
    return found


def misfit_reasons(parameters: Mapping[str, Estimate], reason: str) -> dict[str, Estimate]:
    """Mark E, alpha and beta where the law is missed by more than runs scatter."""
    names = {"E", "alpha", "beta"}
    return {
        name: replace(found, reason=found.reason or reason) if name in names else found
        for name, found in parameters.items()
    }


def open_directions(
    parameters: Mapping[str, Estimate], law: Law, condition: float
) -> dict[str, Estimate]:
    """Mark the parameters beyond alpha and beta where they trade off against others.

    Where all runs repeat examples equally often, their decay ends wherever its search started.
    """
    if condition < _COLLINEAR:
        return dict(parameters)
    reason = f"it trades off against other parameters: condition number {condition:.0e}"
    extras = {extra.name for extra in law.extras}
    return {
        name: replace(found, reason=found.reason or reason) if name in extras else found
        for name, found in parameters.items()
    }


def exponent_estimates(
    slopes: tuple[Array, Array],
    cells: int,
    parameters: Mapping[str, Estimate],
    cost: CostModel,
    bounded: NDArray[np.bool_],
) -> dict[str, Estimate]:
    """Estimates of the frontier exponents of N* and D* from the fit and its replicates (1 + R,).

    A lower E with lower exponents fits the same runs: they are identified where E, alpha and beta
    all are, and where N* is ``bounded`` (1 + R,).
    """
    inherited, found = not_identified(parameters), {}
    if not bounded[0] or (share := 1 - bounded[1:].mean()) > _BOUND_SHARE:
        where = f"in {share:.0%} of bootstrap replicates" if bounded[0] else "under the fit itself"
        inherited = inherited or f"N* has no bound {where}"
    names = ("params_exponent", 1 / cost.p), ("data_exponent", 1.0)
    for (name, allowed), each in zip(names, slopes, strict=True):
        low, high = percentile_interval(each[1:], cells)
        reason = inherited or _spans((low, high), allowed)
        found[name] = Estimate(value=float(each[0]), low=low, high=high, reason=reason)
    return found


def not_identified(parameters: Mapping[str, Estimate], law: Law = CHINCHILLA) -> str:
    """Return which of E, alpha and beta are not identified, as a clause, or an empty text.

    The further parameters of ``law`` count too, but for k: it is the height of a term.
    """
    names = ["E", "alpha", "beta", *(extra.name for extra in law.extras if extra.name != "k")]
    loose = [name for name in names if name in parameters and not parameters[name].identified]
    if len(loose) < 2:
        return f"{loose[0]} is not identified" if loose else ""
    return f"{', '.join(loose[:-1])} and {loose[-1]} are not identified"


def _spans(ends: Sequence[float], allowed: float) -> str:
    share = (ends[1] - ends[0]) / allowed
    if share <= _SPAN_SHARE:
        return ""
    return f"its interval spans {min(share, 1.0):.0%} of what is allowed"
