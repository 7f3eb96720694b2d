"""How to spend a budget: model size, data size and mixture, with what the answer rests on.

Intervals are those of the bootstrap replicates, for the expected loss. Outside the compute range
of the runs the answer is an extrapolation, and says by how many decades. What may be said is
decided in `allocation`, once: every output is made from its values and its sentence.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from jetscale.errors import FitError, unknown
from jetscale.scaling.allocation import by_law, by_route, sense
from jetscale.scaling.allocation.floors import FROM, floor_answers
from jetscale.scaling.allocation.measured import run_noise
from jetscale.scaling.allocation.sentence import sentence
from jetscale.scaling.allocation.values import (
    Allocation,
    ByMixture,
    MixtureAllocation,
    Rival,
    first_of,
    shares_lowest,
)
from jetscale.scaling.budget import Budget, flops_budget, measured_rate
from jetscale.scaling.comparison.paired import PairedMixtures, pair_runs
from jetscale.scaling.cost import pretraining
from jetscale.scaling.engine.laws import Array
from jetscale.scaling.fitted import StudyFit
from jetscale.scaling.routes.verdict import LAW, Routes, routes_of
from jetscale.scaling.searched import unlike
from jetscale.scaling.table import noun_of, quantity_of


def check_mixture(mixture: str | None, names: Iterable[str]) -> None:
    """Refuse a mixture no run has; worth calling before a fit is made. Raises FitError."""
    known = list(dict.fromkeys(names))
    if mixture is not None and mixture not in known:
        raise FitError(unknown("mixture", mixture, known))


def allocate(
    fits: StudyFit,
    budget: float | Budget,
    *,
    mixture: str | None = None,
    ladder: Sequence[float] = (),
    route: str = LAW,
    routes: Mapping[str, Routes] | None = None,
) -> Allocation:
    """Return the best model size, data size and loss within a budget.

    N* and D* minimise L(N, D) at C(N, D) = C, or where data have a price at u C(N, D) + v D = the
    budget, see `jetscale.scaling.budget`. Laws with a covariate answer at the value that `Law.held`
    gives, and the warnings say it.

    Args:
        budget: Of one training run: FLOPs in the convention of ``fits.cost``, or a `Budget`.
        mixture: Answer for this mixture alone; by default for all.
        ladder: Model sizes to choose from; by default any.
        route: What answers: law, isoFLOP or envelope.
        routes: What `all_routes` gave, where it is there already.

    Raises FitError where the budget is not a finite number above zero or out of reach, the mixture
    has no fit or not this route, examples have a price under a law that has no formula for it, or
    a route is asked for a ladder or prices.
    """
    budget = budget if isinstance(budget, Budget) else flops_budget(budget)
    name, sizes = by_route.route_named(route), np.array(sorted(ladder), dtype=float)
    check_mixture(mixture, fits.runs["mixture"])
    if name == LAW and mixture is not None and mixture in fits.not_fitted:
        raise FitError(f"mixture {mixture!r} was not fitted: it {fits.not_fitted[mixture]}")
    if name != LAW and (len(sizes) or budget.per_example):
        raise FitError(f"a ladder and a price of examples go with the law, not with {name}")
    sense.check_reach(str(budget), budget.flops, fits.flops)
    chosen = [n for n in fits.runs["mixture"].unique() if mixture in (None, n)]
    known = {n: _routes(fits, n, routes) for n in chosen}
    left_out = dict(fits.not_fitted)
    if name == LAW:
        found = _by_law(fits, [n for n in chosen if n in fits.mixtures], budget, sizes)
        found = {n: replace(m, rival=_rival(known[n], budget, fits)) for n, m in found.items()}
    else:
        found, left_out = _by_route(fits, known, name, budget)
    away = _beyond(found[first_of(found)], budget, fits)
    if name == LAW and abs(away) > FROM and not len(sizes):
        floors = floor_answers(fits, budget)
        found = {n: replace(one, floors=floors.get(n, ())) for n, one in found.items()}
    pairs: tuple[PairedMixtures, ...] = ()
    if len(found) > 1:
        with suppress(FitError):  # no common runs
            pairs = pair_runs(fits.runs).pairs
    replicates = [f.replicates for n, f in fits.mixtures.items() if n in found]
    made = Allocation(
        budget=budget,
        route=name,
        ladder=tuple(sizes.tolist()) or None,
        mixtures=ByMixture(found),
        pairs=pairs,
        paired=name == LAW and len({tuple(drawn.cells) for drawn in replicates}) == 1,
        decades_beyond=away,
        noise=run_noise(fits),
        convention=fits.cost.convention,
        interval=fits.interval if name == LAW else next(iter(known.values()))[name].interval,
        noun=noun_of(fits.runs),
        quantity=quantity_of(fits.runs),
        not_fitted=left_out,
        warnings=(
            *([f"{why}: do not choose between them by this"] if (why := unlike(fits.runs)) else ()),
            *(line for n, line in pretraining(fits.runs).items() if n in found),
            *(f"{n}: {known[n].verdict}" for n, m in found.items() if m.rival or known[n].disagree),
        ),
    )
    return replace(made, answer=sentence(made))


def _beyond(lowest: MixtureAllocation, budget: Budget, fits: StudyFit) -> float:
    """Decades by which the best run lies beyond the measured compute; FitError where it is none."""
    # a model without bound on no examples: nobody knows what that costs
    flops = budget.flops if math.isnan(lowest.flops) else lowest.flops
    if not 0 < flops < math.inf:
        raise FitError(f"{budget} buys no run: {flops:g} FLOPs; check amount and prices")
    return sense.beyond(flops, fits.flops)


def _routes(fits: StudyFit, name: str, routes: Mapping[str, Routes] | None) -> Routes:
    if routes and name in routes:
        return routes[name]
    return routes_of(fits, name, fits.runs[fits.runs["mixture"] == name])


def _by_law(
    fits: StudyFit, names: list[str], budget: Budget, sizes: np.ndarray
) -> dict[str, MixtureAllocation]:
    """Return the answers of the laws, and in which share of replicates each is lowest."""
    rate = _rate(fits)
    asked = {
        n: by_law.Question(
            fits.mixtures[n], fits.runs[fits.runs["mixture"] == n], budget, fits.cost, sizes, rate
        )
        for n in names
    }
    runs = {n: one.best(one.fitted.theta) for n, one in asked.items()}
    losses = {
        n: one.losses(float(runs[n].params), float(runs[n].examples)) for n, one in asked.items()
    }
    shares = shares_lowest(_apart(fits, losses))
    return {n: by_law.answer(one, losses[n], shares[n]) for n, one in asked.items()}


def _apart(fits: StudyFit, losses: Mapping[str, Array]) -> dict[str, Array]:
    """Return replicates (R,) of losses, paired between mixtures run on the same cells alone.

    Equal draws of unlike cells would tie errors that have nothing in common: they are reordered.
    """
    rng, found = np.random.default_rng(fits.options.seed), {}
    orders: dict[tuple[int, ...], NDArray[np.intp]] = {}
    for name, values in losses.items():
        cells = tuple(fits.mixtures[name].replicates.cells.tolist())
        found[name] = values[1:][orders.setdefault(cells, rng.permutation(len(values) - 1))]
    return found


def _by_route(
    fits: StudyFit, routes: Mapping[str, Routes], name: str, budget: Budget
) -> tuple[dict[str, MixtureAllocation], dict[str, str]]:
    """Return the answers of one route, and which mixtures lack it."""
    there, lacking = by_route.usable(routes, name)
    shares, rate = by_route.shares(there, budget, fits.options.seed), _rate(fits)
    hours = budget.flops / rate / 3600 if math.isfinite(rate) else None
    return {
        n: by_route.answer(
            n, route, fits.runs[fits.runs["mixture"] == n], budget, fits.cost, shares[n], hours
        )
        for n, route in there.items()
    }, lacking


def _rival(routes: Routes, budget: Budget, fits: StudyFit) -> Rival | None:
    """Return the answer of another route where it forecast held-out budgets better than the law."""
    if routes.better in ("", LAW) or (line := routes[routes.better].line) is None:
        return None
    params, examples, loss = line.at(budget.flops, fits.cost)
    return Rival(route=routes.better, params=params, examples=examples, loss=loss)


def _rate(fits: StudyFit) -> float:
    """FLOP/s of the runs of the table; nan where it has no times."""
    try:
        return measured_rate(fits.runs)[0]
    except FitError:
        return math.nan
