"""Variable projection: every grid point against bounded linear least squares."""

import numpy as np
import pytest
from fixtures.engine import start
from scipy.optimize import lsq_linear

from jetscale.scaling.engine.forms import CHINCHILLA, LAWS
from jetscale.scaling.engine.laws import Centred
from jetscale.scaling.engine.profile import Grid, unknowns

GRID = CHINCHILLA.exponents_tried


@pytest.fixture
def runs(grid, truth):
    return Centred.from_runs(grid({"m": truth}, seeds=1))


def columns(runs, alpha, beta):
    one = np.ones_like(runs.x)
    return np.stack([one, np.exp(-alpha * runs.x), np.exp(-beta * runs.y)], axis=1)


def oracle(runs, alpha, beta, weights, relative, free=slice(None)):
    """Best relative least squares with non-negative terms: half the squares, and the terms."""
    scale = np.sqrt(weights) * np.exp(-runs.z)
    design = (columns(runs, alpha, beta) * scale[:, None])[:, free]
    return lsq_linear(design, np.sqrt(weights) * relative, bounds=(0, np.inf), tol=1e-14)


@pytest.mark.parametrize("at", [(3, 20), (14, 14), (20, 4), (28, 28)])
def test_grid_is_bounded_linear_least_squares(runs, at):
    weights = np.random.default_rng(2).integers(0, 4, size=(3, len(runs.x))).astype(float)
    found = Grid(CHINCHILLA, runs).surface(weights)
    exponents = np.tile([GRID[at[0]], GRID[at[1]]], (3, 1))
    q = unknowns(CHINCHILLA, runs, weights, exponents)
    for row, w in enumerate(weights):
        best = oracle(runs, *exponents[0], w, np.ones_like(w))
        assert found.squares[row, 0][at] == pytest.approx(2 * best.cost, rel=1e-6, abs=1e-12)
        assert q[row, 0] == pytest.approx(best.x[0], rel=1e-4, abs=1e-6)
        assert np.exp(q[row, 1:3]) == pytest.approx(best.x[1:], rel=1e-4, abs=2e-6)


def test_other_losses_on_the_same_runs(runs):
    relative = np.exp(0.05 * np.random.default_rng(6).normal(size=(4, len(runs.x))))
    one = np.ones((1, len(runs.x)))
    squares = Grid(CHINCHILLA, runs).surface(one, relative).squares
    q = unknowns(CHINCHILLA, runs, one, np.tile([GRID[9], GRID[15]], (4, 1)), relative)
    for row, losses in enumerate(relative):
        best = oracle(runs, GRID[9], GRID[15], one[0], losses)
        assert squares[row, 0, 9, 15] == pytest.approx(2 * best.cost, rel=1e-6)
        assert q[row, 0] == pytest.approx(best.x[0], rel=1e-4, abs=1e-6)


def test_floor_left_out(runs):
    one = np.ones((1, len(runs.x)))
    found = Grid(LAWS["no-floor"], runs).surface(one).squares[0, 0]
    for at in ((2, 5), (14, 14), (25, 3)):
        best = oracle(runs, GRID[at[0]], GRID[at[1]], one[0], one[0], slice(1, 3))
        assert found[at] == pytest.approx(2 * best.cost, rel=1e-6)


def test_held_floors(runs):
    one, floors = np.ones((1, len(runs.x))), np.array([0.0, 0.3, 0.7])
    found = Grid(CHINCHILLA, runs, floors=floors).surface(one).squares[0]
    scale = np.exp(-runs.z)
    for number, floor in enumerate(floors):
        left = 1 - floor * scale
        design = (columns(runs, GRID[10], GRID[12]) * scale[:, None])[:, 1:]
        best = lsq_linear(design, left, bounds=(0, np.inf), tol=1e-14)
        assert found[number, 10, 12] == pytest.approx(2 * best.cost, rel=1e-6)


def test_start_is_the_lowest_point(runs):
    weights = np.ones((2, len(runs.x)))
    grid = Grid(CHINCHILLA, runs)
    squares = grid.surface(weights).squares[0, 0]
    i, j = np.unravel_index(squares.argmin(), squares.shape)
    assert start(grid, weights)[1, 3:] == pytest.approx([GRID[i], GRID[j]])


def test_further_parameters_are_tried(grid, truth):
    frame = grid({"m": truth}, seeds=1)
    frame["unique_examples"] = np.minimum(frame["examples"], 1e9)
    law = LAWS["repetition"]
    runs = Centred.from_runs(frame, law.columns)
    made = Grid(law, runs, stride=4)
    one = np.ones((1, len(runs.x)))
    found = made.surface(one)
    each = []
    for value in law.extras[0].grid:
        v = np.column_stack([*(a.ravel() for a in np.meshgrid(made.exponents, made.exponents))])
        q = unknowns(law, runs, one, np.column_stack([v[:, 1], v[:, 0], np.full(len(v), value)]))
        terms = law.terms([q[:, 3:4], q[:, 4:5], q[:, 5:6]], runs)
        total = q[:, :1] + sum(np.exp(q[:, k : k + 1] + terms[k - 1]) for k in (1, 2))
        each.append(((total * np.exp(-runs.z) - 1) ** 2).sum(axis=1).reshape(found.squares.shape))
    assert found.squares == pytest.approx(np.min(each, axis=0), rel=1e-4, abs=1e-9)
