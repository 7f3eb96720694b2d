"""The engine: closed-form starts, analytic slopes, bounds, and optima against scipy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import approx_fprime, lsq_linear, minimize

from jetscale.scaling import laws
from jetscale.scaling.profile import GRID, LOWER, UPPER, Centred, profile, start, unknowns
from jetscale.scaling.solver import Design, huber, polish, slope, solve


@pytest.fixture
def runs(grid, truth):
    frame = grid({"m": truth}, seeds=1)
    return Centred.of(*(frame[name].to_numpy() for name in ("params", "examples", "loss")))


def test_centred_unknowns_give_back_the_law(runs, truth):
    e, A, B, alpha, beta = truth
    q = np.array(
        [
            e / np.exp(runs.z0),
            np.log(A) - alpha * runs.x0 - runs.z0,
            np.log(B) - beta * runs.y0 - runs.z0,
            alpha,
            beta,
        ]
    )
    assert runs.theta(q) == pytest.approx(truth)
    direct = laws.loss(truth, np.exp(runs.x + runs.x0), np.exp(runs.y + runs.y0))
    assert Design.single(runs).log_loss(q[None])[0] + runs.z0 == pytest.approx(np.log(direct))


@pytest.mark.parametrize("at", [(3, 20), (14, 14), (20, 4), (28, 28)])
def test_profile_is_bounded_linear_least_squares(runs, at):
    weights = np.random.default_rng(2).integers(0, 4, size=(3, len(runs.x))).astype(float)
    squares, linear = profile(runs, weights)
    columns = np.stack(
        [np.ones_like(runs.x), np.exp(-GRID[at[0]] * runs.x), np.exp(-GRID[at[1]] * runs.y)], axis=1
    )
    for row, w in enumerate(weights):
        scale = np.sqrt(w) * np.exp(-runs.z)
        oracle = lsq_linear(columns * scale[:, None], np.sqrt(w), bounds=(0, np.inf), tol=1e-14)
        assert squares[row][at] == pytest.approx(2 * oracle.cost, rel=1e-6, abs=1e-12)
        assert linear[row][at] == pytest.approx(oracle.x, rel=1e-4, abs=1e-6)


def test_profile_of_other_losses_on_the_same_runs(runs):
    relative = np.exp(0.05 * np.random.default_rng(6).normal(size=(4, len(runs.x))))
    weights = np.ones((1, len(runs.x)))
    squares, linear = profile(runs, weights, relative)
    inverse = np.exp(-runs.z)
    columns = [inverse, np.exp(-GRID[9] * runs.x) * inverse, np.exp(-GRID[15] * runs.y) * inverse]
    for row, losses in enumerate(relative):
        oracle = lsq_linear(np.stack(columns, axis=1), losses, bounds=(0, np.inf), tol=1e-14)
        assert squares[row, 9, 15] == pytest.approx(2 * oracle.cost, rel=1e-6)
        assert linear[row, 9, 15] == pytest.approx(oracle.x, rel=1e-4, abs=1e-6)


@settings(deadline=None)
@given(
    st.floats(0.05, 1.5),
    st.floats(-6, 0),
    st.floats(-6, 0),
    st.floats(0.05, 1.5),
    st.floats(0.05, 1),
)
def test_slope_against_finite_differences(e, a, b, alpha, beta):
    rng = np.random.default_rng(0)
    x, y, z = rng.normal(size=(3, 12))
    design = Design(x, y, np.arange(5)[None])
    q, w, z = np.array([[e, a, b, alpha, beta]]), rng.uniform(0, 3, size=(1, 12)), 0.1 * z[None]

    def objective(point):
        return huber(design.log_loss(point[None]) - z, w, 0.05)[0]

    numeric = approx_fprime(q[0], objective, 1e-7)
    assert slope(design, q, z, w, 0.05)[0] == pytest.approx(numeric, rel=1e-3, abs=2e-5)


def test_shared_unknowns_have_the_same_slope():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(2, 10))
    slots = np.array([[0, 1, 2, 6, 7], [3, 4, 5, 6, 7]])[np.repeat([0, 1], 5)]
    design = Design(x, y, slots)
    q = np.array([[0.5, -1.0, -1.2, 0.6, -0.8, -1.5, 0.4, 0.7]])
    w, z = np.ones((1, 10)), 0.1 * rng.normal(size=(1, 10))
    numeric = approx_fprime(q[0], lambda p: huber(design.log_loss(p[None]) - z, w, 0.05)[0], 1e-7)
    assert slope(design, q, z, w, 0.05)[0] == pytest.approx(numeric, rel=1e-3, abs=1e-5)
    assert design.places.tolist() == [0, 1, 2, 0, 1, 2, 3, 4]


def test_huber_values():
    r = np.array([[0.5, -0.5, 3.0]])
    assert huber(r, np.ones((1, 3)), 1.0) == pytest.approx([0.125 + 0.125 + 2.5])


@pytest.mark.parametrize("delta", [1e-3, 0.025])
def test_no_worse_than_scipy_from_many_starts(grid, truth, delta):
    frame = grid({"m": truth}, seeds=2, noise=0.02)
    runs = Centred.of(*(frame[name].to_numpy() for name in ("params", "examples", "loss")))
    one, design = np.ones((1, len(runs.x))), Design.single(runs)
    mine = solve(runs, one, delta)
    assert mine.converged.all()
    for q in (mine.q[0] * 1.3, mine.q[0] * 0.7, np.array([0.5, -1.5, -1.5, 0.5, 0.5])):
        found = minimize(
            lambda p: huber(design.log_loss(p[None]) - runs.z, one, delta)[0] * 1e4,
            q,
            jac=lambda p: slope(design, p[None], runs.z[None], one, delta)[0] * 1e4,
            method="L-BFGS-B",
            bounds=list(zip(LOWER, UPPER, strict=True)),
            options={"maxiter": 2000, "ftol": 1e-15, "gtol": 1e-12},
        )
        assert mine.objective[0] <= found.fun / 1e4 * (1 + 1e-9)


def test_exact_data_are_recovered(grid, truth):
    frame = grid({"m": truth}, noise=0.0)
    runs = Centred.of(*(frame[name].to_numpy() for name in ("params", "examples", "loss")))
    ends = solve(runs, np.ones((1, len(runs.x))), 1e-3)
    assert runs.theta(ends.q)[0] == pytest.approx(truth, rel=1e-3)


def test_floor_below_zero_stops_at_the_bound(grid):
    # a law whose floor would be negative: the best allowed floor is exactly zero
    frame = grid({"m": [0.0, 480.0, 2100.0, 0.35, 0.37]}, noise=0.0)
    frame["loss"] -= 0.8 * frame["loss"].min()
    runs = Centred.of(*(frame[name].to_numpy() for name in ("params", "examples", "loss")))
    ends = solve(runs, np.ones((1, len(runs.x))), 1e-3)
    assert ends.q[0, 0] == 0.0
    assert ends.low[0, 0]
    pull = slope(Design.single(runs), ends.q, runs.z[None], np.ones((1, len(runs.x))), 1e-3)[0]
    assert pull[0] > 0, "the objective would fall further only with a negative floor"
    assert np.abs(pull[1:]).max() < 1e-5


def test_rows_are_independent(runs):
    weights = np.random.default_rng(4).multinomial(
        len(runs.x), np.full(len(runs.x), 1 / len(runs.x)), 5
    )
    together = solve(runs, weights.astype(float), 0.01)
    alone = [solve(runs, row[None].astype(float), 0.01).objective[0] for row in weights]
    assert together.objective == pytest.approx(alone, rel=1e-8)


def test_every_start_reaches_the_same_optimum(runs):
    starts = unknowns(np.full((9, 3), 0.3), np.repeat(GRID[8:25:8], 3), np.tile(GRID[8:25:8], 3))
    weights = np.ones((9, len(runs.x)))
    ends = polish(Design.single(runs), starts, runs.z[None], weights, 0.025)
    assert ends.objective == pytest.approx(np.full(9, ends.objective.min()), rel=1e-6)
    assert start(runs, weights[:1])[0, 3:] == pytest.approx(ends.q[0, 3:], rel=0.5)
