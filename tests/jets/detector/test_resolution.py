import numpy as np
import pytest

from jetscale.jets.detector import resolution


@pytest.mark.parametrize(
    ("code", "pt", "eta", "expected"),
    [
        (211, 5.0, 0.1, 0.95),
        (211, 0.5, 2.0, 0.60),
        (211, 5.0, 2.6, 0.0),
        (211, 0.1, 0.1, 0.0),
        (11, 200.0, 2.0, 0.90),
        (11, 5.0, 0.1, 0.95),
        (13, 0.5, 0.1, 0.75),
        (13, 5.0, 1.8, 0.98),
    ],
)
def test_track_efficiency_table(code, pt, eta, expected):
    electron, muon = np.array([code == 11]), np.array([code == 13])
    found = resolution.track_efficiency(np.array([pt]), np.array([eta]), electron, muon)
    assert found[0] == expected


@pytest.mark.parametrize(
    ("code", "pt", "eta", "expected"),
    [
        (211, 50.0, 0.1, np.hypot(0.06, 1.3e-3 * 50)),
        (211, 50.0, 2.0, np.hypot(0.25, 3.1e-3 * 50)),
        (11, 50.0, 1.0, np.hypot(0.05, 1.7e-3 * 50)),
        (13, 50.0, 0.1, np.hypot(0.01, 1e-4 * 50)),
        (211, 2000.0, 0.1, 1.0),
    ],
)
def test_momentum_resolution(code, pt, eta, expected):
    found = resolution.momentum_resolution(
        np.array([pt]), np.array([eta]), np.array([code == 11]), np.array([code == 13])
    )
    assert found[0] == pytest.approx(expected)


def test_impact_resolution_steps_and_falls():
    pt = np.array([0.1, 0.2, 1.0, 10.0, 134.0, 500.0])
    d0, dz = resolution.impact_resolution(pt, np.full(6, 0.5))
    np.testing.assert_allclose(d0, [0.0, 0.3543, 0.0753, 0.0191, 0.0109, 0.0110])
    np.testing.assert_allclose(dz, [0.0, 0.3693, 0.1113, 0.0382, 0.0315, 0.0318])
    ladder = np.geomspace(0.19, 20, 200)
    for eta in (0.5, 1.2, 2.0):
        for sigma in resolution.impact_resolution(ladder, np.full(200, eta)):
            assert (np.diff(sigma) < 2e-3).all()  # but for the last digit of the table
    _, forward = resolution.impact_resolution(np.array([1.0]), np.array([1.5]))
    assert forward[0] == pytest.approx(0.6695)


def test_impact_resolutions_are_those_listed_with_published_tracks(real_data):
    top = real_data / "jetclass_top_100"
    inside = np.load(top / "pf_mask.npy")[:, 0] > 0
    rows = np.load(top / "pf_features.npy").transpose(0, 2, 1)[inside]
    errors = rows[rows[:, 5] != 0][:, (12, 14)]  # of charged candidates, cut at 1 mm
    for listed, table in zip(errors.T, (resolution._D0, resolution._DZ), strict=True):
        known = np.append(np.minimum(table.ravel(), 1.0), 0.0)
        assert np.abs(listed[:, None] - known).min(axis=1).max() < 1e-6


@pytest.mark.parametrize("kind", ["ecal", "hcal"])
def test_calorimeter_resolution_grows_with_energy_and_falls_relative_to_it(kind):
    formula = getattr(resolution, f"{kind}_resolution")
    energy = np.geomspace(1, 1000, 50)
    for eta in (0.1, 2.0, 4.0):
        sigma = formula(energy, np.full(50, eta))
        assert (np.diff(sigma) > 0).all()
        assert (np.diff(sigma / energy) < 0).all()


def test_calorimeter_resolution_values():
    ten = np.array([10.0])
    expected = np.sqrt(0.08**2 + 0.11**2 * 10 + 0.4**2)
    assert resolution.ecal_resolution(ten, np.zeros(1))[0] == pytest.approx(expected)
    assert resolution.ecal_resolution(ten, np.ones(1))[0] == pytest.approx(1.64 * expected)
    assert resolution.ecal_resolution(ten, np.full(1, -2.0))[0] == pytest.approx(2.16 * expected)
    hadronic = np.sqrt(0.5**2 + 1.5**2 * 10)
    assert resolution.hcal_resolution(ten, np.ones(1))[0] == pytest.approx(hadronic)


def test_log_normal_has_the_mean_and_the_spread():
    rng = np.random.default_rng(1)
    drawn = resolution.log_normal(np.full(40_000, 5.0), np.full(40_000, 2.0), rng)
    assert (drawn > 0).all()
    assert drawn.mean() == pytest.approx(5.0, abs=0.05)
    assert drawn.std() == pytest.approx(2.0, rel=0.04)
