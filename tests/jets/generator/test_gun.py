import numpy as np
import pytest
from scipy import stats

from jetscale.jets.generator.conditions import WINDOWS
from jetscale.jets.generator.gun import MAX_X, breit_wigner, draw_events, draw_pt
from jetscale.jets.generator.processes import BEAM_ENERGY, CHARGED_X, CLASSES, process_named

GUNS = [name for name, process in CLASSES.items() if process.gun] + ["res2p", "res34p", "X_YY_bbb"]


def momenta(rows):
    return np.array([row[6:10] for row in rows])


def final(rows):
    return [row for row in rows if row[1] == 1]


def draw(name, seed, n=64, window="jetclass"):
    process = process_named(name, window)
    return draw_events(process, np.random.default_rng(seed), n, WINDOWS[window])


@pytest.mark.parametrize("name", GUNS)
def test_momentum_and_charges_balance(name):
    events = draw(name, 1)
    assert len(events) == 64
    for event in events:
        incoming = momenta(event.rows[:2]).sum(axis=0)
        np.testing.assert_allclose(momenta(final(event.rows)).sum(axis=0), incoming, atol=1e-6)
        assert 0 < event.x1 < MAX_X
        assert 0 < event.x2 < MAX_X
        assert event.rows[0][9] == pytest.approx(event.x1 * BEAM_ENERGY)
        assert sum(row[0] for row in event.rows[2:4]) in (0, 2 * event.rows[2][0])


@pytest.mark.parametrize("name", GUNS)
def test_particles_are_on_their_mass_shell(name):
    for event in draw(name, 2, 32):
        p, mass = momenta(event.rows), np.array([row[10] for row in event.rows])
        square = p[:, 3] ** 2 - (p[:, :3] ** 2).sum(axis=1)
        np.testing.assert_allclose(square, mass**2, atol=1e-9 * p[:, 3].max() ** 2)


@pytest.mark.parametrize("name", GUNS)
def test_every_colour_line_has_two_ends(name):
    for event in draw(name, 3, 32):
        ends = []
        for row in event.rows:
            sign = -1 if row[1] == -1 else 1  # an incoming colour is an outgoing anticolour
            ends += [sign * row[4], -sign * row[5]]
        assert sum(ends) == 0
        lines = [abs(end) for end in ends if end]
        assert all(lines.count(line) == 2 for line in lines)


def test_pt_follows_the_truncated_exponential():
    process = CLASSES["Hbb"]
    pt = draw_pt(process, np.random.default_rng(6), 4000)
    low, high, slope = process.pt.low, process.pt.high, process.pt.slope
    expected = stats.truncexpon((high - low) / slope, loc=low, scale=slope)
    assert stats.kstest(pt, expected.cdf).pvalue > 1e-3


def test_pt_of_the_wide_window_is_flat_in_the_logarithm_though_beams_are_finite():
    events = draw("res2p", 7, 4000, "jetclass2")
    assert len(events) > 3990
    pt = np.array([np.hypot(*event.rows[2][6:8]) for event in events])
    process = process_named("res2p", "jetclass2")
    expected = stats.loguniform(process.pt.low, process.pt.high)
    assert stats.kstest(pt, expected.cdf).pvalue > 1e-3
    eta = np.arcsinh(np.array([event.rows[2][8] for event in events]) / pt)
    assert 2.3 < np.abs(eta[pt < 600]).max() < 3


def test_masses_fill_the_window_as_far_as_one_jet_can_hold_the_decay():
    events = draw("res2p", 8, 4000, "jetclass2")
    mass = np.array([event.rows[2][10] for event in events])
    pt = np.array([np.hypot(*event.rows[2][6:8]) for event in events])
    assert (2 * mass / pt < 0.9 + 1e-9).all()
    assert mass.min() < 20
    assert 480 < mass.max() < 500
    hard = mass[pt > 500 / 0.45]
    assert stats.kstest(hard, stats.uniform(15, 485).cdf).pvalue > 1e-3


def test_breit_wigner_is_a_cut_cauchy():
    mass = breit_wigner(91.19, 2.495, np.random.default_rng(7), 4000)
    line = stats.cauchy(91.19, 2.495 / 2)
    low, high = line.cdf(91.19 - 8 * 2.495), line.cdf(91.19 + 8 * 2.495)
    assert stats.kstest(mass, lambda m: (line.cdf(m) - low) / (high - low)).pvalue > 1e-3
    assert np.abs(mass - 91.19).max() <= 8 * 2.495 + 1e-9


def test_charged_and_neutral_x_come_in_their_public_shares():
    events = draw("res2p", 9, 2000)
    charged = np.array([event.rows[2][0] == CHARGED_X for event in events])
    assert charged.mean() == pytest.approx(3 / 7, abs=0.05)
    assert all(event.rows[3][0] == -CHARGED_X for event in events if event.rows[2][0] == CHARGED_X)


def test_rapidities_fall_towards_the_edge():
    events = draw("Hbb", 8, 3000)
    rows = [row for event in events for row in event.rows[2:4]]
    y = np.array([np.arctanh(row[8] / row[9]) for row in rows])
    limit = WINDOWS["jetclass"].max_eta + 0.2
    expected = stats.beta(2.4, 2.4, loc=-limit, scale=2 * limit)
    assert stats.kstest(y, expected.cdf).pvalue > 1e-3


@pytest.mark.parametrize(("name", "quarks"), [("Hbb", True), ("Wqq", True), ("Tbqq", False)])
def test_colour_singlets_come_from_quarks_and_antiquarks(name, quarks):
    for event in draw(name, 9, 20):
        codes = [row[0] for row in event.rows[:2]]
        assert (sum(codes) == 0 and abs(codes[0]) in (1, 2)) if quarks else codes == [21, 21]
