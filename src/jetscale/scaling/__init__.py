"""How a mixture scales: laws fitted to a run table, compared, and turned into an allocation.

The functions here take a run table (a pandas DataFrame with columns ``mixture, params, examples,
loss`` and optionally ``flops``, ``seed``) or what `fit` made of it, and return frozen values with a
``to_dict``. They need numpy, scipy and pandas alone.

    runs = read_runs("runs.csv")
    paired(runs)                    losses compared cell by cell, no law assumed
    laws = fit(runs)                L(N, D) and the frontier of each mixture
    diagnose(laws)                  what the fit rests on and what it forecasts
    conventions(laws)               the exponents under other ways to count compute
    compare(laws)                   do two mixtures scale differently?
    allocate(laws, budget=1e15)     model size, data size and mixture for a budget
    power(planned(params, examples))    before any run: what a grid will be able to say
"""

from jetscale.scaling.allocate import (
    Allocation,
    MeasuredCell,
    MixtureAllocation,
    allocate,
    check_question,
)
from jetscale.scaling.budget import (
    Budget,
    flops_budget,
    gpu_hours_budget,
    measured_rate,
    money_budget,
    sustained,
)
from jetscale.scaling.comparison.compare import Comparison, PairComparison, compare
from jetscale.scaling.comparison.paired import (
    DataFactor,
    Difference,
    PairedMixtures,
    PairedStudy,
    paired,
)
from jetscale.scaling.conventions import ConventionRow, MixtureConventions, conventions
from jetscale.scaling.cost import CostModel
from jetscale.scaling.diagnostics.diagnose import Diagnostics, MixtureDiagnostics, diagnose
from jetscale.scaling.engine.forms import LAWS
from jetscale.scaling.estimate import Estimate
from jetscale.scaling.fit import check_options, fit
from jetscale.scaling.fitted import MixtureFit, Options, StudyFit
from jetscale.scaling.power.answer import Power, power
from jetscale.scaling.power.grid import Grid, planned
from jetscale.scaling.routes.verdict import Routes, all_routes
from jetscale.scaling.summary import (
    Summary,
    check_comparison,
    summarise_comparison,
    summarise_fit,
)
from jetscale.scaling.table import read_runs, validate

__all__ = [
    "LAWS",
    "Allocation",
    "Budget",
    "Comparison",
    "ConventionRow",
    "CostModel",
    "DataFactor",
    "Diagnostics",
    "Difference",
    "Estimate",
    "Grid",
    "MeasuredCell",
    "MixtureAllocation",
    "MixtureConventions",
    "MixtureDiagnostics",
    "MixtureFit",
    "Options",
    "PairComparison",
    "PairedMixtures",
    "PairedStudy",
    "Power",
    "Routes",
    "StudyFit",
    "Summary",
    "all_routes",
    "allocate",
    "check_comparison",
    "check_options",
    "check_question",
    "compare",
    "conventions",
    "diagnose",
    "fit",
    "flops_budget",
    "gpu_hours_budget",
    "measured_rate",
    "money_budget",
    "paired",
    "planned",
    "power",
    "read_runs",
    "summarise_comparison",
    "summarise_fit",
    "sustained",
    "validate",
]
