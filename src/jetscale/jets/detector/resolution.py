"""Efficiencies and resolutions of the simulated detector: the Delphes card for CMS of JetClass.

Track impact parameters follow figure 15 of arXiv 1405.6569, tabulated in steps of e^0.2 in pT.
Momenta and energies in GeV, lengths in mm.
"""

import numpy as np

from jetscale.jets.arrays import Bools, Floats

MAX_TRACK_ETA, MIN_TRACK_PT = 2.5, 0.1
_IMPACT_PT = 0.1823 * np.exp(0.2 * np.arange(34))  # lower edges
_IMPACT_ETA = np.array([0.9, 1.4])

# fmt: off
_D0 = np.array([
    [3543, 2809, 2304, 1917, 1737, 1434, 1060, 893, 753, 670, 577, 524, 452, 376, 350, 324, 283,
     258, 237, 211, 191, 164, 150, 143, 130, 130, 116, 116, 110, 110, 110, 104, 109, 110],
    [4564, 3580, 3010, 2353, 2026, 1595, 1383, 1119, 926, 816, 663, 553, 488, 431, 399, 357, 313,
     277, 233, 221, 214, 180, 155, 141, 128, 134, 121, 108, 101, 101, 101, 102, 88, 95],
    [6970, 6046, 5315, 4306, 3398, 2788, 2387, 1814, 1557, 1230, 1009, 914, 767, 638, 544, 468, 425,
     385, 331, 278, 256, 236, 217, 196, 176, 165, 157, 150, 144, 144, 137, 130, 137, 137],
]) * 1e-4
_DZ = np.array([
    [3693, 3135, 3125, 2578, 2221, 1936, 1686, 1351, 1113, 983, 882, 786, 684, 615, 551, 516, 484,
     450, 416, 416, 382, 350, 317, 316, 316, 316, 348, 316, 316, 316, 284, 283, 315, 318],
    [7062, 6010, 5992, 4959, 3877, 3199, 2649, 2518, 1982, 1587, 1399, 1199, 1031, 967, 805, 736,
     707, 603, 609, 541, 511, 443, 409, 408, 409, 377, 375, 377, 342, 342, 343, 343, 309, 310],
    [21717, 20715, 20679, 17679, 14393, 11997, 9800, 8251, 6695, 5545, 4366, 3711, 3319, 2721, 2443,
     2085, 1816, 1641, 1451, 1317, 1117, 1020, 1017, 983, 882, 847, 814, 784, 817, 750, 816, 820,
     814, 850],
]) * 1e-4
# fmt: on


def track_efficiency(pt: Floats, abs_eta: Floats, electron: Bools, muon: Bools) -> Floats:
    """(n,) chance that the tracker finds each charged particle; 0 outside its acceptance.

    >>> pion, no = np.array([5.0]), np.array([False])  # GeV
    >>> track_efficiency(pion, np.array([0.1]), no, no).tolist()
    [0.95]
    """
    forward, step = (abs_eta > 1.5).astype(np.int64), (pt > 1.0).astype(np.int64)
    hadrons = np.array([[0.70, 0.60], [0.95, 0.85]])[step, forward]
    muons = np.array([[0.75, 0.70], [0.99, 0.98]])[step, forward]
    electrons = np.array([[0.73, 0.50], [0.95, 0.83], [0.99, 0.90]])[step + (pt > 100), forward]
    chance = np.where(electron, electrons, np.where(muon, muons, hadrons))
    return np.where((abs_eta > MAX_TRACK_ETA) | (pt <= MIN_TRACK_PT), 0.0, chance)


def momentum_resolution(pt: Floats, abs_eta: Floats, electron: Bools, muon: Bools) -> Floats:
    """(n,) relative resolutions sigma(pT) / pT of tracks, hypot(a, b pT), at most 1."""
    k = np.digitize(abs_eta, [0.5, 1.5])
    constant = np.array([[0.06, 0.10, 0.25], [0.03, 0.05, 0.15], [0.01, 0.015, 0.025]])
    linear = np.array([[1.3e-3, 1.7e-3, 3.1e-3], [1.3e-3, 1.7e-3, 3.1e-3], [1e-4, 1.5e-4, 3.5e-4]])
    kind = np.where(electron, 1, np.where(muon, 2, 0))
    return np.asarray(np.minimum(np.hypot(constant[kind, k], linear[kind, k] * pt), 1.0))


def impact_resolution(pt: Floats, abs_eta: Floats) -> tuple[Floats, Floats]:
    """(n,) resolutions of d0 and of dz in mm; 0 below the table's 0.18 GeV."""
    row, column = np.digitize(abs_eta, _IMPACT_ETA), np.digitize(pt, _IMPACT_PT) - 1
    known = column >= 0
    return np.where(known, _D0[row, column], 0.0), np.where(known, _DZ[row, column], 0.0)


def ecal_resolution(energy: Floats, eta: Floats) -> Floats:
    """(n,) resolutions sigma(E) in GeV of electromagnetic towers."""
    distance = np.abs(eta)
    sigma = np.sqrt((0.008 * energy) ** 2 + 0.11**2 * energy + 0.4**2)
    shape = np.where(distance <= 1.5, 1 + 0.64 * eta**2, 2.16 + 5.6 * (distance - 2) ** 2)
    forward = np.sqrt((0.107 * energy) ** 2 + 2.08**2 * energy)
    return np.where(distance <= 2.5, sigma * shape, forward)


def hcal_resolution(energy: Floats, eta: Floats) -> Floats:
    """(n,) resolutions sigma(E) in GeV of hadronic towers."""
    sigma = np.sqrt((0.05 * energy) ** 2 + 1.5**2 * energy)
    forward = np.sqrt((0.13 * energy) ** 2 + 2.7**2 * energy)
    return np.where(np.abs(eta) <= 3.0, sigma, forward)


def log_normal(mean: Floats, sigma: Floats, rng: np.random.Generator) -> Floats:
    """(n,) positive values with these means (above 0) and standard deviations."""
    s2 = np.log1p((sigma / mean) ** 2)  # variance of the logarithm; s2 / 2 keeps the mean
    return np.asarray(mean * np.exp(rng.standard_normal(len(mean)) * np.sqrt(s2) - 0.5 * s2))
