"""Cells of a run table as the routes see them, and isoFLOP designs made from a loss."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from jetscale.scaling.cost import CostModel
from jetscale.scaling.engine.laws import Array
from jetscale.scaling.routes.noise import cell_noise
from jetscale.scaling.routes.route import CellMeans, cell_means
from jetscale.scaling.table import validate

SIX_ND = CostModel(k=6.0, p=1.0, worst_residual=0.0, measured=False)


@pytest.fixture(scope="session")
def read() -> Callable[..., tuple[CellMeans, Array]]:
    """Makes the cells of a table and their rows: as measured, then replicates."""

    def make(frame: pd.DataFrame, replicates: int = 100, random: int = 1, cost=SIX_ND):
        runs = validate(frame)
        means = cell_means(runs, cost, cell_noise(runs, None))
        return means, means.redrawn(replicates, random)

    return make


@pytest.fixture(scope="session")
def isoflop_table() -> Callable[..., pd.DataFrame]:
    """Makes one-seed runs at a few budgets: nine sizes within a decade of N = (C / 6 / 20)^0.5."""

    def make(loss, noise=0.005, random=1, budgets=(1e18, 4e18, 1.6e19, 6.4e19, 2.56e20), name="m"):
        rng, parts = np.random.default_rng(random), []
        for budget in budgets:
            n = np.sqrt(budget / 120) * np.geomspace(0.1, 10, 9)
            values = loss(n, budget / 6 / n) * np.exp(noise * rng.normal(size=9))
            parts.append(pd.DataFrame({"params": n, "examples": budget / 6 / n, "loss": values}))
        return pd.concat(parts, ignore_index=True).assign(mixture=name)

    return make
