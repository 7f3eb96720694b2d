import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetscale.jets import detector
from jetscale.jets.simulate import Particles


def particles(code, pt, n=1, *, charge=0.0, eta=0.1, phi=0.3, mass=0.0, vertex=(0.0, 0.0, 0.0)):
    """n equal particles, one per event."""
    one = np.ones(n)
    momentum = pt * np.cosh(eta)
    return Particles(
        event=np.arange(n),
        code=np.full(n, code),
        charge=charge * one,
        px=pt * np.cos(phi) * one,
        py=pt * np.sin(phi) * one,
        pz=pt * np.sinh(eta) * one,
        energy=np.hypot(momentum, mass) * one,
        vx=vertex[0] * one,
        vy=vertex[1] * one,
        vz=vertex[2] * one,
    )


def pt_of(candidates):
    return np.hypot(candidates.px, candidates.py)


@pytest.mark.parametrize(
    ("code", "mass", "pt", "eta", "expected"),
    [
        (211, 0.1396, 50.0, 0.1, np.hypot(0.06, 1.3e-3 * 50)),
        (211, 0.1396, 50.0, 2.0, np.hypot(0.25, 3.1e-3 * 50)),
        (11, 0.000511, 50.0, 1.0, np.hypot(0.05, 1.7e-3 * 50)),
        (13, 0.10566, 50.0, 0.1, np.hypot(0.01, 1e-4 * 50)),
    ],
)
def test_track_momenta_have_the_stated_resolution(code, mass, pt, eta, expected):
    made = particles(code, pt, 4000, charge=-1.0, eta=eta, mass=mass)
    found = detector.detect(made, np.random.default_rng(1))
    found = found.take(found.charge != 0)
    ratio = pt_of(found) / pt
    assert ratio.mean() == pytest.approx(1, abs=4 * expected / np.sqrt(len(found)))
    assert ratio.std() == pytest.approx(expected, rel=0.08)
    energy2 = pt_of(found) ** 2 * np.cosh(eta) ** 2 + mass**2
    np.testing.assert_allclose(found.energy**2, energy2, rtol=1e-9)


@pytest.mark.parametrize(
    ("code", "pt", "eta", "expected"),
    [
        (211, 5.0, 0.1, 0.95),
        (211, 0.5, 2.0, 0.60),
        (11, 200.0, 2.0, 0.90),
        (11, 5.0, 0.1, 0.95),
        (13, 0.5, 0.1, 0.75),
        (13, 5.0, 1.8, 0.98),
    ],
)
def test_track_efficiency_table(code, pt, eta, expected):
    electron, muon = np.array([code == 11]), np.array([code == 13])
    found = detector.track_efficiency(np.array([pt]), np.array([eta]), electron, muon)
    assert found[0] == expected


def test_lost_tracks_leave_calorimeter_deposits():
    made = particles(211, 50.0, 4000, charge=1.0, mass=0.1396)
    found = detector.detect(made, np.random.default_rng(2))
    neutral = found.kind == detector.NEUTRAL_HADRON
    assert len(found) == 4000
    assert neutral.mean() == pytest.approx(0.05, abs=0.015)
    assert (found.charge[neutral] == 0).all()


def test_muons_leave_no_deposit_and_have_their_kind():
    found = detector.detect(
        particles(-13, 20.0, 2000, charge=1.0, mass=0.106), np.random.default_rng(3)
    )
    assert set(found.kind) == {detector.MUON}
    assert len(found) == pytest.approx(0.99 * 2000, abs=25)


@pytest.mark.parametrize(("code", "kind"), [(22, detector.PHOTON), (130, detector.NEUTRAL_HADRON)])
def test_neutral_energy_is_unbiased_and_massless_without_impact_parameters(code, kind):
    made = particles(code, 100.0, 3000)
    found = detector.detect(made, np.random.default_rng(4))
    sigma = detector.calorimeter_resolution(made.energy[:1], np.array([0.1]), kind)[0]
    assert set(found.kind) == {kind}
    assert found.energy.mean() == pytest.approx(made.energy[0], abs=5 * sigma / np.sqrt(3000))
    assert found.energy.std() == pytest.approx(sigma, rel=0.1)
    for name in ("d0", "d0_error", "dz", "dz_error", "charge"):
        assert not getattr(found, name).any()
    np.testing.assert_allclose(found.energy, np.hypot(pt_of(found), found.pz), rtol=1e-9)


def test_long_lived_neutrals_share_their_energy():
    found = detector.detect(particles(310, 200.0, 1000), np.random.default_rng(5))
    photons = found.energy[found.kind == detector.PHOTON].sum()
    assert photons / found.energy.sum() == pytest.approx(0.3, abs=0.02)


def test_particles_in_one_cell_merge():
    two = Particles.joined(particles(22, 30.0), particles(22, 20.0))
    found = detector.detect(two, np.random.default_rng(6))
    assert len(found) == 1
    assert found.energy[0] == pytest.approx(50 * np.cosh(0.1), rel=0.2)


def test_soft_candidates_are_rare_and_hard_ones_kept():
    chance = detector.turn_on(np.array([0.3, 0.7, 0.88, 3.0, 10.0, 50.0]))
    assert chance[1] < 0.03
    assert chance[2] == pytest.approx(0.5 * (1 - detector.SOFT_LOSS))
    assert chance[3] == pytest.approx(0.92, abs=0.02)
    assert (chance[4:] > 0.999).all()
    assert (np.diff(chance) >= 0).all()


@given(
    st.sampled_from([-1.0, 1.0]),
    st.floats(0.5, 50.0),
    st.floats(-2.0, 2.0),
    st.floats(-3.0, 3.0),
    st.tuples(st.floats(-20, 20), st.floats(-20, 20), st.floats(-50, 50)),
)
def test_impact_parameters_against_a_stepped_helix(charge, pt, eta, phi, vertex):
    d0, dz = detector.impact_parameters(
        np.array([charge]), np.array([pt]), np.array([eta]), np.array([phi]),
        tuple(np.array([v]) for v in vertex),
    )  # fmt: skip
    radius = charge * pt / (0.299792458 * detector.FIELD) * 1e3
    arc = np.linspace(-60.0, 60.0, 12_001)  # mm travelled in the transverse plane
    # a positive charge turns clockwise in a field along +z
    heading = phi - arc / radius
    x = vertex[0] + radius * (np.sin(phi) - np.sin(heading))
    y = vertex[1] - radius * (np.cos(phi) - np.cos(heading))
    nearest = np.argmin(np.hypot(x, y))
    assert abs(d0[0]) == pytest.approx(np.hypot(x, y)[nearest], abs=6e-3)
    assert dz[0] == pytest.approx(vertex[2] + arc[nearest] * np.sinh(eta), abs=0.05)


def test_impact_parameter_of_a_straight_track():
    far = np.array([1e6])
    d0, dz = detector.impact_parameters(
        np.ones(1), far, np.zeros(1), np.array([0.4]), (np.ones(1), 2 * np.ones(1), 3 * np.ones(1))
    )
    assert d0[0] == pytest.approx(np.sin(0.4) - 2 * np.cos(0.4), abs=1e-4)
    assert dz[0] == pytest.approx(3.0)


def test_impact_parameter_pulls_are_unit_normal():
    made = particles(211, 5.0, 4000, charge=1.0, mass=0.1396)
    found = detector.detect(made, np.random.default_rng(7))
    found = found.take(found.charge != 0)
    for pull in (found.d0 / found.d0_error, found.dz / found.dz_error):
        assert pull.mean() == pytest.approx(0, abs=0.08)
        assert pull.std() == pytest.approx(1, abs=0.05)


def test_candidates_are_sorted_by_event_and_repeatable():
    made = Particles.joined(particles(22, 30.0, 50), particles(211, 9.0, 50, charge=1.0, mass=0.14))
    first, again = (detector.detect(made, np.random.default_rng(8)) for _ in range(2))
    assert (np.diff(first.event) >= 0).all()
    for name, column in first.columns().items():
        np.testing.assert_array_equal(column, getattr(again, name))
