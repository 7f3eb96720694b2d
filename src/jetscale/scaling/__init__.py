"""How a mixture scales: laws fitted to a run table, compared, and turned into an allocation.

The functions here take a run table (a pandas DataFrame with columns ``mixture, params, examples,
loss`` and optionally ``flops``, ``seed``) or what `fit` made of it, and return frozen values;
`jetscale.jsonable.as_json` makes JSON of any of them. They need numpy, scipy and pandas alone::

    runs = read_runs("runs.csv")
    pair_runs(runs)                 losses compared cell by cell, no law assumed
    laws = fit(runs)                L(N, D) and the frontier of each mixture; laws["qcd"]["alpha"]
    diagnose(laws)                  what the fit rests on and what it forecasts
    conventions(laws)               the exponents under other ways to count compute
    compare(laws)                   do two mixtures scale differently?
    allocate(laws, 1e15)            model size, data size and mixture for a budget
    power(make_grid(params, examples))    before any run: what a grid will be able to say
"""

from jetscale.scaling.allocate import allocate, check_mixture
from jetscale.scaling.allocation.measured import MeasuredCell
from jetscale.scaling.allocation.values import (
    Allocation,
    Band,
    Choice,
    MixtureAllocation,
    SmallerModel,
)
from jetscale.scaling.budget import (
    Budget,
    Terms,
    device_rate,
    flops_budget,
    gpu_hours_budget,
    measured_rate,
    money_budget,
)
from jetscale.scaling.checked import fit
from jetscale.scaling.comparison.claims import Verdict
from jetscale.scaling.comparison.compare import Comparison, PairComparison, compare
from jetscale.scaling.comparison.paired import (
    DataFactor,
    Difference,
    PairedMixtures,
    PairedStudy,
    pair_runs,
)
from jetscale.scaling.conventions import ConventionRow, MixtureConventions, conventions
from jetscale.scaling.cost import CostModel
from jetscale.scaling.diagnostics.diagnose import Diagnostics, MixtureDiagnostics, diagnose
from jetscale.scaling.engine.forms import LAWS
from jetscale.scaling.estimate import Estimate
from jetscale.scaling.fitted import MixtureFit, Options, StudyFit
from jetscale.scaling.heldout import Forecast
from jetscale.scaling.power.answer import Power, power
from jetscale.scaling.power.grid import Grid, grid_of, make_grid
from jetscale.scaling.reading import read_runs
from jetscale.scaling.routes.shifts import RouteShift, route_shifts
from jetscale.scaling.routes.verdict import Routes, all_routes
from jetscale.scaling.searched import UNSEARCHED, unlike
from jetscale.scaling.table import validate
