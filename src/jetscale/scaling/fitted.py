"""What a fit returns: the law of each mixture with all that qualifies it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from jetscale.errors import FitError
from jetscale.scaling import bootstrap
from jetscale.scaling.bootstrap import Replicates
from jetscale.scaling.cost import CostModel
from jetscale.scaling.engine.forms import CHINCHILLA, Law, law_named
from jetscale.scaling.engine.laws import Array
from jetscale.scaling.estimate import Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What to fit and how; the names that every output repeats."""

    law: str = CHINCHILLA.name
    """One of `forms.LAWS`."""
    objective: str = "huber"
    """One of `objective.NAMES`."""
    uncertainty: str | None = None
    """One of `bootstrap.METHODS`; by default the one that suits the table."""
    shared: tuple[str, ...] = ()
    """Parameters all mixtures have in common, beside those the law itself shares."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MixtureFit:
    """The law of one mixture, its frontier and how they were obtained."""

    mixture: str
    n_runs: int
    n_cells: int
    objective: str
    """What was minimised."""
    objective_value: float
    delta: float
    """Width of the quadratic zone of the Huber loss, in log loss."""
    parameters: Mapping[str, Estimate]
    """E, A, B, alpha, beta, and what else the law has."""
    frontier: Mapping[str, Estimate]
    """params_exponent and data_exponent."""
    starts: int
    """Grid points tried."""
    starts_polished: int
    """Of them, how many were followed to an optimum."""
    starts_at_optimum: int
    """Of those, how many ended at the best one."""
    converged: bool
    gradient_norm: float
    """Largest derivative of the objective by an unknown that is not at a bound."""
    condition: float
    """Condition number of the scaled Jacobian at the optimum; 1e3 and more means collinear."""
    at_bounds: tuple[str, ...]
    """Parameters at a bound in the fit itself."""
    worst_residual: float
    """Largest relative distance of a run from the law."""
    replicates_degenerate: int
    """Bootstrap replicates that lost a term of the law or did not converge."""
    window: Mapping[str, tuple[float, float]]
    """Smallest and largest params, examples, loss and flops of the runs."""
    warnings: tuple[str, ...]
    theta: Array = field(repr=False, compare=False)
    """(P,) fitted parameters, in the order of ``law.parameters``."""
    replicates: Replicates = field(repr=False, compare=False)
    law: Law = field(default=CHINCHILLA, repr=False)
    uncertainty: str = "cells"
    """How the intervals were made, one of `bootstrap.METHODS`."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        plain = {
            name: getattr(self, name)
            for name in self.__slots__
            if name not in ("mixture", "theta", "replicates", "parameters", "frontier", "law")
        }
        estimates = {
            "parameters": {name: value.to_dict() for name, value in self.parameters.items()},
            "frontier": {name: value.to_dict() for name, value in self.frontier.items()},
        }
        lists = {
            "law": self.law.name,
            "window": {name: list(ends) for name, ends in self.window.items()},
            "at_bounds": list(self.at_bounds),
            "warnings": list(self.warnings),
        }
        return plain | estimates | lists


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyFit:
    """The laws of all mixtures of a run table."""

    mixtures: Mapping[str, MixtureFit]
    not_fitted: Mapping[str, str]
    """Mixtures left out, and why."""
    cost: CostModel
    delta: float
    replicates: int
    seed: int
    warnings: tuple[str, ...]
    runs: pd.DataFrame = field(repr=False, compare=False)
    """The checked run table."""
    options: Options = field(default_factory=Options)
    """What was fitted and how."""

    @property
    def interval(self) -> str:
        """How the intervals were made, in words."""
        kinds = dict.fromkeys(fitted.uncertainty for fitted in self.mixtures.values())
        return "; ".join(bootstrap.METHODS[name] for name in kinds)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "mixtures": {name: fitted.to_dict() for name, fitted in self.mixtures.items()},
            "not_fitted": dict(self.not_fitted),
            "law": law_named(self.options.law).formula,
            "shared": list(self.options.shared),
            "objective": self.options.objective,
            "compute": self.cost.to_dict(),
            "interval": self.interval,
            "replicates": self.replicates,
            "seed": self.seed,
            "warnings": list(self.warnings),
        }


def two_terms(options: Options, what: str) -> None:
    """Refuse laws whose optimum depends on more than N and D.

    Raises
    ------
    FitError
        The law is neither ``chinchilla`` nor ``no-floor``.
    """
    if options.law not in (CHINCHILLA.name, "no-floor"):
        raise FitError(
            f"{what} needs a law of params and examples alone, not {options.law!r}; fit "
            f"{CHINCHILLA.name!r} or use the optimum of the fitted law itself"
        )
