"""Components of residuals: likelihood against dense algebra, the test and draws against theory."""

import numpy as np
import pytest

from jetscale.scaling.components import Components, components
from jetscale.scaling.kinds import Kind

N, D = (axis.ravel() for axis in np.meshgrid(np.geomspace(1e7, 1e9, 6), np.geomspace(1e8, 1e10, 6)))
CELLS, TRUNKS = np.repeat(np.arange(36), 2), np.tile(np.arange(12), 6)


def law(n, d):
    x, y = np.log(n / 1e8), np.log(d / 1e9)
    return np.column_stack([np.ones(len(x)), np.exp(-0.35 * x), np.exp(-0.37 * y), x, y])


def made(seed=0, repeats=1, size=0.01, bend=0.0, trunks=None):
    n, d = np.repeat(N, repeats), np.repeat(D, repeats)
    J = law(n, d)
    off = size * np.random.default_rng(seed).normal(size=len(n))
    off += bend * np.log(n / 1e8) ** 2 * np.log(d / 1e9)
    cells = Kind.of(np.repeat(np.arange(36), repeats))
    found = Components(J, off, (n, d), cells, trunks)
    return found, J, off


def test_likelihood_is_that_of_dense_algebra():
    found, J, off = made(repeats=2, trunks=Kind.of(TRUNKS))
    place = found.basis.place(np.repeat(N, 2), np.repeat(D, 2))
    W = np.diag(found.root)
    C = (CELLS[:, None] == CELLS).astype(float)
    T = (TRUNKS[:, None] == TRUNKS).astype(float)
    K = found.smooth @ found.smooth.T
    dense, points = [], [0, 5, 300, len(found.grid) - 3]
    for cell, level, slope, smooth in found.grid[points]:
        V = W @ (np.eye(72) + cell * C) @ W + smooth * K
        V += level * T + slope * T * np.outer(place[:, 1], place[:, 1])
        inverse = np.linalg.inv(V)
        P = inverse - inverse @ J @ np.linalg.inv(J.T @ inverse @ J) @ J.T @ inverse
        logs = np.linalg.slogdet(V)[1] + np.linalg.slogdet(J.T @ inverse @ J)[1]
        dense.append(-0.5 * (logs + 67 * np.log(off @ P @ off)))
    ours = found.likelihood[points]
    assert ours - ours[0] == pytest.approx(np.array(dense) - dense[0], abs=1e-6)


@pytest.mark.long
def test_the_test_of_misfit_errs_as_often_as_it_says():
    p = [made(seed)[0].p_value for seed in range(150)]
    assert np.mean(np.less(p, 0.1)) == pytest.approx(0.1, abs=0.07)


@pytest.mark.slow
def test_a_bent_surface_is_found():
    p = [made(seed, bend=0.003)[0].p_value for seed in range(10)]
    assert np.median(p) < 0.01
    size = [np.std(made(s, bend=0.02)[0].smooth @ made(s, bend=0.02)[0].mean) for s in range(3)]
    assert np.mean(size) > 0.02


def test_neighbours_without_a_second_seed_are_enough():
    found = components(law(N, D), 0.02 * np.sin(np.log(N)) * np.cos(np.log(D)), (N, D), _single())
    assert found.p_value < 0.05


def _single():
    return Kind.of(np.arange(36))


@pytest.mark.slow
def test_variances_of_runs_and_cells_are_found():
    n, d = np.repeat(N, 3), np.repeat(D, 3)
    rng, labels = np.random.default_rng(1), np.repeat(np.arange(36), 3)
    shares = []
    for _ in range(20):
        off = 0.01 * rng.normal(size=108) + 0.02 * rng.normal(size=36)[labels]
        found = Components(law(n, d), off, (n, d), Kind.of(labels))
        shares.append(found.spread)
    assert np.mean(shares) == pytest.approx(0.01**2 + 0.02**2, rel=0.25)


def test_draws_have_the_covariance_of_the_components():
    found, _, _ = made(repeats=2, bend=0.003, trunks=Kind.of(TRUNKS))
    drawn = found.draw(4000, [1])
    point = found.grid[drawn.point]
    cell, level, slope, _ = (drawn.variance[:, None] * point).mean(axis=0)
    place = found.basis.place(np.repeat(N, 2), np.repeat(D, 2))[:, 1]
    expected = found.root**2 * (drawn.variance.mean() + cell) + level + slope * place**2
    measured = drawn.rest.var(axis=0)
    assert measured.mean() == pytest.approx(expected.mean(), rel=0.2)
    together = (drawn.rest[:, ::2] * drawn.rest[:, 1::2]).mean()
    assert together == pytest.approx((found.root**2).mean() * cell, rel=0.5, abs=2e-5)


def test_what_mixtures_have_in_common_stays_in_their_draws():
    found, J, off = made(repeats=2)
    n, d = np.repeat(N, 2), np.repeat(D, 2)
    turned = Components(J, -off, (n, d), Kind.of(CELLS))
    other = made(seed=7, repeats=2)[0]
    first, second, third = (c.draw(200, [4]).rest for c in (found, turned, other))
    assert first == pytest.approx(-second)
    assert abs(np.corrcoef(first.ravel(), third.ravel())[0, 1]) < 0.5


def test_the_posterior_of_the_misfit_is_that_of_kriging():
    found, J, off = made(bend=0.01)
    drawn = found.draw(4000, [2])
    best = int(found.probability.argmax())
    V = np.diag(found.root**2) + found.grid[best, 3] * found.smooth @ found.smooth.T
    inverse = np.linalg.inv(V)
    P = inverse - inverse @ J @ np.linalg.inv(J.T @ inverse @ J) @ J.T @ inverse
    mean = found.grid[best, 3] * found.smooth.T @ P @ off
    assert found.coefficients(np.array([best]), found.residuals[None])[0] == pytest.approx(mean)
    assert found.posterior(drawn).mean(axis=0) == pytest.approx(found.mean, abs=0.004)


def test_an_outlier_is_no_noise():
    _, J, off = made(seed=3)
    off[7] += 0.5
    clean, spoiled = (components(J, values, (N, D), _single()) for values in (made(seed=3)[2], off))
    assert spoiled.spread < 2 * clean.spread
    assert spoiled.p_value > 0.01


def test_exact_runs_have_no_noise():
    found = components(law(N, D), np.zeros(36), (N, D), _single())
    assert found.draw(20, [0]).rest == pytest.approx(np.zeros((20, 36)), abs=1e-9)
