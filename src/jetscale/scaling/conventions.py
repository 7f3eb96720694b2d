"""The frontier under several ways to count compute, side by side.

How compute is counted moves the exponents (arXiv 2406.19146). So each mixture is answered under

- the table's own convention: the flops column as C = k N^p D where there is one;
- C = 6 N D with N all parameters;
- C = 6 N' D with N' the parameters without embedding, the law refitted with N' as the size;
- C = k N^p D + P(N) / uses, P(N) = m N^q being the pretraining of a model of that size, shared by
  a number of uses: the exponents are local slopes d log N* / d log C at the optimum.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from jetscale.errors import FitError
from jetscale.scaling import bootstrap
from jetscale.scaling.cost import CostModel, power_law
from jetscale.scaling.diagnostics.batch import refit, why_not
from jetscale.scaling.engine import frontier
from jetscale.scaling.engine.laws import Array
from jetscale.scaling.estimate import Estimate
from jetscale.scaling.fitted import MixtureFit, StudyFit

SIX = CostModel(k=6.0, p=1.0, worst_residual=0.0, measured=False)
"""C = 6 N D: two FLOPs per parameter and example forward, four backward."""
_STEP = 0.9  # local slopes compare the optima at this factor below and above the budget


@dataclass(frozen=True, slots=True, kw_only=True)
class PretrainingCost:
    """P(N) = m N^q in FLOPs, fitted to what the models of a mixture cost."""

    m: float
    q: float
    worst_residual: float  # largest relative distance of a model's stated pretraining from it

    def flops(self, params: Array) -> Array:
        """FLOPs of the pretraining of models of these sizes."""
        return np.asarray(self.m * params**self.q)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConventionRow:
    """The frontier of one mixture under one convention."""

    name: str  # short, for a table
    convention: str  # the cost model in words
    params_exponent: Estimate | None = None  # a in N* ~ C^a; None: does not apply
    data_exponent: Estimate | None = None  # b in D* ~ C^b
    budget: float = math.nan  # middle of the measured compute, in FLOPs of this convention
    params: Estimate | None = None  # N* at the budget, counted as the convention counts parameters
    examples: Estimate | None = None  # D* at the budget
    reason: str = ""  # why there are no numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class MixtureConventions:
    """One mixture under all conventions."""

    mixture: str
    rows: tuple[ConventionRow, ...]  # the table's own convention first
    json_also: ClassVar[tuple[str, ...]] = ("spread",)

    @property
    def spread(self) -> str:
        """Smallest and largest params exponent, with their conventions."""
        found = [(row.params_exponent.value, row.name) for row in self.rows if row.params_exponent]
        low, first = min(found, key=lambda pair: pair[0])
        high, last = max(found, key=lambda pair: pair[0])
        if len(found) == 1:
            return f"a = {low:.3f} ({first}); no other convention applies"
        return f"a from {low:.3f} ({first}) to {high:.3f} ({last}), by the convention alone"


def conventions(
    fits: StudyFit, uses: Sequence[float] = (1, 10)
) -> Mapping[str, MixtureConventions]:
    """The frontier of every fitted mixture under every convention its table allows.

    ``uses`` are numbers of downstream trainings that share one pretraining; raises FitError for one
    that is not a finite number above zero.
    """
    for count in uses:
        if not (math.isfinite(count) and count > 0):
            raise FitError(f"uses is {count}, needs finite numbers above zero, e.g. 1 and 10")
    without_embedding: StudyFit | str | None = None
    if "params_non_embedding" in fits.runs:  # the law refitted with that count as the size
        runs = fits.runs.assign(params=fits.runs["params_non_embedding"])
        runs = runs.drop(columns=["flops", "params_non_embedding"], errors="ignore")
        without_embedding = refit(fits, runs)
    return {
        name: MixtureConventions(
            mixture=name, rows=tuple(_rows(fits, name, uses, without_embedding))
        )
        for name in fits.mixtures
    }


def _rows(
    fits: StudyFit, name: str, uses: Sequence[float], bare: StudyFit | str | None
) -> list[ConventionRow]:
    fitted, runs = fits.mixtures[name], fits.runs[fits.runs["mixture"] == name]
    own = "exact" if fits.cost.measured else "6ND"
    rows = [_downstream(own, fits.cost.convention, fits.cost, fitted, runs)]
    if fits.cost.measured:
        text = "C = 6 x params x examples, params: all trainable parameters"
        rows.append(_downstream("6ND", text, SIX, fitted, runs.drop(columns="flops")))
    if bare is not None:
        label = "6ND without embedding"
        text = "C = 6 x params x examples, params: without embedding, the law refitted with them"
        if isinstance(bare, str) or name not in bare.mixtures:
            rows.append(ConventionRow(name=label, convention=text, reason=why_not(bare, name)))
        else:
            mine = bare.runs[bare.runs["mixture"] == name]
            rows.append(_downstream(label, text, bare.cost, bare.mixtures[name], mine))
    if "pretraining_flops" in fits.runs and fits.runs["pretraining_flops"].any():
        rows += [_total(fits.cost, fitted, runs, count) for count in uses]
    return rows


def _downstream(
    name: str, text: str, cost: CostModel, fitted: MixtureFit, runs: pd.DataFrame
) -> ConventionRow:
    """A convention in which the law's own formulas give the frontier."""
    budget = _middle(cost.of_runs(runs))
    law, both = fitted.law, fitted.all_theta
    best = law.optimum(both, budget, cost, **law.held(runs))
    slopes = law.exponents(both, cost, budget)
    return _row(name, text, cost, fitted, budget, slopes, (best.params, best.examples))


def _middle(flops: Array) -> float:
    return math.sqrt(float(flops.min()) * float(flops.max()))


def _row(
    name: str,
    text: str,
    cost: CostModel,
    fitted: MixtureFit,
    budget: float,
    slopes: tuple[Array, Array],
    sizes: tuple[Array, Array],
) -> ConventionRow:
    """Estimates from the fit (first) and its replicates (the rest), (1 + R,) each."""
    cells, bounded = len(fitted.replicates.cells), fitted.law.bounded(fitted.all_theta, cost)
    exponents = bootstrap.exponent_estimates(slopes, cells, fitted.parameters, cost, bounded)
    reason = exponents["params_exponent"].reason
    params, examples = (Estimate.of(size[0], size[1:], cells, reason) for size in sizes)
    return ConventionRow(
        name=name,
        convention=text,
        params_exponent=exponents["params_exponent"],
        data_exponent=exponents["data_exponent"],
        budget=budget,
        params=params,
        examples=examples,
    )


def _total(cost: CostModel, fitted: MixtureFit, runs: pd.DataFrame, uses: float) -> ConventionRow:
    """Downstream training and a share of the pretraining."""
    label = f"total, {uses:g} use{'' if uses == 1 else 's'}"
    spent = runs["pretraining_flops"].to_numpy()
    if not spent.any():
        text = "no pretraining: total and downstream compute are the same"
        return _downstream(label, text, cost, fitted, runs)
    found = pretraining_cost(runs)
    text = f"downstream compute and pretraining / {uses:g}"
    if isinstance(found, str):
        return ConventionRow(name=label, convention=text, reason=found)
    text = (
        f"{text}: C = {cost.k:.4g} x params^{cost.p:.4f} x examples + {found.m:.4g} x "
        f"params^{found.q:.4f} / {uses:g} (worst model off by {found.worst_residual:.1%})"
    )
    budget = _middle(cost.of_runs(runs) + spent / uses)
    law, theta, columns = fitted.law, fitted.all_theta, fitted.law.held(runs)
    budgets = np.array([[_STEP], [1.0], [1 / _STEP]]) * budget
    params, examples = frontier.split(
        lambda n, d: law.loss(theta, n, d, **columns),
        np.broadcast_to(budgets, (3, len(theta))),
        cost,
        lambda n: found.flops(n) / uses,
    )
    step = -2 * math.log(_STEP)
    slopes = [np.log(sizes[2] / sizes[0]) / step for sizes in (params, examples)]
    sizes = params[1], examples[1]
    return _row(label, text, cost, fitted, budget, (slopes[0], slopes[1]), sizes)


def pretraining_cost(runs: pd.DataFrame) -> PretrainingCost | str:
    """P(N) by least squares of log P on log N over the model sizes, or why there is none."""
    sizes = runs.groupby("params")["pretraining_flops"].agg(["min", "max"]).reset_index()
    if (sizes["min"] == 0).any():
        return "some of its runs have pretraining_flops and others none"
    x = np.log(sizes["params"].to_numpy())
    y = np.log(np.sqrt(sizes["min"].to_numpy() * sizes["max"].to_numpy()))
    log_m, q = power_law(x, y)
    if q < 0:
        return f"its pretraining_flops fall with params (power {q:.2f})"
    off = np.abs(np.log(runs["pretraining_flops"]) - log_m - q * np.log(runs["params"]))
    return PretrainingCost(m=math.exp(log_m), q=q, worst_residual=float(np.expm1(off.max())))
