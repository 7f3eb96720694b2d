"""Paths of particles in the detector's magnetic field: helices for charged ones, lines for others.

A circle of signed radius R = q pT / (0.3 B) has its centre at vertex + R (sin phi, -cos phi);
azimuth falls along the path where R is positive. Lengths in mm, momenta in GeV.
"""

import numpy as np

from jetscale.jets.arrays import Bools, Floats

Vectors = tuple[Floats, Floats, Floats]

FIELD = 3.8  # T, along +z
RADIUS, HALF_LENGTH = 1290.0, 3000.0  # of the cylinder with the field, up to the calorimeter
_GEV_PER_MM = 0.299792458e-3 * FIELD  # pT of a unit charge on a circle of 1 mm


def starts_inside(vertex: Vectors) -> Bools:
    """(n,) whether the production vertex lies in the cylinder."""
    x, y, z = vertex
    return np.asarray((np.hypot(x, y) < RADIUS) & (np.abs(z) < HALF_LENGTH))


def exit_direction(charge: Floats, momentum: Vectors, vertex: Vectors) -> tuple[Floats, Floats]:
    """Pseudorapidity and azimuth, seen from the origin, of the point where the cylinder is left.

    There the particle hits the calorimeter. The vertex must lie inside. Curls too tight for the
    barrel end at the endcaps. A positive charge turns clockwise, so that its azimuth falls:

    >>> p, origin = (np.array([5.0]), np.zeros(1), np.zeros(1)), (np.zeros(1),) * 3
    >>> [float(exit_direction(np.array([q]), p, origin)[1].round(2)[0]) for q in (1.0, 0.0, -1.0)]
    [-0.15, 0.0, 0.15]
    """
    (x, y, z), p, vertices = np.empty((3, len(charge))), np.stack(momentum), np.stack(vertex)
    rows = np.flatnonzero(charge == 0)
    (px, py, pz), (vx, vy, vz) = p.take(rows, axis=1), vertices.take(rows, axis=1)
    pt = np.hypot(px, py)
    cos, sin, slope = px / pt, py / pt, pz / pt
    along, across = vx * cos + vy * sin, vx * sin - vy * cos
    length = _shortened(np.sqrt(RADIUS**2 - across**2) - along, slope, vz)
    x[rows], y[rows], z[rows] = vx + length * cos, vy + length * sin, vz + length * slope
    rows = np.flatnonzero(charge)
    bent = charge.take(rows), p.take(rows, axis=1), vertices.take(rows, axis=1)
    x[rows], y[rows], z[rows] = _along_helix(*bent)
    return np.arcsinh(z / np.maximum(np.hypot(x, y), 1e-9)), np.arctan2(y, x)


def perigee(charge: Floats, momentum: Vectors, vertex: Vectors) -> tuple[Floats, ...]:
    """d0, dz in mm, and cos phi, sin phi, at the point closest to the beam axis; no charge is 0.

    dz steps along the slope by the difference of transverse distances, as in the published jets.
    """
    radius, x, y = _circle(charge, momentum, vertex)
    centre = np.hypot(x, y)
    d0 = np.sign(radius) * (centre - np.abs(radius))
    slope = momentum[2] / np.hypot(momentum[0], momentum[1])
    dz = vertex[2] + (np.abs(d0) - np.hypot(vertex[0], vertex[1])) * slope
    # there the track is at right angles to the line from the axis to the centre
    turn = np.sign(radius) / centre
    return d0, dz, -y * turn, x * turn


def _along_helix(charge: Floats, momentum: Floats, start: Floats) -> Vectors:
    radius, x, y = _circle(charge, momentum, start)
    centre2, size = x**2 + y**2, np.abs(radius)
    centre = np.sqrt(centre2)
    # |position|^2 = centre^2 + R^2 + 2 R centre sin(alpha - phi), with alpha the centre's azimuth
    sine = (RADIUS**2 - centre2 - radius**2) / np.where(centre > 0, 2 * radius * centre, np.inf)
    angle = np.arcsin(np.clip(sine, -1, 1))
    phi = np.arctan2(momentum[1], momentum[0])
    offset = phi - np.arctan2(y, x)
    # two crossings of the barrel; the particle takes the one it meets first
    turns = [np.sign(radius) * (offset + way) % (2 * np.pi) for way in (angle, np.pi - angle)]
    to_barrel = np.where(centre + size >= RADIUS, size * np.minimum(*turns), np.inf)
    slope = momentum[2] / np.hypot(momentum[0], momentum[1])
    length = _shortened(to_barrel, slope, start[2])
    turned = phi - length / radius
    return x - radius * np.sin(turned), y + radius * np.cos(turned), start[2] + length * slope


def _shortened(length: Floats, slope: Floats, z: Floats) -> Floats:
    """Transverse path lengths, cut where z = start + length * slope reaches an endcap."""
    steep = np.where(np.abs(slope) > 1e-9, slope, 1e-9)
    return np.minimum(length, (np.copysign(HALF_LENGTH, steep) - z) / steep)


def _circle(charge: Floats, momentum: Vectors | Floats, start: Vectors | Floats) -> Vectors:
    bend, (px, py, _) = charge / _GEV_PER_MM, momentum
    return bend * np.hypot(px, py), start[0] + bend * py, start[1] - bend * px
