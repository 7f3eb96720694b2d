"""The same budget under other assumptions about the floor E, for budgets far from the runs.

Far beyond the runs the floor decides the loss, and it is what runs determine worst: with a floor of
its own, one for all mixtures, and none, the answers show what rests on it.
"""

import math
from collections.abc import Mapping
from dataclasses import replace

import pandas as pd

from jetscale.errors import FitError
from jetscale.scaling.allocation.values import FloorAnswer
from jetscale.scaling.budget import Budget
from jetscale.scaling.engine.law import CHINCHILLA, NO_FLOOR
from jetscale.scaling.estimate import Estimate
from jetscale.scaling.fit import fit
from jetscale.scaling.fitted import StudyFit

FROM = 1.0  # decades beyond the measured compute
_REPLICATES = 200


def floor_answers(fits: StudyFit, budget: Budget) -> Mapping[str, tuple[FloorAnswer, ...]]:
    """Return the optima of every fitted mixture with own, shared and no floor.

    Empty for laws other than the default one, and where a floor is shared or examples have a price.
    """
    fewer = min(fits.options.replicates, _REPLICATES)
    options = replace(fits.options, replicates=fewer, delta=fits.delta)
    if options.law != CHINCHILLA.name or options.shared or budget.per_example:
        return {}
    asked = {"own": fits}
    changes = (
        ("shared", replace(options, shared=("E",))),
        ("zero", replace(options, law=NO_FLOOR.name)),
    )
    for floor, change in changes:
        if floor == "shared" and len(fits.mixtures) < 2:
            continue
        try:
            asked[floor] = fit(_fitted(fits), change)
        except FitError:
            continue
    found: dict[str, list[FloorAnswer]] = {}
    whole = sum(fitted.objective_value for fitted in fits.mixtures.values())
    for floor, one in asked.items():
        for name, fitted in one.mixtures.items():
            best = fitted.law.optimum(fitted.theta, budget.flops, fits.cost)
            losses = fitted.losses(best.params, best.examples)
            loss = Estimate.of(losses[0], losses[1:], fitted.n_cells)
            sizes = {"params": float(best.params), "examples": float(best.examples)}
            # mixtures that share a floor were fitted together, to one objective
            base = whole if floor == "shared" else fits[name].objective_value
            worse = fitted.objective_value / base if base else math.nan
            found.setdefault(name, []).append(
                FloorAnswer(floor=floor, fit=worse, loss=loss, **sizes)
            )
    return {name: tuple(answers) for name, answers in found.items()}


def _fitted(fits: StudyFit) -> pd.DataFrame:
    return fits.runs[fits.runs["mixture"].isin(fits.mixtures)]
