"""Fits the scaling law to each mixture of a run table: the best values and all that qualifies them.

The objective is the sum of Huber_delta of log residuals. delta separates noise from outliers, so by
default it is 2.5 times the spread between seeds of the same cell; a table without repeated cells
cannot tell the two apart and gets the customary 1e-3 (arXiv 2203.15556).
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Unpack

import numpy as np
import pandas as pd

from jetscale.errors import FitError
from jetscale.scaling import bootstrap
from jetscale.scaling.bootstrap import Replicates
from jetscale.scaling.components import Components
from jetscale.scaling.cost import CostModel, cost_model, pretraining
from jetscale.scaling.direction import not_a_loss
from jetscale.scaling.engine.family import Family, check_shared
from jetscale.scaling.engine.forms import CHINCHILLA, Law, law_named
from jetscale.scaling.engine.laws import Centred
from jetscale.scaling.engine.objective import Objective
from jetscale.scaling.engine.solver import Solution, slope
from jetscale.scaling.estimate import Estimate
from jetscale.scaling.fitted import (
    LEAST_DELTA,
    Exponents,
    Misfit,
    MixtureFit,
    Options,
    Settings,
    StudyFit,
)
from jetscale.scaling.kinds import share_trunks, too_few
from jetscale.scaling.table import ignored, seed_spread, validate
from jetscale.words import counted

_NOISE_WIDTHS = 2.5
_SAME_OPTIMUM = 1e-6
_SIZES_NEEDED = 3
_PRECISE = 1e-13  # relative precision of the point fit
_FEW_FREEDOM = 3


def fit(
    frame: pd.DataFrame, options: Options | None = None, **settings: Unpack[Settings]
) -> StudyFit:
    """Fit a law and the compute-optimal frontier to every mixture of a run table.

    By default L(N, D) = E + A / N^alpha + B / D^beta (arXiv 2203.15556, equation 2), and on
    C = k N^p D the frontier N* ~ C^a, D* ~ C^b. A mixture with too few cells is left out with the
    reason. ``settings`` are fields of `Options` and override ``options``:
    ``fit(runs, law="no-floor", replicates=200)["qcd"]["alpha"]``

    Raises TableError for a table that `table.validate` refuses, FitError where no mixture has
    enough cells or an option cannot be used.
    """
    options = replace(options or Options(), **settings)
    law = law_named(options.law)
    runs = validate(frame)
    if options.uncertainty is None and share_trunks(runs):
        # one method for all mixtures, those from scratch too, keeps their draws paired
        options = replace(options, uncertainty="trunks")
    groups = {str(name): part for name, part in runs.groupby("mixture", sort=False)}
    lacks = {name: shortage(part, law) or not_a_loss(part) for name, part in groups.items()}
    not_fitted = {name: why for name, why in lacks.items() if why}
    chosen = {name: part for name, part in groups.items() if name not in not_fitted}
    if not chosen:
        reasons: dict[str, list[str]] = {}
        for name, why in not_fitted.items():
            reasons.setdefault(why, []).append(repr(name))
        same = {why: f" (so has {', '.join(names[1:])})" for why, names in reasons.items()}
        raise FitError(
            "; ".join(
                f"mixture {names[0]} {why}{same[why] if len(names) > 1 else ''}"
                for why, names in reasons.items()
            )
        )
    law.check_study(runs)
    cost = cost_model(runs)
    delta = huber_width(runs) if options.delta is None else options.delta
    batches = [chosen] if check_shared(law, options.shared) else [{n: p} for n, p in chosen.items()]
    fitted: dict[str, MixtureFit] = {}
    for batch in batches:
        fitted |= fit_together(batch, cost, delta, options)
    warnings = [f"{name}: not fitted: {why}" for name, why in not_fitted.items()]
    warnings += [cost.warning] if cost.warning else []
    return StudyFit(
        mixtures=fitted,
        not_fitted=not_fitted,
        cost=cost,
        delta=delta,
        warnings=(*warnings, *ignored(runs, law.columns), *pretraining(runs).values()),
        runs=runs,
        options=options,
    )


def shortage(runs: pd.DataFrame, law: Law = CHINCHILLA) -> str:
    """Return what the runs of a mixture lack for a fit, or an empty text."""
    if missing := law.check(runs):
        return missing
    for column, what in (("params", "model size"), ("examples", "data size")):
        count = runs[column].nunique()
        if count < _SIZES_NEEDED:
            return f"has {counted(count, what)}, needs at least {_SIZES_NEEDED}"
    cells = runs["cell"].nunique()
    if cells <= law.free:
        return f"has {cells} cells (params, examples), needs at least {law.free + 1}"
    return ""


def huber_width(runs: pd.DataFrame) -> float:
    """2.5 times the pooled seed spread of log loss, at least 1e-3; 1e-3 where no cell repeats."""
    spread = seed_spread(runs, ["mixture", "cell"])
    return LEAST_DELTA if math.isnan(spread) else max(LEAST_DELTA, _NOISE_WIDTHS * spread)


def fit_together(
    groups: Mapping[str, pd.DataFrame], cost: CostModel, delta: float, options: Options
) -> dict[str, MixtureFit]:
    """Fit mixtures that share what ``options`` says, or a single one, with its replicates."""
    law, objective = law_named(options.law), Objective(options.objective, delta)
    runs = pd.concat(groups.values(), ignore_index=True)
    group = np.repeat(np.arange(len(groups)), [len(part) for part in groups.values()])
    logs = Centred.from_runs(runs, law.columns)
    family = Family(law, logs, group, check_shared(law, options.shared), objective.delta)
    ends = point_fit(family, objective)
    q = ends.q[[int(ends.objective.argmin())]]
    method = bootstrap.choose_method(options.uncertainty)
    draws = bootstrap.resample(family, q, runs, objective, options.replicates, options.seed, method)
    return {
        name: _describe(name, part, cost, objective, family, number, ends, draws[number], method)
        for number, (name, part) in enumerate(groups.items())
    }


def point_fit(family: Family, objective: Objective) -> Solution:
    """Optima reached from the best start in each block of the exponent grid, one row each."""
    q = family.starts()
    return family.descend(q, np.ones((len(q), len(family.runs.x))), objective, tolerance=_PRECISE)


def _describe(
    name: str,
    runs: pd.DataFrame,
    cost: CostModel,
    objective: Objective,
    family: Family,
    group: int,
    ends: Solution,
    draws: Replicates,
    method: str,
) -> MixtureFit:
    # the best of the optima reached, in the mixture's own parameters
    best, places = int(ends.objective.argmin()), family.slots[group]
    theta = family.theta(ends.q[best], group)
    low, high = ends.low[best], ends.high[best]
    named = family.law if family.applies(group) else CHINCHILLA
    parameters = bootstrap.parameter_estimates(
        theta, low[places], high[places], draws, float(runs["loss"].min()), named
    )
    misfit = _misfit(draws.components)
    parameters = bootstrap.misfit_reasons(parameters, misfit.reason)
    pull, condition = _at_optimum(family, ends, best, objective)
    parameters = bootstrap.open_directions(parameters, named, condition)
    shown = {column: runs[column].to_numpy() for column in ("params", "examples", "loss")}
    params, examples, measured = shown.values()
    shown["flops"] = cost.of_runs(runs)
    window = {n: (float(values.min()), float(values.max())) for n, values in shown.items()}
    middle = math.sqrt(window["flops"][0] * window["flops"][1])
    # exponents are local slopes for some laws: they are taken at the middle of the compute
    both, cells = np.vstack([theta, draws.theta]), len(draws.cells)
    slopes, bounded = family.law.exponents(both, cost, middle), family.law.bounded(both, cost)
    frontier = bootstrap.exponent_estimates(slopes, cells, parameters, cost, bounded)
    # how many starts found this optimum: few means that others were missed, or that it is flat
    near = ends.objective <= ends.objective[best] * (1 + _SAME_OPTIMUM) + 1e-15
    columns = {column: runs[column].to_numpy() for column in family.law.columns}
    residuals = measured / family.law.loss(theta, params, examples, **columns) - 1
    held = (low | high)[places]
    lines = _rough(runs, family.law, method) + _warnings(parameters, frontier, draws)
    lines += [misfit.text] if misfit.clear and not misfit.reason else []
    lines += [] if ends.converged[best] else ["the fit did not converge"]
    return MixtureFit(
        mixture=name,
        n_runs=len(runs),
        n_cells=cells,
        objective=objective.text,
        objective_value=objective.value(float(ends.objective[best]), len(family.runs.x)),
        delta=objective.delta,
        parameters=parameters,
        frontier=Exponents(frontier),
        starts=family.law.starts,
        starts_polished=len(ends.q),
        starts_at_optimum=int(near.sum()),
        converged=bool(ends.converged[best]),
        gradient_norm=pull,
        condition=condition,
        at_bounds=tuple(n for n, at in zip(family.law.parameters, held, strict=True) if at),
        worst_residual=float(np.abs(residuals).max()),
        replicates_degenerate=int(draws.degenerate.sum()),
        window=window,
        warnings=tuple(f"{name}: {line}" for line in lines),
        theta=theta,
        replicates=draws,
        misfit=misfit,
        law=family.law,
        uncertainty=method,
    )


def _misfit(parts: Components | None) -> Misfit:
    assert parts is not None  # this fit was made here
    own = float(np.sqrt(parts.spread))
    size = float(np.sqrt(((parts.smooth @ parts.mean) ** 2).mean()))
    return Misfit(p_value=parts.p_value, size=size, noise=own)


def _at_optimum(
    family: Family, ends: Solution, best: int, objective: Objective
) -> tuple[float, float]:
    """Largest derivative by a free unknown, and condition number of the scaled Jacobian."""
    design, q = family.design, ends.q[[best]]
    free = ~(ends.low[best] | ends.high[best]) & (design.lower < design.upper)
    width = objective.widths[-1]
    pull = slope(design, q, family.runs.z[None], np.ones((1, len(family.runs.x))), width)[0]
    J = design.jacobian(q)[0][free].T
    norms = np.linalg.norm(J, axis=0)
    condition = float(np.linalg.cond(J / np.where(norms > 0, norms, 1.0))) if J.size else 1.0
    return float(np.abs(pull[free]).max(initial=0.0)), condition


def _rough(runs: pd.DataFrame, law: Law, method: str) -> list[str]:
    """What limits the intervals themselves."""
    cells, lines = runs["cell"].nunique(), []
    if (freedom := cells - law.free) <= _FEW_FREEDOM:
        left = f"{counted(freedom, 'degree')} of freedom, intervals are wide and rough"
        lines.append(f"{cells} cells for {law.free} parameters: {left}")
    if method == "trunks" and (why := too_few(runs)):
        lines.append(why)
    return lines


def _warnings(
    parameters: Mapping[str, Estimate], frontier: Mapping[str, Estimate], draws: Replicates
) -> list[str]:
    """What a reader must know before using the numbers; root causes only."""
    loose: dict[str, list[str]] = {}
    for name, found in parameters.items():
        if name not in ("A", "B", "k") and not found.identified:
            loose.setdefault(found.reason, []).append(name)
    lines = [f"{', '.join(n)} not identified at this scale: {why}" for why, n in loose.items()]
    reasons = {e.reason for e in frontier.values()} - {"", bootstrap.not_identified(parameters)}
    lines += [f"frontier exponents not identified: {why}" for why in sorted(reasons)]
    if lost := int(draws.degenerate.sum()):
        lines.append(f"{lost} of {len(draws.theta)} bootstrap replicates are degenerate")
    return lines
