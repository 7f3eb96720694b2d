"""Which route forecasts better: the budgets of most compute, foretold from the cells below them.

The best size and loss at the held-out budgets are those of their own profiles. A route is better
where its error is clearly smaller by what these are known to.
"""

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pandas as pd

from jetscale.errors import FitError
from jetscale.scaling.engine.laws import Array
from jetscale.scaling.fit import fit_together
from jetscale.scaling.fitted import FEWEST_REPLICATES, MixtureFit, StudyFit
from jetscale.scaling.routes.isoflop import isoflop
from jetscale.scaling.routes.noise import Noise
from jetscale.scaling.routes.route import Route, cell_means

_SHARE = 3  # a third of the budgets is held out
_CLEAR = 2.0  # standard errors by which an error must be smaller, and none larger by 1
_KEPT = 3  # budgets a route needs


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteForecast:
    """How far a route was off at the held-out budgets."""

    route: str
    size_error: float  # rms of log N* foretold less measured
    loss_error: float  # mean of the relative error of the loss: positive where it was too high
    worst_loss: float  # rms of the same


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOutBudgets:
    """The forecasts of one mixture."""

    budgets: tuple[float, ...]  # FLOPs
    decades: float  # from the largest cell fitted to the largest of them
    size_noise: float  # rms standard error of the measured log N*
    loss_noise: float  # of the measured log losses
    forecasts: tuple[RouteForecast, ...]  # the law first
    json_also: ClassVar[tuple[str, ...]] = ("better", "text")

    @property
    def better(self) -> str:
        """The route that forecast better than the other; empty where none did."""
        law, other = self.forecasts
        wins = [
            (law.size_error - other.size_error) / self.size_noise if self.size_noise else 0.0,
            (law.worst_loss - other.worst_loss) / self.loss_noise if self.loss_noise else 0.0,
        ]
        if max(wins) > _CLEAR and min(wins) > -1:
            return other.route
        return law.route if min(wins) < -_CLEAR and max(wins) < 1 else ""

    @property
    def text(self) -> str:
        """The errors in words."""
        shown = ", ".join(
            f"the {f.route} missed N* by x{math.exp(f.size_error):.2f} and the loss by "
            f"{f.loss_error:+.2%}"
            for f in self.forecasts
        )
        count = (
            f"{len(self.budgets)} largest budgets" if len(self.budgets) > 1 else "largest budget"
        )
        better = f"the {self.better} forecast better" if self.better else "neither is better"
        return (
            f"on the {count} held out, {self.decades:.1f} decades beyond the fit, {shown} "
            f"(+: foretold too high): {better}"
        )


def held_out(
    fits: StudyFit, fitted: MixtureFit, runs: pd.DataFrame, route: Route, noise: Noise
) -> HeldOutBudgets | None:
    """Forecast the upper third of the budgets of an isoFLOP route; None where too few are left."""
    if route.line is None:
        return None
    log_c = route.line.budgets
    kept = len(log_c) - max(1, len(log_c) // _SHARE)
    if kept < _KEPT:
        return None
    spent = fits.cost.of_runs(runs)
    below = spent < math.exp((log_c[kept - 1] + log_c[kept]) / 2)
    options = replace(fits.options, replicates=FEWEST_REPLICATES, shared=())
    try:
        law = fit_together({"m": runs[below]}, fits.cost, fits.delta, options)["m"]
    except FitError:
        return None
    cells = _cells(runs)
    seen = cells.isin(_cells(runs[below]))
    part = cell_means(runs[below], fits.cost, replace(noise, errors=noise.errors[seen]))
    reduced = isoflop(part, fits.cost, part.redrawn(FEWEST_REPLICATES, fits.options.seed))
    if reduced.line is None:
        return None
    ahead, line = log_c[kept:], reduced.line
    measured = route.line.log_n[:, kept:], route.line.log_loss[:, kept:]
    held = law.law.held(runs)
    best = law.law.optimum(law.theta, np.exp(ahead), fits.cost, **held)
    expected = law.losses(best.params[:, None], best.examples[:, None], **held)[:, 0]
    by_law = np.log(best.params), np.log(expected)
    by_line = (
        np.array([line.log_params(c)[0][0] for c in ahead]),
        np.log([line.losses(c)[0][0] for c in ahead]),
    )
    scored = [("law", by_law), (route.name, by_line)]
    return HeldOutBudgets(
        budgets=tuple(np.exp(ahead).tolist()),
        decades=float((ahead[-1] - np.log(spent[below].max())) / math.log(10)),
        size_noise=_rms(measured[0][1:].std(axis=0)) if len(measured[0]) > 1 else 0.0,
        loss_noise=_rms(measured[1][1:].std(axis=0)) if len(measured[1]) > 1 else 0.0,
        forecasts=tuple(
            RouteForecast(
                route=name,
                size_error=_rms(n - measured[0][0]),
                loss_error=float(np.expm1(z - measured[1][0]).mean()),
                worst_loss=_rms(z - measured[1][0]),
            )
            for name, (n, z) in scored
        ),
    )


def _cells(runs: pd.DataFrame) -> pd.MultiIndex:
    sizes = runs[["params", "examples"]].drop_duplicates().sort_values(["params", "examples"])
    return pd.MultiIndex.from_frame(sizes)


def _rms(values: Array) -> float:
    return float(np.sqrt(np.mean(values**2)))
