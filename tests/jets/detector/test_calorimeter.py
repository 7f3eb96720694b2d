import numpy as np
import pytest

from jetscale.jets.detector.calorimeter import ECAL, HCAL, Calorimeter, Hits, energy_flow


def exact(calorimeter, sigma=1e-6):
    """The same towers with (almost) no smearing."""
    return Calorimeter(
        eta_edges=calorimeter.eta_edges,
        around=calorimeter.around,
        threshold=calorimeter.threshold,
        significance=calorimeter.significance,
        resolution=lambda energy, eta: np.full(len(energy), sigma),
    )


def hits(energy, track=None, *, event=None, eta=0.04, phi=0.01):
    energy = np.asarray(energy, dtype=float)
    n = len(energy)
    return Hits(
        event=np.zeros(n, dtype=np.int64) if event is None else np.asarray(event),
        eta=np.broadcast_to(np.asarray(eta, dtype=float), n),
        phi=np.broadcast_to(np.asarray(phi, dtype=float), n),
        energy=energy,
        track=np.zeros(n) if track is None else np.asarray(track, dtype=float),
    )


def rng():
    return np.random.default_rng(3)


def test_deposits_of_one_tower_merge_and_events_do_not():
    flow = energy_flow(hits([30.0, 20.0, 5.0], event=[0, 0, 1]), exact(ECAL), rng())
    assert flow.event.tolist() == [0, 1]
    np.testing.assert_allclose(flow.energy, [50, 5], rtol=1e-4)


@pytest.mark.parametrize(("calorimeter", "least"), [(ECAL, 0.5), (HCAL, 1.0)])
def test_energy_below_threshold_is_not_seen(calorimeter, least):
    flow = energy_flow(hits([least - 0.01, least + 0.01], event=[0, 1]), exact(calorimeter), rng())
    assert flow.event.tolist() == [1]


def test_insignificant_energy_is_not_seen():
    faint = exact(ECAL, sigma=5.0)
    seen = energy_flow(hits(np.full(2000, 9.0), event=np.arange(2000)), faint, rng())
    assert (seen.energy > 10).all()  # two resolutions
    assert 0 < len(seen.event) < 1000


def test_an_excess_over_tracks_is_neutral_and_leaves_the_tracks_alone():
    flow = energy_flow(hits([20.0, 8.0], [20.0, 0.0]), exact(HCAL, 0.1), rng())
    assert flow.energy[0] == pytest.approx(8, abs=0.5)
    assert flow.scale.tolist() == [1.0, 1.0]


def test_without_an_excess_tracks_take_the_energy_of_the_tower():
    wide = exact(HCAL, sigma=4.0)
    energy = np.tile([40.0, 3.0], 3000)
    both = hits(energy, np.where(energy > 10, energy, 0), event=np.repeat(np.arange(3000), 2))
    flow = energy_flow(both, wide, rng())
    factor = flow.scale.reshape(-1, 2)
    assert (factor[:, 0] == factor[:, 1]).all()  # one per tower
    neutral = np.isin(np.arange(3000), flow.event)
    assert (factor[neutral] == 1.0).all()
    assert neutral.mean() == pytest.approx(0.4, abs=0.05)  # 3 GeV more than the track needs 4
    tower = 40 * factor[~neutral, 0]
    assert tower.max() < 44.0
    assert tower.mean() == pytest.approx(43 - 4 * 0.64, abs=0.4)  # normal, cut at 44


def test_tracks_of_unseen_towers_are_scaled_to_nothing():
    flow = energy_flow(hits([0.9], [0.9]), exact(HCAL), rng())
    assert flow.scale.tolist() == [0.0]
    assert len(flow.event) == 0


@pytest.mark.parametrize("calorimeter", [ECAL, HCAL])
def test_candidates_lie_in_the_tower_that_was_hit(calorimeter):
    random = rng()
    eta, phi = random.uniform(-4.9, 4.9, 3000), random.uniform(-np.pi, np.pi, 3000)
    flow = energy_flow(
        hits(np.full(3000, 50.0), event=np.arange(3000), eta=eta, phi=phi), exact(calorimeter),
        random,
    )  # fmt: skip
    assert flow.event.tolist() == list(range(3000))
    ring = np.searchsorted(calorimeter.eta_edges, eta)
    assert (np.searchsorted(calorimeter.eta_edges, flow.eta) == ring).all()
    width = 2 * np.pi / calorimeter.around[ring - 1]
    assert (np.abs(flow.phi - phi) <= width).all()
    assert (np.floor((flow.phi + np.pi) / width) == np.floor((phi + np.pi) / width)).mean() > 0.999


def test_particles_beyond_the_towers_are_lost_without_harm():
    flow = energy_flow(hits([50.0, 50.0], eta=[5.2, -6.0]), ECAL, rng())
    assert len(flow.event) == 0
    assert flow.scale.tolist() == [1.0, 1.0]


def test_no_hits():
    flow = energy_flow(hits([]), HCAL, rng())
    assert len(flow.event) == len(flow.scale) == 0


def test_rings_are_symmetric_and_cells_have_the_stated_sizes():
    for calorimeter, cell, around in ((ECAL, 0.0174, 360), (HCAL, 0.087, 72)):
        np.testing.assert_allclose(calorimeter.eta_edges, -calorimeter.eta_edges[::-1])
        assert (np.diff(calorimeter.eta_edges) > 0).all()
        middle = np.searchsorted(calorimeter.eta_edges, 0.01) - 1
        assert np.diff(calorimeter.eta_edges)[middle] == pytest.approx(cell)
        assert calorimeter.around[middle] == around
    assert HCAL.around[np.searchsorted(HCAL.eta_edges, 1.7) - 1] == 36
