"""Calorimeter towers and energy flow, a whole batch of events at once.

A tower's energy is smeared, cut, and compared with its tracks as in Delphes (arXiv 1307.6346,
section 2.3). A significant excess over them becomes a neutral candidate; otherwise the tracks are
scaled to the tower's energy, as the published jets have no resolution assigned to their tracks.
Charged hadrons below the hadronic tower's 2.25 GeV are missing from them too. Energies in GeV.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from jetscale.jets.arrays import Floats, Ints
from jetscale.jets.detector.resolution import ecal_resolution, hcal_resolution, log_normal

ECAL_CELL = 0.0174
_FINE = (np.arange(-170, 171) * ECAL_CELL).astype(np.float64)
_BARREL = (np.arange(-19, 20) * 0.087).astype(np.float64)
_ENDCAP = np.array([1.74, 1.83, 1.93, 2.043, 2.172, 2.322, 2.5, 2.65, 2.868, 2.95])
_FORWARD = np.array([3.125, 3.3, 3.475, 3.65, 3.825, 4.0, 4.175, 4.35, 4.525, 4.7, 5.0])


@dataclass(frozen=True, slots=True)
class Calorimeter:
    """The towers of a calorimeter."""

    eta_edges: Floats
    around: Ints  # towers in phi
    threshold: float  # GeV, that a tower must have
    significance: float  # resolutions, that it must have as well
    resolution: Callable[[Floats, Floats], Floats]


def _rings(inner: Floats, fine: int, outer: Floats) -> tuple[Floats, Ints]:
    """Edges on both sides, and towers per ring: ``fine`` between inner edges, 36 beyond.

    >>> edges, around = _rings(np.array([-1.0, 0.0, 1.0]), 72, np.array([2.0]))
    >>> edges.tolist(), around.tolist()
    ([-2.0, -1.0, 0.0, 1.0, 2.0], [36, 72, 72, 36])
    """
    edges = np.concatenate([-outer[::-1], inner, outer])
    around = np.full(len(edges) - 1, 36)
    around[len(outer) : len(outer) + len(inner) - 1] = fine
    return edges, around


ECAL = Calorimeter(*_rings(_FINE, 360, _FORWARD), 0.5, 2.0, ecal_resolution)
HCAL = Calorimeter(*_rings(_BARREL, 72, np.r_[_ENDCAP, _FORWARD]), 1.0, 1.0, hcal_resolution)


@dataclass(frozen=True, slots=True)
class Hits:
    """Energy that particles leave in one calorimeter, and where; ``track`` is 0 without a track."""

    event: Ints
    eta: Floats
    phi: Floats
    energy: Floats
    track: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """Neutral candidates, and the factor by which the track of each hit is scaled."""

    event: Ints
    eta: Floats
    phi: Floats
    energy: Floats
    scale: Floats


def energy_flow(hits: Hits, calorimeter: Calorimeter, rng: np.random.Generator) -> Flow:
    """What one calorimeter makes of the hits; ``scale`` is 1 for hits outside its towers."""
    # Number every tower of every event: only towers that are hit cost memory.
    n_eta, n_phi = len(calorimeter.around), int(calorimeter.around.max())
    ring = np.searchsorted(calorimeter.eta_edges, hits.eta) - 1
    inside = (ring >= 0) & (ring < n_eta) & (hits.energy > 0)
    ring = np.clip(ring, 0, n_eta - 1)
    around = calorimeter.around[ring]
    # the remainder puts phi = pi, which is -pi, into the first tower
    step = np.floor((hits.phi + np.pi) / (2 * np.pi) * around).astype(np.int64) % around
    tower = (hits.event * n_eta + ring) * n_phi + step
    keys, which = np.unique(tower[inside], return_inverse=True)
    ring, step = keys // n_phi % n_eta, keys % n_phi
    # Smear the sum of each tower, and cut on what would be measured.
    deposit = np.bincount(which, hits.energy[inside], len(keys)).astype(np.float64)
    tracks = np.bincount(which, hits.track[inside], len(keys)).astype(np.float64)
    low, high = calorimeter.eta_edges[ring], calorimeter.eta_edges[ring + 1]
    centre = 0.5 * (low + high)
    energy = log_normal(deposit, calorimeter.resolution(deposit, centre), rng)
    sigma = calorimeter.resolution(energy, centre)
    seen = (energy >= calorimeter.threshold) & (energy >= calorimeter.significance * sigma)
    energy = np.where(seen, energy, 0.0)
    # A significant excess over the tracks is neutral; else the tracks take the tower's energy.
    excess = energy - tracks
    neutral = (excess > calorimeter.threshold) & (excess > calorimeter.significance * sigma)
    factor = np.where(neutral | (tracks == 0), 1.0, energy / np.where(tracks > 0, tracks, 1.0))
    scale = np.ones(len(hits.event))
    scale[inside] = factor[which]
    # The tower does not know where it was hit: a place in it is drawn.
    chosen = np.flatnonzero(neutral)
    place_eta, place_phi = rng.random((2, len(chosen)))
    width = 2 * np.pi / calorimeter.around[ring[chosen]]
    return Flow(
        event=keys[chosen] // (n_eta * n_phi),
        eta=low[chosen] + place_eta * (high - low)[chosen],
        phi=(step[chosen] + place_phi) * width - np.pi,
        energy=excess[chosen],
        scale=scale,
    )
