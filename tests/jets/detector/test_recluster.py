import numpy as np
import pytest

from jetscale.jets.detector.detector import CHARGED_HADRON, PHOTON, Candidates

pytest.importorskip("fastjet", reason="needs the extra 'simulate'")
from jetscale.jets.detector import recluster


def candidates(pt, eta, phi, *, event=None, kind=PHOTON, charge=0.0, listed_eta=None):
    """Massless candidates."""
    pt, eta, phi = (np.asarray(v, dtype=float) for v in (pt, eta, phi))
    n, zero = len(pt), np.zeros(len(pt))
    return Candidates(
        event=np.zeros(n, dtype=np.int64) if event is None else np.asarray(event),
        kind=np.full(n, kind),
        charge=np.full(n, charge),
        px=pt * np.cos(phi),
        py=pt * np.sin(phi),
        pz=pt * np.sinh(eta),
        energy=pt * np.cosh(eta),
        listed_eta=eta if listed_eta is None else np.asarray(listed_eta),
        d0=zero,
        d0_error=zero,
        dz=zero,
        dz_error=zero,
    )


def two_prongs(*soft):
    """300 + 300 GeV, 0.4 apart in azimuth, plus softer (pt, eta, phi)."""
    pt, eta, phi = zip((300, -1.0, -0.2), (300, -1.0, 0.2), *soft, strict=True)
    return candidates(pt, eta, phi)


def mass(c):
    p = [v.sum() for v in (c.energy, c.px, c.py, c.pz)]
    return np.sqrt(p[0] ** 2 - p[1] ** 2 - p[2] ** 2 - p[3] ** 2)


def test_jets_are_their_constituents():
    rng = np.random.default_rng(1)
    event = np.repeat(np.arange(6), 30)
    made = candidates(
        rng.exponential(20.0, 180) + 5, rng.normal(0.5, 0.15, 180), rng.normal(3.1, 0.15, 180),
        event=event,
    )  # fmt: skip
    jets = recluster.find_jets(made, 7)
    assert set(jets.event) <= set(range(6))
    assert len(jets) >= 3
    for i in range(len(jets)):
        rows = jets.rows[jets.start[i] : jets.start[i + 1]]
        assert (made.event[rows] == jets.event[i]).all()
        assert np.hypot(made.px[rows].sum(), made.py[rows].sum()) == pytest.approx(jets.pt[i])
        assert made.energy[rows].sum() == pytest.approx(jets.energy[i])
        assert (np.diff(np.hypot(made.px[rows], made.py[rows])) <= 0).all()


def test_jets_outside_the_window_are_left_out():
    made = candidates([490, 510, 990, 1010, 700], [0, 0, 0, 0, 2.1], [0] * 5, event=[0, 1, 2, 3, 4])
    assert recluster.find_jets(made, 5).event.tolist() == [1, 2]


def test_no_particles_no_jets():
    jets = recluster.find_jets(candidates([], [], []), 3)
    assert len(jets) == 0
    assert recluster.subjettiness(candidates([], [], []), jets).shape == (0, 4)
    assert len(recluster.soft_drop_masses(candidates([], [], []), jets)) == 0


def test_taking_jets_keeps_their_constituents():
    made = candidates([600, 700, 800, 5], [0, 0, 0, 0.1], [0] * 4, event=[0, 1, 2, 2])
    jets = recluster.find_jets(made, 3).take(np.array([2, 0]))
    assert jets.event.tolist() == [2, 0]
    assert jets.start.tolist() == [0, 2, 3]
    assert jets.rows.tolist() == [2, 3, 0]


def test_soft_drop_keeps_two_hard_prongs_and_drops_soft_radiation():
    made = two_prongs((20, -1.5, 0.0))
    jets = recluster.find_jets(made, 1)
    prongs = mass(two_prongs())
    assert recluster.soft_drop_masses(made, jets)[0] == pytest.approx(prongs, rel=1e-6)
    assert mass(made) > prongs + 5
    # one constituent alone has no mass
    alone = candidates([600], [0.0], [0.0])
    assert recluster.soft_drop_masses(alone, recluster.find_jets(alone, 1))[0] < 1e-3


def test_soft_drop_agrees_with_the_groomer_of_fastjet():
    fastjet = pytest.importorskip("fastjet")
    rng = np.random.default_rng(2)
    made = candidates(rng.exponential(15.0, 60) + 3, rng.normal(0, 0.2, 60), rng.normal(0, 0.2, 60))
    jets = recluster.find_jets(made, 1)
    assert len(jets) == 1
    particles = recluster._vectors(made, jets.rows, jets.counts)
    cluster = fastjet.ClusterSequence(
        particles, fastjet.JetDefinition(fastjet.cambridge_algorithm, 3.0)
    )
    groomed = cluster.exclusive_jets_softdrop_grooming(njets=1, beta=0, symmetry_cut=0.1, R0=0.8)
    assert recluster.soft_drop_masses(made, jets)[0] == pytest.approx(
        float(groomed.msoftdrop[0]), abs=0.01
    )


def test_subjettiness_of_two_prongs():
    made = two_prongs()
    tau = recluster.subjettiness(made, recluster.find_jets(made, 1))
    assert tau.shape == (1, 4)
    assert tau[0, 0] == pytest.approx(0.2 / 0.8, rel=0.02)  # both prongs 0.2 from the axis
    np.testing.assert_allclose(tau[0, 1:], 0, atol=1e-9)


@pytest.mark.parametrize("eta", [-1.2, 0.7])
def test_constituent_columns_point_forward(eta):
    made = candidates([400, 200], [eta, eta + 0.2], [3.1, -3.1], kind=CHARGED_HADRON, charge=-1.0)
    jets = recluster.find_jets(made, 1)
    columns = recluster.constituent_columns(made, jets)
    sign = 1 if eta > 0 else -1
    expected = sign * (np.array([eta, eta + 0.2]) - jets.eta[0])
    np.testing.assert_allclose(columns["part_deta"], expected, atol=1e-6)
    assert np.abs(columns["part_dphi"]).max() < 0.2
    assert columns["part_isChargedHadron"].all()
    assert not columns["part_isPhoton"].any()
    assert columns["part_charge"].tolist() == [-1, -1]
    assert columns["part_px"].dtype == np.float32
    assert recluster.jet_columns(made, jets)["jet_nparticles"].tolist() == [2]


def test_tracks_are_listed_with_the_direction_of_their_hit():
    made = candidates(
        [600, 2], [0.1, 0.2], [0.0, 0.1], kind=CHARGED_HADRON, charge=1.0, listed_eta=[0.1, 2.2]
    )
    jets = recluster.find_jets(made, 1)
    columns = recluster.constituent_columns(made, jets)
    assert jets.counts.tolist() == [2]  # the jet is made from the momenta
    assert columns["part_deta"][1] == pytest.approx(2.2 - jets.eta[0], abs=1e-6)
    pt = np.hypot(columns["part_px"], columns["part_py"])
    np.testing.assert_allclose(pt, [600, 2], rtol=1e-6)
    np.testing.assert_allclose(columns["part_pz"], [600, 2] * np.sinh([0.1, 2.2]), rtol=1e-6)
    np.testing.assert_allclose(columns["part_energy"], [600, 2] * np.cosh([0.1, 2.2]), rtol=1e-6)
