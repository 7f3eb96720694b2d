"""The engine: analytic slopes, bounds, and optima against scipy."""

import itertools

import numpy as np
import pytest
from fixtures.engine import solve
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import approx_fprime, minimize

from jetscale.scaling.engine import laws
from jetscale.scaling.engine.forms import CHINCHILLA, LAWS
from jetscale.scaling.engine.laws import EXPONENT_BOUNDS, Centred
from jetscale.scaling.engine.solver import Design, chunks, huber, polish, slope

LOWER, UPPER = CHINCHILLA.lower, CHINCHILLA.upper


@pytest.fixture
def runs(grid, truth):
    frame = grid({"m": truth}, seeds=1)
    return Centred.from_runs(frame)


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
    assert CHINCHILLA.theta(q, runs) == pytest.approx(truth)
    direct = laws.loss(truth, np.exp(runs.x + runs.x0), np.exp(runs.y + runs.y0))
    assert Design.single(runs).log_loss(q[None])[0] + runs.z0 == pytest.approx(np.log(direct))


@pytest.mark.slow
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
    design = Design.single(Centred(x, y, z, 0.0, 0.0, 0.0))
    q, w, z = np.array([[e, a, b, alpha, beta]]), rng.uniform(0, 3, size=(1, 12)), 0.1 * z[None]

    def objective(point):
        return huber(design.log_loss(point[None]) - z, w, 0.05)[0]

    numeric = approx_fprime(q[0], objective, 1e-7)
    assert slope(design, q, z, w, 0.05)[0] == pytest.approx(numeric, rel=1e-3, abs=2e-5)


def test_shared_unknowns_have_the_same_slope():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(2, 10))
    slots = np.array([[0, 1, 2, 6, 7], [3, 4, 5, 6, 7]])[np.repeat([0, 1], 5)]
    design = Design(CHINCHILLA, Centred(x, y, x, 0.0, 0.0, 0.0), slots)
    q = np.array([[0.5, -1.0, -1.2, 0.6, -0.8, -1.5, 0.4, 0.7]])
    w, z = np.ones((1, 10)), 0.1 * rng.normal(size=(1, 10))
    numeric = approx_fprime(q[0], lambda p: huber(design.log_loss(p[None]) - z, w, 0.05)[0], 1e-7)
    assert slope(design, q, z, w, 0.05)[0] == pytest.approx(numeric, rel=1e-3, abs=1e-5)
    assert (design.lower == LOWER[[0, 1, 2, 0, 1, 2, 3, 4]]).all()


def test_huber_values():
    r = np.array([[0.5, -0.5, 3.0]])
    assert huber(r, np.ones((1, 3)), 1.0) == pytest.approx([0.125 + 0.125 + 2.5])


@pytest.mark.slow
@pytest.mark.parametrize("delta", [1e-3, 0.025])
def test_no_worse_than_scipy_from_many_starts(grid, truth, delta):
    frame = grid({"m": truth}, seeds=2, noise=0.02)
    runs = Centred.from_runs(frame)
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
    runs = Centred.from_runs(frame)
    ends = solve(runs, np.ones((1, len(runs.x))), 1e-3)
    assert CHINCHILLA.theta(ends.q, runs)[0] == pytest.approx(truth, rel=1e-3)


def test_floor_below_zero_stops_at_the_bound(grid):
    # a law whose floor would be negative: the best allowed floor is exactly zero
    frame = grid({"m": [0.0, 480.0, 2100.0, 0.35, 0.37]}, noise=0.0)
    frame["loss"] -= 0.8 * frame["loss"].min()
    runs = Centred.from_runs(frame)
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
    alpha, beta = (axis.ravel() for axis in np.meshgrid(*[[0.1, 0.4, 1.2]] * 2))
    starts = np.column_stack([np.full((9, 3), [0.3, -1.2, -1.2]), alpha, beta])
    ends = polish(Design.single(runs), starts, runs.z[None], np.ones((9, len(runs.x))), 0.025)
    assert ends.objective == pytest.approx(np.full(9, ends.objective.min()), rel=1e-6)


@pytest.mark.parametrize("delta", [1e-3, 0.025])
def test_half_the_grid_loses_no_optimum(grid, truth, delta):
    for random in range(3):
        frame = grid({"m": truth}, noise=0.03, random=random)
        runs = Centred.from_runs(frame)
        weights = np.random.default_rng(random).multinomial(96, np.full(96, 1 / 96), 40)
        half, full = (solve(runs, weights.astype(float), delta, stride=s) for s in (2, 1))
        assert (half.objective <= full.objective * (1 + 1e-7)).all()


def test_work_is_cut_to_fit_the_cache():
    parts = chunks(1000, 240)
    assert parts[0].start == 0
    assert parts[-1].stop >= 1000
    assert all(a.stop == b.start for a, b in itertools.pairwise(parts))
    assert chunks(3, 10**7) == [slice(0, 1), slice(1, 2), slice(2, 3)]
    assert chunks(0, 10) == []


def test_held_unknowns_stay_and_the_others_are_optimal(runs):
    design = Design(CHINCHILLA, runs, np.arange(5)[None], held=(3,))
    assert design.fixed.tolist() == [False, False, False, True, False]
    alpha = np.array([0.25, 0.35, 0.45, EXPONENT_BOUNDS[0]])
    q = np.tile(solve(runs, np.ones((1, len(runs.x))), 0.025).q, (4, 1))
    q[:, 3] = alpha
    ones = np.ones((4, len(runs.x)))
    found = polish(design, q, runs.z[None], ones, 0.025)
    assert (found.q[:, 3] == alpha).all()
    assert not found.low[:, 3].any(), "held, not pressed against its bound"
    assert found.converged.all()
    assert np.abs(slope(design, found.q, runs.z[None], ones, 0.025)[:3, [0, 1, 2, 4]]).max() < 1e-6
    for row, value in zip(found.q[:3], alpha[:3], strict=True):
        direct = minimize(
            lambda p, held=value: (
                huber(design.log_loss(np.insert(p, 3, held)[None]) - runs.z, ones[:1], 0.025)[0]
                * 1e4
            ),
            np.delete(row, 3) * 1.05,
            method="Nelder-Mead",
            options={"maxiter": 4000, "maxfev": 4000, "xatol": 1e-10, "fatol": 1e-12},
        )
        lowest = huber(design.log_loss(row[None]) - runs.z, ones[:1], 0.025)[0]
        assert lowest <= direct.fun / 1e4 * (1 + 1e-9)


def test_nothing_held_is_the_default(runs):
    assert Design.single(runs).held == ()
    assert not Design.single(runs).fixed.any()
    assert Design.single(runs, LAWS["no-floor"]).fixed.tolist() == [True, *[False] * 4]
