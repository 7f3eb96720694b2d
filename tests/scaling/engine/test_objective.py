"""The three objectives: names, values, and least absolute deviation against a linear program."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import least_squares, linprog

from jetscale.errors import FitError
from jetscale.scaling import fit
from jetscale.scaling.engine import laws
from jetscale.scaling.engine.objective import Objective

pytestmark = pytest.mark.slow


def residuals(fitted, runs):
    return np.log(runs["loss"]) - np.log(laws.loss(fitted.theta, runs["params"], runs["examples"]))


def test_names():
    assert "Huber(delta=0.01)" in Objective("huber", 0.01).text
    assert "squared" in Objective("squares", 0.01).text
    assert "smoothed below 1e-07" in Objective("absolute", 0.01).text
    with pytest.raises(FitError, match="objective 'lad'"):
        Objective("lad", 0.01)


@pytest.mark.parametrize(
    ("name", "value"),
    [("squares", lambda r: (r**2).sum() / 2), ("absolute", lambda r: sum(abs(r)))],
)
def test_value_is_what_the_name_says(grid, truth, name, value):
    runs = grid({"m": truth})
    fitted = fit(runs, replicates=50, objective=name).mixtures["m"]
    assert fitted.objective_value == pytest.approx(value(residuals(fitted, runs)), rel=1e-6)
    assert fitted.converged
    assert fitted.objective == Objective(name, 1.0).text


def test_squares_against_scipy(grid, truth):
    runs = grid({"m": truth}, noise=0.03)
    fitted = fit(runs, replicates=50, objective="squares").mixtures["m"]

    def off(p):
        theta = np.concatenate([np.exp(p[:3]), p[3:]])
        return np.log(laws.loss(theta, runs["params"], runs["examples"]) / runs["loss"])

    start = np.concatenate([np.log(truth[:3]), truth[3:]])
    best = least_squares(off, start, method="lm", xtol=1e-14, ftol=1e-14)
    assert fitted.objective_value <= best.cost * (1 + 1e-9)
    assert fitted.theta[3:] == pytest.approx(best.x[3:], rel=1e-4)


@pytest.mark.parametrize("random", range(3))
def test_absolute_deviation_is_no_worse_than_a_linear_program_around_it(grid, truth, random):
    # at the optimum, no step of the linearised problem lowers the sum of absolute residuals
    runs = grid({"m": truth}, noise=0.02, seeds=1, random=random)
    fitted = fit(runs, replicates=50, objective="absolute").mixtures["m"]
    _, A, B, alpha, beta = fitted.theta
    n, d = np.log(runs["params"]), np.log(runs["examples"])
    by_A, by_B = np.exp(-alpha * n), np.exp(-beta * d)
    J = np.column_stack([np.ones(len(runs)), by_A, by_B, -n * A * by_A, -d * B * by_B])
    loss = laws.loss(fitted.theta, runs["params"], runs["examples"])
    J = J / loss[:, None] * np.abs(fitted.theta)
    r, n = residuals(fitted, runs).to_numpy(), len(runs)
    eye = np.eye(n)
    program = linprog(
        np.concatenate([np.zeros(5), np.ones(n)]),
        A_ub=np.block([[J, -eye], [-J, -eye]]),
        b_ub=np.concatenate([r, -r]),
        bounds=[(-0.01, 0.01)] * 5 + [(0, None)] * n,
    )
    assert np.abs(r).sum() <= program.fun * (1 + 2e-5)


@pytest.mark.long
def test_absolute_deviation_reproduces_the_published_point(real_data):
    """arXiv 2404.10102 publishes A 482.01, B 2085.43, E 1.817, alpha .3478, beta .3659."""
    raw = pd.read_csv(real_data / "chinchilla_runs.csv")
    raw = raw[raw["loss"] < raw["loss"].nlargest(5).min()]
    sizes = {"params": raw["Model Size"], "examples": raw["Training FLOP"] / raw["Model Size"] / 6}
    table = pd.DataFrame({"mixture": "text", "loss": raw["loss"]} | sizes)
    theta = fit(table, replicates=50, objective="absolute").mixtures["text"].theta
    assert theta == pytest.approx([1.816862, 481.999, 2085.39, 0.347812, 0.365853], rel=5e-6)
