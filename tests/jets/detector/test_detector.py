import numpy as np
import pytest

from jetscale.jets.detector import detector, resolution
from jetscale.jets.generator.pythia import Particles


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


def test_stiff_tracks_carry_the_energy_of_the_calorimeter():
    made = particles(211, 100.0, 3000, charge=-1.0, mass=0.1396)
    found = detector.detect(made, np.random.default_rng(1))
    events = np.bincount(found.event, found.energy, 3000)
    true = made.energy[0]
    sigma = resolution.hcal_resolution(np.array([true]), np.array([0.1]))[0]
    assert events.mean() == pytest.approx(true, rel=0.03)
    assert events.std() == pytest.approx(sigma, rel=0.15)
    track = found.take(found.charge != 0)
    assert set(track.kind) == {detector.CHARGED_HADRON}
    mass2 = track.energy**2 - pt_of(track) ** 2 - track.pz**2
    np.testing.assert_allclose(mass2, 0.1396**2, atol=1e-6)


def test_tracks_beside_a_significant_excess_keep_their_true_momentum():
    made = particles(211, 30.0, 2000, charge=1.0, mass=0.1396)
    found = detector.detect(made, np.random.default_rng(2))
    with_neutral = np.isin(found.event, found.event[found.kind == detector.NEUTRAL_HADRON])
    kept = found.take(with_neutral & (found.charge != 0))
    assert len(kept) > 100
    np.testing.assert_allclose(pt_of(kept), 30.0, rtol=1e-9)


def test_soft_charged_hadrons_vanish_with_their_towers():
    soft = particles(211, 1.5, 2000, charge=1.0, eta=0.0, mass=0.1396)
    assert len(detector.detect(soft, np.random.default_rng(3))) < 1000
    energies = detector.detect(soft, np.random.default_rng(3)).energy
    assert energies.min() > 1.0
    alone = detector.detect(particles(211, 20.0, 4000, charge=1.0), np.random.default_rng(3))
    assert alone.energy[alone.charge != 0].min() >= 2.25  # one resolution of a hadronic tower


def test_lost_tracks_leave_calorimeter_deposits():
    made = particles(211, 50.0, 4000, charge=1.0, eta=2.0, mass=0.1396)
    found = detector.detect(made, np.random.default_rng(2))
    trackless = set(range(4000)) - set(found.event[found.charge != 0].tolist())
    assert len(trackless) / 4000 == pytest.approx(0.15, abs=0.02)
    assert trackless <= set(found.event.tolist())
    assert (found.kind[found.charge == 0] == detector.NEUTRAL_HADRON).all()


def test_muons_pass_the_calorimeter_with_their_momentum():
    made = particles(-13, 20.0, 2000, charge=1.0, mass=0.106)
    found = detector.detect(made, np.random.default_rng(3))
    assert set(found.kind) == {detector.MUON}
    assert len(found) / 2000 == pytest.approx(0.99, abs=0.01)
    np.testing.assert_allclose(pt_of(found), 20.0, rtol=1e-9)


def test_electrons_are_measured_in_the_electromagnetic_calorimeter():
    made = particles(11, 40.0, 3000, charge=-1.0, mass=0.000511)
    found = detector.detect(made, np.random.default_rng(4))
    total = np.bincount(found.event, found.energy, 3000)
    sigma = resolution.ecal_resolution(made.energy[:1], np.array([0.1]))[0]
    assert total.std() == pytest.approx(sigma, rel=0.1)
    tracks = found.kind == detector.ELECTRON
    assert set(found.kind[~tracks]) <= {detector.PHOTON}
    assert tracks.sum() / 3000 == pytest.approx(0.95, abs=0.02)


@pytest.mark.parametrize(
    ("code", "kind", "formula"),
    [
        (22, detector.PHOTON, resolution.ecal_resolution),
        (130, detector.NEUTRAL_HADRON, resolution.hcal_resolution),
    ],
)
def test_neutral_energy_is_unbiased_and_massless_without_impact_parameters(code, kind, formula):
    made = particles(code, 100.0, 3000)
    found = detector.detect(made, np.random.default_rng(4))
    sigma = formula(made.energy[:1], np.array([0.1]))[0]
    assert set(found.kind) == {kind}
    assert found.energy.mean() == pytest.approx(made.energy[0], abs=5 * sigma / np.sqrt(3000))
    assert found.energy.std() == pytest.approx(sigma, rel=0.1)
    for name in ("d0", "d0_error", "dz", "dz_error", "charge"):
        assert not getattr(found, name).any()
    np.testing.assert_allclose(found.energy, np.hypot(pt_of(found), found.pz), rtol=1e-9)
    np.testing.assert_allclose(np.sinh(found.listed_eta), found.pz / pt_of(found), rtol=1e-9)


def test_long_lived_neutrals_share_their_energy():
    found = detector.detect(particles(310, 200.0, 1000), np.random.default_rng(5))
    photons = found.energy[found.kind == detector.PHOTON].sum()
    assert photons / found.energy.sum() == pytest.approx(0.3, abs=0.02)


def test_tracks_are_listed_where_they_hit_the_calorimeter():
    made = particles(13, 0.4, 500, charge=1.0, eta=0.4, mass=0.106)
    found = detector.detect(made, np.random.default_rng(6))
    curls = found.listed_eta
    assert len(found) > 300
    assert (curls > 1.5).all()  # they end at the endcap
    np.testing.assert_allclose(np.arcsinh(found.pz / pt_of(found)), 0.4, rtol=1e-6)
    stiff = detector.detect(particles(13, 80.0, 100, charge=1.0, eta=0.4), np.random.default_rng(6))
    np.testing.assert_allclose(stiff.listed_eta, 0.4, atol=1e-3)


def test_impact_parameter_pulls_are_unit_normal():
    made = particles(13, 5.0, 4000, charge=1.0, mass=0.106)
    found = detector.detect(made, np.random.default_rng(7))
    for pull in (found.d0 / found.d0_error, found.dz / found.dz_error):
        assert pull.mean() == pytest.approx(0, abs=0.08)
        assert pull.std() == pytest.approx(1, abs=0.05)


def test_particles_made_outside_the_tracker_are_lost():
    made = particles(22, 30.0, 5, vertex=(1400.0, 0.0, 0.0))
    assert len(detector.detect(made, np.random.default_rng(8))) == 0


def test_candidates_are_sorted_by_event_and_repeatable():
    made = Particles.concatenate(
        particles(22, 30.0, 50), particles(211, 9.0, 50, charge=1.0, mass=0.14)
    )
    first, again = (detector.detect(made, np.random.default_rng(8)) for _ in range(2))
    assert (np.diff(first.event) >= 0).all()
    for name, column in first.columns().items():
        np.testing.assert_array_equal(column, getattr(again, name))
