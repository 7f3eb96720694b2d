"""How a mixture scales: laws fitted to a run table, compared, and turned into an allocation.

The functions here take a run table (a pandas DataFrame with columns ``mixture, params, examples,
loss`` and optionally ``flops``, ``seed``) or what `fit` made of it, and return frozen values;
`jetscale.as_json.as_json` makes JSON of any of them. They need numpy, scipy and pandas alone.

    runs = read_runs("runs.csv")
    pair_runs(runs)                 losses compared cell by cell, no law assumed
    laws = fit(runs)                L(N, D) and the frontier of each mixture; laws["qcd"]["alpha"]
    diagnose(laws)                  what the fit rests on and what it forecasts
    conventions(laws)               the exponents under other ways to count compute
    compare(laws)                   do two mixtures scale differently?
    allocate(laws, 1e15)            model size, data size and mixture for a budget
    power(make_grid(params, examples))    before any run: what a grid will be able to say
"""

from jetscale.scaling.allocate import (
    Allocation as Allocation,
)
from jetscale.scaling.allocate import (
    Choice as Choice,
)
from jetscale.scaling.allocate import (
    MeasuredCell as MeasuredCell,
)
from jetscale.scaling.allocate import (
    MixtureAllocation as MixtureAllocation,
)
from jetscale.scaling.allocate import (
    allocate as allocate,
)
from jetscale.scaling.allocate import (
    check_mixture as check_mixture,
)
from jetscale.scaling.budget import (
    Budget as Budget,
)
from jetscale.scaling.budget import (
    Terms as Terms,
)
from jetscale.scaling.budget import (
    device_rate as device_rate,
)
from jetscale.scaling.budget import (
    flops_budget as flops_budget,
)
from jetscale.scaling.budget import (
    gpu_hours_budget as gpu_hours_budget,
)
from jetscale.scaling.budget import (
    measured_rate as measured_rate,
)
from jetscale.scaling.budget import (
    money_budget as money_budget,
)
from jetscale.scaling.comparison.claims import Verdict as Verdict
from jetscale.scaling.comparison.compare import (
    Comparison as Comparison,
)
from jetscale.scaling.comparison.compare import (
    PairComparison as PairComparison,
)
from jetscale.scaling.comparison.compare import (
    compare as compare,
)
from jetscale.scaling.comparison.paired import (
    DataFactor as DataFactor,
)
from jetscale.scaling.comparison.paired import (
    Difference as Difference,
)
from jetscale.scaling.comparison.paired import (
    PairedMixtures as PairedMixtures,
)
from jetscale.scaling.comparison.paired import (
    PairedStudy as PairedStudy,
)
from jetscale.scaling.comparison.paired import (
    pair_runs as pair_runs,
)
from jetscale.scaling.conventions import (
    ConventionRow as ConventionRow,
)
from jetscale.scaling.conventions import (
    MixtureConventions as MixtureConventions,
)
from jetscale.scaling.conventions import (
    conventions as conventions,
)
from jetscale.scaling.cost import CostModel as CostModel
from jetscale.scaling.diagnostics.diagnose import (
    Diagnostics as Diagnostics,
)
from jetscale.scaling.diagnostics.diagnose import (
    MixtureDiagnostics as MixtureDiagnostics,
)
from jetscale.scaling.diagnostics.diagnose import (
    diagnose as diagnose,
)
from jetscale.scaling.diagnostics.forecast import Forecast as Forecast
from jetscale.scaling.engine.forms import LAWS as LAWS
from jetscale.scaling.estimate import Estimate as Estimate
from jetscale.scaling.fit import fit as fit
from jetscale.scaling.fitted import (
    MixtureFit as MixtureFit,
)
from jetscale.scaling.fitted import (
    Options as Options,
)
from jetscale.scaling.fitted import (
    StudyFit as StudyFit,
)
from jetscale.scaling.power.answer import Power as Power
from jetscale.scaling.power.answer import power as power
from jetscale.scaling.power.grid import Grid as Grid
from jetscale.scaling.power.grid import make_grid as make_grid
from jetscale.scaling.routes.verdict import Routes as Routes
from jetscale.scaling.routes.verdict import all_routes as all_routes
from jetscale.scaling.table import read_runs as read_runs
from jetscale.scaling.table import validate as validate
