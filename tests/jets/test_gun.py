import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from jetscale.jets.gun import MAX_X, breit_wigner, draw_events, draw_pt, two_body
from jetscale.jets.processes import BEAM_ENERGY, PROCESSES

GUNS = [name for name, process in PROCESSES.items() if process.pairs]


def momenta(rows):
    return np.array([row[6:10] for row in rows])


def final(rows):
    return [row for row in rows if row[1] == 1]


@pytest.mark.parametrize("name", GUNS)
def test_momentum_and_charges_balance(name):
    events = draw_events(PROCESSES[name], np.random.default_rng(1), 64)
    assert len(events) > 40
    for event in events:
        incoming = momenta(event.rows[:2]).sum(axis=0)
        np.testing.assert_allclose(momenta(final(event.rows)).sum(axis=0), incoming, atol=1e-6)
        assert 0 < event.x1 < MAX_X
        assert 0 < event.x2 < MAX_X
        assert event.rows[0][9] == pytest.approx(event.x1 * BEAM_ENERGY)
        assert sum(row[0] for row in event.rows[2:4]) in (0, 2 * event.rows[2][0])


@pytest.mark.parametrize("name", GUNS)
def test_particles_are_on_their_mass_shell(name):
    for event in draw_events(PROCESSES[name], np.random.default_rng(2), 32):
        p, mass = momenta(event.rows), np.array([row[10] for row in event.rows])
        square = p[:, 3] ** 2 - (p[:, :3] ** 2).sum(axis=1)
        np.testing.assert_allclose(square, mass**2, atol=1e-9 * p[:, 3].max() ** 2)


@pytest.mark.parametrize("name", GUNS)
def test_every_colour_line_has_two_ends(name):
    for event in draw_events(PROCESSES[name], np.random.default_rng(3), 32):
        ends = []
        for i, row in enumerate(event.rows[:4]):
            sign = -1 if i < 2 else 1  # an incoming colour is an outgoing anticolour
            ends += [sign * row[4], -sign * row[5]]
        assert sum(ends) == 0
        lines = [abs(end) for end in ends if end]
        assert all(lines.count(line) == 2 for line in lines)


def test_daughters_of_a_cascade_sum_to_their_mother():
    for event in draw_events(PROCESSES["res34p"], np.random.default_rng(4), 64):
        for mother in (3, 4):
            pair = [row for row in event.rows[4:] if row[2] == mother]
            assert len(pair) == 2
            total = momenta(pair).sum(axis=0)
            np.testing.assert_allclose(total, momenta(event.rows[mother - 1 : mother])[0])


def test_cascades_mix_neutral_and_charged_daughters():
    events = draw_events(PROCESSES["res34p"], np.random.default_rng(5), 512)
    charged = [abs(event.rows[4][0]) == 9000104 for event in events]
    assert np.mean(charged) == pytest.approx(0.5, abs=0.1)


def test_pt_follows_the_truncated_exponential():
    process = PROCESSES["Hbb"]
    pt = draw_pt(process, np.random.default_rng(6), 4000)
    low, high, slope = process.pt.low, process.pt.high, process.pt.slope
    expected = stats.truncexpon((high - low) / slope, loc=low, scale=slope)
    assert stats.kstest(pt, expected.cdf).pvalue > 1e-3


def test_breit_wigner_is_a_cut_cauchy():
    mass = breit_wigner(91.19, 2.495, np.random.default_rng(7), 4000)
    line = stats.cauchy(91.19, 2.495 / 2)
    low, high = line.cdf(91.19 - 8 * 2.495), line.cdf(91.19 + 8 * 2.495)
    assert stats.kstest(mass, lambda m: (line.cdf(m) - low) / (high - low)).pvalue > 1e-3
    assert np.abs(mass - 91.19).max() <= 8 * 2.495 + 1e-9


@given(st.integers(0, 10_000), st.floats(0.05, 0.49), st.floats(1.0, 900.0))
def test_two_body_decay_conserves_momentum_and_mass(seed, ratio, pt):
    mass = np.full(20, 100.0)
    p = np.stack([np.full(20, pt), np.zeros(20), np.full(20, -pt), np.zeros(20)], axis=1)
    p[:, 3] = np.sqrt((p[:, :3] ** 2).sum(axis=1) + mass**2)
    a, b = two_body(p, mass, ratio * mass, np.random.default_rng(seed))
    np.testing.assert_allclose(a + b, p, rtol=1e-9, atol=1e-7)
    square = a[:, 3] ** 2 - (a[:, :3] ** 2).sum(axis=1)
    np.testing.assert_allclose(square, (ratio * mass) ** 2, rtol=1e-5)


def test_two_body_decay_is_isotropic():
    n = 4000
    p, mass = np.tile([0.0, 0.0, 0.0, 10.0], (n, 1)), np.full(n, 10.0)
    a, _ = two_body(p, mass, np.full(n, 1.0), np.random.default_rng(8))
    cosine = a[:, 2] / np.linalg.norm(a[:, :3], axis=1)
    assert stats.kstest(cosine, stats.uniform(-1, 2).cdf).pvalue > 1e-3
