import numpy as np
import pandas as pd
import pytest

from jetscale.analysis import analyse, largest_decade
from jetscale.answers import PARTS
from jetscale.scaling import Options

THETA = np.array([0.7, 6.0, 20.0, 0.35, 0.37])


@pytest.fixture(scope="session")
def theta():
    """E, A, B, alpha, beta of what `made` makes up."""
    return THETA


@pytest.fixture(scope="session")
def made():
    """A function (head_starts, noise, sizes, seeds) that makes up a run table.

    A mixture with a head start of h reaches at D what scratch does at D + h.
    """

    def make(starts, noise=0.002, sizes=5, seeds=2, data=6):
        rng, rows = np.random.default_rng(0), []
        E, A, B, alpha, beta = THETA
        for name, start in starts.items():
            for n in np.geomspace(1e3, 1e3 * 4 ** (sizes - 1), sizes).round():
                for d in 500 * 2 ** np.arange(data):
                    for seed in range(seeds):
                        loss = E + A * n**-alpha + B * (d + start) ** -beta
                        loss *= np.exp(rng.normal(0, noise))
                        rows.append((name, n, d, seed, loss, 6 * n * d, 6 * n * d / 1e9))
        columns = ["mixture", "params", "examples", "seed", "loss", "flops", "seconds"]
        return pd.DataFrame(rows, columns=columns).assign(noun="jet")

    return make


@pytest.fixture(scope="session")
def analysed():
    """A function (runs) that analyses a run table as far as the answers need it."""

    def make(runs, **how):
        options = Options(replicates=60)
        return analyse(runs, options, parts=PARTS, **{"budgets": largest_decade} | how)

    return make


@pytest.fixture(scope="session")
def found(made, analysed):
    return analysed(made({"scratch": 0, "qcd": 0, "near": 1500}))
