"""What is fitted and how (`Options`), and what comes of it: the law of each mixture."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypedDict

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from jetscale.errors import FitError, unknown
from jetscale.jsonable import HIDDEN, json_key
from jetscale.scaling import bootstrap
from jetscale.scaling.allocation import sense
from jetscale.scaling.bootstrap import Replicates
from jetscale.scaling.cost import CostModel
from jetscale.scaling.engine.family import check_shared
from jetscale.scaling.engine.forms import AUTO, CHINCHILLA, LAWS, Law, law_named
from jetscale.scaling.engine.laws import Array
from jetscale.scaling.engine.objective import Objective
from jetscale.scaling.estimate import Estimate, percentile_interval
from jetscale.scaling.heldout import Candidates, Forecast
from jetscale.scaling.table import ignored, quantity_of
from jetscale.shown import Shown, frame_of, later, row_of

FEWEST_REPLICATES = 50
LEAST_DELTA = 1e-3
CLEAR = 0.01  # p-value below which a misfit is told
_SHORT = {"a": "params_exponent", "b": "data_exponent"}
"""The names that tables print for the exponents of the frontier."""


class Settings(TypedDict, total=False):
    """The fields of `Options` as keyword arguments."""

    law: str
    objective: str
    uncertainty: str | None
    shared: tuple[str, ...]
    replicates: int
    seed: int
    delta: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What to fit and how; raises FitError for names and numbers that cannot be used."""

    law: str = CHINCHILLA.name
    """One of `forms.LAWS`, or auto: chinchilla, unless a richer law of N and D alone forecasts runs
    left out clearly better."""
    objective: str = "huber"  # one of `objective.NAMES`: huber, squares, absolute
    uncertainty: str | None = None
    """One of `bootstrap.METHODS`: components, trunks, cells, wild; None: what suits the table."""
    shared: tuple[str, ...] = ()
    """Parameters all mixtures have in common, beside those the law itself shares: some of E, alpha
    and beta, or all. Mixtures that share any are fitted together."""
    replicates: int = 1000  # bootstrap replicates per mixture, at least 50
    seed: int = 0  # seed of the bootstrap
    delta: float | None = None  # Huber width in log loss; None: by the spread between seeds

    def __post_init__(self) -> None:
        if self.replicates < FEWEST_REPLICATES:
            raise FitError(f"replicates is {self.replicates}, needs at least {FEWEST_REPLICATES}")
        if self.delta is not None and not (math.isfinite(self.delta) and self.delta > 0):
            raise FitError(f"delta is {self.delta}, needs a finite number above zero, e.g. 1e-3")
        check_shared(self._first, self.shared)
        Objective(self.objective, LEAST_DELTA)
        bootstrap.choose_method(self.uncertainty)

    @property
    def _first(self) -> Law:
        """The law that is fitted first: where one is to be chosen, the default one."""
        return CHINCHILLA if self.law == AUTO else law_named(self.law)

    def check_comparable(self) -> None:
        """Refuse laws that two mixtures cannot be compared under; raises FitError."""
        if not self._first.comparable:
            further = ", ".join(extra.name for extra in self._first.extras)
            *some, last = (repr(law.name) for law in LAWS.values() if law.comparable)
            comparable = f"{', '.join(some)} or {last}"
            raise FitError(
                "a comparison needs a law with heights and exponents of two terms alone: under "
                f"{self.law!r} mixtures of equal exponents can still differ in {further}; compare "
                f"with {comparable}, or compare the parameters that `fit` prints"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Misfit:
    """What the law misses smoothly over the measured sizes; relative standard deviations."""

    p_value: float = 1.0  # chance of so smooth residuals where the law holds
    size: float = 0.0  # of the smooth deviation the residuals show
    noise: float = 0.0  # of one run about law and deviation, at the middle of the window
    json_also: ClassVar[tuple[str, ...]] = ("clear", "text")

    @property
    def clear(self) -> bool:
        """True where the residuals are smooth beyond doubt."""
        return self.p_value < CLEAR

    @property
    def reason(self) -> str:
        """Why parameters of the law are not determined; empty where noise is the larger part."""
        return (
            f"{self.text}, more than runs scatter" if self.clear and self.size > self.noise else ""
        )

    @property
    def text(self) -> str:
        """One clause for a reader."""
        chance = "p < 0.002" if self.p_value < 0.002 else f"p = {self.p_value:.2g}"
        return (
            f"runs deviate smoothly from the law by {self.size:.2%} beside noise of "
            f"{self.noise:.2%} ({chance})"
        )


class Exponents(dict[str, Estimate]):
    """The exponents of a frontier by name; ``a`` and ``b``, as tables print them, work too."""

    def __missing__(self, name: str) -> Estimate:
        if name not in _SHORT:
            raise KeyError(unknown("exponent", name, (*self, *_SHORT)))
        return self[_SHORT[name]]


@dataclass(frozen=True, slots=True, kw_only=True)
class MixtureFit:
    """The law of one mixture, its frontier and how they were obtained.

    ``fitted["alpha"]`` is a parameter, ``fitted["a"]`` an exponent of the frontier.
    """

    mixture: str
    n_runs: int
    n_cells: int
    objective: str  # what was minimised
    objective_value: float
    delta: float  # width of the quadratic zone of the Huber loss, in log loss
    parameters: Mapping[str, Estimate]  # E, A, B, alpha, beta, and what else the law has
    frontier: Exponents  # params_exponent (a in N* ~ C^a), data_exponent
    starts: int  # grid points tried
    starts_polished: int  # of them, how many were followed to an optimum
    starts_at_optimum: int  # of those, how many ended at the best one
    converged: bool
    gradient_norm: float  # largest derivative of the objective by an unknown that is not at a bound
    condition: float  # of the scaled Jacobian at the optimum; 1e3 and more means collinear
    at_bounds: tuple[str, ...]  # parameters at a bound in the fit itself
    worst_residual: float  # largest relative distance of a run from the law
    replicates_degenerate: int
    """Bootstrap replicates that lost a term of the law or did not converge."""
    window: Mapping[str, tuple[float, float]]  # ends of params, examples, loss, flops
    warnings: tuple[str, ...]
    theta: Array = field(repr=False, compare=False, metadata=HIDDEN)  # (P,) by law.parameters
    replicates: Replicates = field(repr=False, compare=False, metadata=HIDDEN)
    misfit: Misfit = field(default_factory=Misfit)  # what the law misses smoothly
    forecasts: tuple[Forecast, ...] = ()  # without the largest model, then the largest compute
    law: Law = CHINCHILLA
    uncertainty: str = "components"  # how the intervals were made, one of `bootstrap.METHODS`

    def __getitem__(self, name: str) -> Estimate:
        """Return a parameter or an exponent; raises KeyError with the nearest name."""
        if name in self.parameters:
            return self.parameters[name]
        if name not in (*self.frontier, *_SHORT):
            raise KeyError(unknown("parameter", name, (*self.parameters, *self.frontier, *_SHORT)))
        return self.frontier[_SHORT.get(name, name)]

    def curve(self, params: ArrayLike, examples: ArrayLike, **covariates: ArrayLike) -> Array:
        """Return the loss the law expects at these sizes, which broadcast with each other."""
        return self.law.loss(self.theta, params, examples, **covariates)

    def expected(self, params: float, examples: float, **covariates: float) -> Estimate:
        """Return the expected loss at these sizes with what the law misses, and its interval."""
        return self.replicates.outlook.expected(params, examples, **covariates)

    def losses(self, params: ArrayLike, examples: ArrayLike, **covariates: ArrayLike) -> Array:
        """Return expected losses (..., 1 + R) at sizes (..., 1 or 1 + R): best guess, replicates.

        The replicates are those behind the interval of `expected`, paired between mixtures run on
        the same cells.
        """
        return self.replicates.outlook.losses(params, examples, **covariates)

    def predicted(
        self, params: Array, examples: Array, seeds: Array, seed: int, **covariates: ArrayLike
    ) -> Array:
        """Return mean losses of cells (k,) over their seeds (k,), and 95% intervals: (k, 3).

        The replicates of the expected loss, with what the law misses, join the noise of the seeds;
        covariates are (k, 1), or one for all cells.
        """
        losses = self.losses(params[:, None], examples[:, None], **covariates)
        noise = self.replicates.outlook.noise(params, examples, seeds)
        chance = np.random.default_rng(seed).standard_normal(noise.shape)
        draws = losses[:, 1:] * np.exp(noise * chance)
        both = [percentile_interval(row, len(self.replicates.cells)) for row in draws]
        return np.column_stack([losses[:, 0], np.array(both)])

    @property
    def all_theta(self) -> Array:
        """(1 + R, P) parameters of the fit, then of its replicates."""
        return np.concatenate([self.theta[None], self.replicates.theta])


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyFit(Shown):
    """The laws of all mixtures of a run table; ``laws["qcd"]`` is that of one mixture."""

    mixtures: Mapping[str, MixtureFit]
    not_fitted: Mapping[str, str]  # mixtures left out, and why
    cost: CostModel = field(metadata=json_key("compute"))
    delta: float
    warnings: tuple[str, ...]
    runs: pd.DataFrame = field(repr=False, compare=False, metadata=HIDDEN)  # the checked run table
    options: Options = field(default_factory=Options, metadata=HIDDEN)  # what was fitted and how
    tried: Candidates | None = field(default=None, metadata=HIDDEN)  # laws, where one was doubted
    json_also: ClassVar[tuple[str, ...]] = (
        *("law", "options.shared", "options.objective", "interval", "options.replicates"),
        "options.seed",
    )

    @property
    def law(self) -> str:
        """The formula that was fitted."""
        return law_named(self.options.law).formula

    @property
    def ignored(self) -> list[str]:
        """A line for what tells runs apart and the law leaves out: its answers may not hold."""
        return ignored(self.runs, law_named(self.options.law).columns)

    @property
    def quantity(self) -> str:
        """What the laws are of: the loss, or what stands in its place."""
        return quantity_of(self.runs)

    @property
    def interval(self) -> str:
        """How the intervals were made, in words."""
        kinds = dict.fromkeys(fitted.uncertainty for fitted in self.mixtures.values())
        return "; ".join(bootstrap.METHODS[name] for name in kinds)

    @property
    def flops(self) -> tuple[float, float]:
        """Smallest and largest measured compute of the fitted mixtures."""
        ends = [fitted.window["flops"] for fitted in self.mixtures.values()]
        return min(low for low, _ in ends), max(high for _, high in ends)

    @property
    def middle(self) -> float:
        """Geometric middle of the measured compute."""
        return math.sqrt(self.flops[0] * self.flops[1])

    def check_comparable(self) -> None:
        """Refuse fits whose mixtures cannot be compared; raises FitError."""
        self.options.check_comparable()
        if shared := ", ".join(self.options.shared):
            told = "a comparison tests what mixtures share; fit without it"
            raise FitError(f"the fits share {shared}: {told}")
        if len(self.mixtures) < 2:
            why = "; ".join(f"{name} {why}" for name, why in self.not_fitted.items())
            raise FitError(f"a comparison needs two fitted mixtures; {why or 'the table has one'}")

    def __getitem__(self, mixture: str) -> MixtureFit:
        """Return the law of a mixture; raises KeyError with the nearest name, or why none is."""
        if mixture in self.not_fitted:
            raise KeyError(f"mixture {mixture!r} was not fitted: it {self.not_fitted[mixture]}")
        if mixture not in self.mixtures:
            raise KeyError(unknown("mixture", mixture, self.mixtures))
        return self.mixtures[mixture]

    def to_frame(self) -> pd.DataFrame:
        """Return a row per mixture and number of its law and its frontier."""
        rows = (
            {"mixture": name, "number": number} | row_of(found)
            for name, fitted in self.mixtures.items()
            for number, found in {**fitted.parameters, **fitted.frontier}.items()
        )
        return frame_of(rows, "mixture number value low high identified reason")

    def predict(
        self, params: ArrayLike, examples: ArrayLike, mixture: str | None = None, **more: float
    ) -> pd.DataFrame:
        """Return the loss of runs that nobody has made, a row per size and mixture.

        ``loss_low`` and ``loss_high`` are the ends of the 95% prediction interval of one run,
        ``decades_beyond`` is how far it lies above the measured compute (below if negative). Sizes
        may be arrays: ``laws.predict([1e5, 1e6], 1e6, "qcd")``; ``more`` are the covariates of a
        law that has any. Raises FitError for a mixture without a law, and for sizes that are none
        or out of reach.
        """
        try:
            chosen = self.mixtures if mixture is None else {mixture: self[mixture]}
        except KeyError as error:
            raise FitError(error.args[0]) from error
        for name in more.keys() - {c for one in chosen.values() for c in one.law.columns}:
            raise FitError(f"predict knows no {name!r}; give params, examples and mixture")
        rows, one = [], np.ones(1)
        given = np.asarray(params, float), np.asarray(examples, float)
        try:
            every = np.broadcast(*given)
        except ValueError as error:
            counts = f"{given[0].size} params and {given[1].size} examples"
            wrong = f"predict was given {counts}; give equally many, or one of either"
            raise FitError(wrong) from error
        for sizes in every:
            for what, size in zip(("params", "examples"), sizes, strict=True):
                if not (math.isfinite(size) and size > 0):
                    raise FitError(f"{what} is {size:g}, needs a number above zero, e.g. 1e6")
            n, d = np.array(sizes)[:, None]  # each by itself: no interval hangs on the others
            away = sense.beyond(float(self.cost.flops(n, d)[0]), self.flops)
            if abs(away) > sense.REACH:
                told = f"{abs(away):.0f} decades from the measured compute: no law reaches that far"
                raise FitError(f"N = {n[0]:g}, D = {d[0]:g} lies {told}; ask for a nearer run")
            for name, fitted in chosen.items():
                held: Any = fitted.law.held(self.runs[self.runs["mixture"] == name]) | more
                found = fitted.predicted(n, d, one, self.options.seed, **held)[0]
                rows.append((name, *sizes, *found, away))
        return frame_of(rows, "mixture params examples loss loss_low loss_high decades_beyond")

    def plot(self) -> Any:
        """Return a plotly figure: all runs, and the loss of every frontier with its interval."""
        return later("report.figures.law", "losses")(self)
