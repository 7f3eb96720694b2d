"""Pile-up: what is done about the soft collisions laid over a hard one.

Soft events come from the pool that also serves as underlying event, turned at random and shifted
along the beam by a normal spread of 50 mm. Charged particles are then subtracted by their vertex:
a prompt track (d0 within 3 standard deviations of the beam) is dropped where dz lies more than 1 mm
and 3 standard deviations from the hard vertex; displaced tracks are kept, as they may come from b
hadrons. Neutral candidates stay, so jets keep a neutral pile-up contribution: this is charged
hadron subtraction, not the PUPPI of the public JetClass-II.
"""

import numpy as np

from jetscale.jets.detector.detector import Candidates

SPREAD = 50.0  # mm, standard deviation of the collisions along the beam
MIN_DISTANCE = 1.0  # mm in dz
SIGNIFICANCE = 3.0


def subtracted(candidates: Candidates) -> Candidates:
    """The candidates without tracks of other collisions."""
    prompt = np.abs(candidates.d0) < SIGNIFICANCE * candidates.d0_error
    distance = np.maximum(MIN_DISTANCE, SIGNIFICANCE * candidates.dz_error)
    foreign = prompt & (np.abs(candidates.dz) > distance) & (candidates.charge != 0)
    return candidates.take(~foreign)
