"""Nominal 95% intervals hold the truth about as often: a fast version of the coverage benchmark.

40 simulations leave a standard error of 3.4% at 95%; the bounds are three of them wide.
"""

import numpy as np
import pytest

from jetscale.scaling.bootstrap import resample
from jetscale.scaling.cost import CostModel
from jetscale.scaling.engine import laws
from jetscale.scaling.engine.family import Family
from jetscale.scaling.engine.forms import CHINCHILLA
from jetscale.scaling.engine.laws import Centred
from jetscale.scaling.engine.objective import Objective
from jetscale.scaling.estimate import percentile_interval
from jetscale.scaling.table import validate

COST = CostModel(k=6.0, p=1.0, worst_residual=0.0, measured=False)
SIMULATIONS, REPLICATES = 40, 79


def quantities(theta):
    best = laws.optimum(theta, 1e21, COST)
    return laws.exponents(theta, COST)[0], best.params, best.loss


def share(grid, truth, method, sizes, misfit=0.0, trunk=0.0):
    """Share of intervals that hold the exponent of N*, and N* and L* at 1e21 FLOPs."""
    exact = quantities(truth)
    hits = []
    for random in range(SIMULATIONS):
        rng = np.random.default_rng(random)
        runs = validate(grid({"m": truth}, *sizes, random=random))
        off = misfit * rng.normal(size=runs["cell"].max() + 1)[runs["cell"]]
        off += trunk * rng.normal(size=100)[runs.groupby(["params", "seed"]).ngroup()]
        runs["loss"] *= np.exp(off)
        family, objective = Family(CHINCHILLA, Centred.from_runs(runs)), Objective("huber", 0.025)
        q = family.fit(np.ones((1, len(runs))), objective).q
        drawn = resample(family, q, runs, objective, REPLICATES, random, method)[0]
        ends = [percentile_interval(v, len(drawn.cells)) for v in quantities(drawn.theta)]
        hits.append([low <= v <= high for (low, high), v in zip(ends, exact, strict=True)])
    return np.mean(hits, axis=0)


MANY = np.geomspace(1e7, 3e9, 6), np.geomspace(1e8, 1e11, 6)
FEW = np.geomspace(1e7, 3e9, 4), np.geomspace(1e8, 1e11, 3)


@pytest.mark.long
@pytest.mark.parametrize(
    ("method", "sizes", "misfit"),
    [
        ("components", FEW, 0.01),
        pytest.param("components", FEW, 0.0, marks=pytest.mark.integration),
        pytest.param("components", MANY, 0.01, marks=pytest.mark.integration),
        pytest.param("cells", MANY, 0.01, marks=pytest.mark.integration),
        pytest.param("cells", MANY, 0.0, marks=pytest.mark.integration),
        pytest.param("wild", FEW, 0.01, marks=pytest.mark.integration),
    ],
)
def test_intervals_cover(grid, truth, method, sizes, misfit):
    assert (share(grid, truth, method, sizes, misfit) >= 0.85).all()


@pytest.mark.long
def test_trunks_are_covered(grid, truth):
    sizes = np.geomspace(1e7, 3e9, 4), np.geomspace(1e8, 1e11, 5)
    assert (share(grid, truth, "trunks", sizes, trunk=0.015) >= 0.85).all()


@pytest.mark.integration
def test_cells_are_no_unit_where_trunks_are_shared(grid, truth):
    sizes = np.geomspace(1e7, 3e9, 8), np.geomspace(1e8, 1e11, 5)
    assert (share(grid, truth, "cells", sizes, trunk=0.015) <= 0.87).all()
