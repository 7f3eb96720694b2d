from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from jetscale.jets.generator.cascade import (
    MAX_Y_SHARE,
    MIN_Y_MASS,
    decay_pairs,
    draw_modes,
    two_body,
    y_masses,
)
from jetscale.jets.generator.decays import all_modes, modes_for
from jetscale.jets.generator.processes import CHARGED_X, CHARGED_Y, NEUTRAL_X, NEUTRAL_Y


def fired(modes, n=200, seed=1):
    rng = np.random.default_rng(seed)
    mass = np.tile(rng.uniform(60, 200, n), (2, 1))
    p = rng.normal(0, 500, (2, n, 3))
    energy = np.sqrt((p**2).sum(axis=2) + mass**2)
    momentum = np.concatenate([p, energy[:, :, None]], axis=2)
    mode = draw_modes(modes, rng, n)
    return mode, decay_pairs(modes, mode, momentum, mass, rng)


@pytest.mark.parametrize("family", ["res2p", "res34p"])
def test_daughters_sum_to_their_mother(family):
    _, particles = fired(all_modes(family))
    rows = {i + 3: particle for i, particle in enumerate(particles)}
    for number, mother in rows.items():
        daughters = [p for p in particles if p.mothers == (number, 0)]
        assert len(daughters) == (2 if mother.status == 2 else 0)
        if daughters:
            total = sum(p.momentum for p in daughters)
            np.testing.assert_allclose(total, mother.momentum, rtol=1e-8, atol=1e-6)


def test_leaves_are_those_of_the_modes_and_antiparticles_in_charged_pairs():
    modes = all_modes("res2p")
    mode, particles = fired(modes)
    for i in range(200):
        x, other = particles[0].code[i], particles[1].code[i]
        assert (x, other) in ((NEUTRAL_X, NEUTRAL_X), (CHARGED_X, -CHARGED_X))
        sign = -1 if other < 0 else 1
        leaves = [int(p.code[i]) for p in particles[2:]]
        assert leaves[:2] == list(modes[mode[0, i]].leaves)
        assert leaves[2:] == [sign * code for code in modes[mode[1, i]].leaves]


def test_cascades_have_neutral_pairs_or_charged_ones():
    modes = all_modes("res34p")
    mode, particles = fired(modes, n=2000)
    kinds = Counter(zip(particles[2].code.tolist(), particles[3].code.tolist(), strict=True))
    assert set(kinds) == {(NEUTRAL_Y, NEUTRAL_Y), (CHARGED_Y, -CHARGED_Y)}
    assert kinds[NEUTRAL_Y, NEUTRAL_Y] == pytest.approx(1000, abs=120)
    for i in range(50):
        assert [int(p.code[i]) for p in particles[6:10]] == list(modes[mode[0, i]].leaves)
        assert [int(p.code[i]) for p in particles[10:]] == list(modes[mode[1, i]].leaves)


def test_both_x_have_modes_as_often_as_their_weights_say():
    modes = modes_for("res2p", ("X_bb", "X_gg", "X_cs", "X_tauhtaue"))
    drawn = draw_modes(modes, np.random.default_rng(3), 8000)
    weight = np.array([mode.weight for mode in modes])
    for side in drawn:
        counts = np.bincount(side, minlength=len(modes))
        assert stats.chisquare(counts, 8000 * weight / weight.sum()).pvalue > 1e-3


def test_masses_of_y_are_independent_and_leave_room():
    m = np.full(20_000, 200.0)
    first, second = y_masses(m, np.random.default_rng(4))
    assert min(first.min(), second.min()) >= MIN_Y_MASS
    assert (first + second).max() <= MAX_Y_SHARE * 200 + 1e-9
    room = MAX_Y_SHARE * 200 - 2 * MIN_Y_MASS
    # uniform over a triangle: the marginal falls linearly
    line = stats.beta(1, 2, loc=MIN_Y_MASS, scale=room)
    assert stats.kstest(first, line.cdf).pvalue > 1e-3
    assert np.abs(first - second).mean() == pytest.approx(room / 3, rel=0.03)


@given(st.integers(0, 10_000), st.floats(0.05, 0.49), st.floats(0.0, 0.5), st.floats(1.0, 900.0))
def test_two_body_decay_conserves_momentum_and_mass(seed, ratio, other, pt):
    mass = np.full(20, 100.0)
    p = np.stack([np.full(20, pt), np.zeros(20), np.full(20, -pt), np.zeros(20)], axis=1)
    p[:, 3] = np.sqrt((p[:, :3] ** 2).sum(axis=1) + mass**2)
    masses = (ratio * mass, other * mass)
    pair = two_body(p, mass, masses, np.random.default_rng(seed))
    np.testing.assert_allclose(pair[0] + pair[1], p, rtol=1e-9, atol=1e-7)
    for daughter, expected in zip(pair, masses, strict=True):
        square = daughter[:, 3] ** 2 - (daughter[:, :3] ** 2).sum(axis=1)
        np.testing.assert_allclose(square, expected**2, rtol=1e-5, atol=1e-9 * p[0, 3] ** 2)


def test_two_body_decay_is_isotropic():
    n = 4000
    p, mass = np.tile([0.0, 0.0, 0.0, 10.0], (n, 1)), np.full(n, 10.0)
    one = np.full(n, 1.0)
    a, _ = two_body(p, mass, (one, 3 * one), np.random.default_rng(8))
    cosine = a[:, 2] / np.linalg.norm(a[:, :3], axis=1)
    assert stats.kstest(cosine, stats.uniform(-1, 2).cdf).pvalue > 1e-3
