import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from jetscale.jets.detector import helix


def arrays(*values):
    return tuple(np.array([float(v)]) for v in values)


def momentum(pt, eta, phi):
    return arrays(pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta))


def walk(charge, pt, eta, phi, vertex, length):
    """Points of the path every 0.2 mm; a positive charge turns clockwise in a field along +z."""
    arc = np.arange(0.0, length, 0.2)
    if charge == 0:
        x, y = vertex[0] + arc * np.cos(phi), vertex[1] + arc * np.sin(phi)
    else:
        radius = charge * pt / (0.299792458e-3 * helix.FIELD)
        heading = phi - arc / radius
        x = vertex[0] + radius * (np.sin(phi) - np.sin(heading))
        y = vertex[1] - radius * (np.cos(phi) - np.cos(heading))
    return x, y, vertex[2] + arc * np.sinh(eta)


NEAR = st.tuples(st.floats(-200, 200), st.floats(-200, 200), st.floats(-500, 500))


@pytest.mark.slow
@example(-1.0, 0.40625, 1.125, 0.0, (0.0, 0.0, 0.0))  # leaves near the axis
@given(
    st.sampled_from([-1.0, 0.0, 1.0]), st.floats(0.4, 40.0), st.floats(-2.5, 2.5),
    st.floats(-3.0, 3.0), NEAR,
)  # fmt: skip
def test_paths_end_where_a_stepped_one_leaves_the_cylinder(charge, pt, eta, phi, vertex):
    eta = np.copysign(max(abs(eta), 0.3), eta)  # or curls are long
    eta_out, phi_out = helix.exit_direction(
        np.array([charge]), momentum(pt, eta, phi), arrays(*vertex)
    )
    x, y, z = walk(charge, pt, eta, phi, vertex, 3600 / abs(np.sinh(eta)) + 5)
    outside = (np.hypot(x, y) >= helix.RADIUS) | (np.abs(z) >= helix.HALF_LENGTH)
    end = np.argmax(outside)
    assert outside[end]
    assume(np.hypot(x[end], y[end]) > 30)  # the stepped path ends within a millimetre only
    found = np.array([np.cos(phi_out[0]), np.sin(phi_out[0])]) * np.hypot(x[end], y[end])
    np.testing.assert_allclose(found, [x[end], y[end]], atol=1.0)
    radius = np.hypot(x[end], y[end])
    expected = z[end] / radius
    step = 2e-3 + 0.4 / radius  # what the last step of the walk is worth
    assert np.sinh(eta_out[0]) == pytest.approx(expected, abs=step * (1 + abs(expected)))


def test_straight_and_curling_paths_from_the_origin():
    origin = tuple(np.zeros(3) for _ in range(3))
    pt, eta = np.array([100.0, 5.0, 0.2]), np.array([1.0, 1.0, 0.1])
    p = (pt, np.zeros(3), pt * np.sinh(eta))
    eta_out, phi_out = helix.exit_direction(np.array([0.0, 1.0, 1.0]), p, origin)
    assert eta_out[0] == pytest.approx(1.0)
    assert phi_out[0] == pytest.approx(0.0)
    # sin(turn) = half the chord over the radius
    assert phi_out[1] == pytest.approx(-np.arcsin(1290 * 0.299792458e-3 * 3.8 / 2 / 5))
    assert eta_out[1] > 1.0  # the arc is longer than its chord
    assert eta_out[2] > 1.5  # too soft for the barrel: ends at the endcap


def test_vertices_beyond_the_calorimeter_are_outside():
    x, z = np.array([0.0, 1300.0, 0.0]), np.array([0.0, 0.0, -3100.0])
    assert helix.starts_inside((x, np.zeros(3), z)).tolist() == [True, False, False]


@pytest.mark.slow
@given(
    st.sampled_from([-1.0, 1.0]), st.floats(0.5, 50.0), st.floats(-2.0, 2.0),
    st.floats(-3.0, 3.0), st.tuples(st.floats(-20, 20), st.floats(-20, 20), st.floats(-50, 50)),
)  # fmt: skip
def test_perigee_against_a_stepped_helix(charge, pt, eta, phi, vertex):
    d0, dz, cos, sin = helix.perigee(np.array([charge]), momentum(pt, eta, phi), arrays(*vertex))
    radius = charge * pt / (0.299792458e-3 * helix.FIELD)
    arc = np.linspace(-60.0, 60.0, 12_001)
    heading = phi - arc / radius
    x = vertex[0] + radius * (np.sin(phi) - np.sin(heading))
    y = vertex[1] - radius * (np.cos(phi) - np.cos(heading))
    nearest = np.argmin(np.hypot(x, y))
    assert abs(d0[0]) == pytest.approx(np.hypot(x, y)[nearest], abs=6e-3)
    turned = np.arctan2(sin[0], cos[0]) - heading[nearest]
    assert np.cos(turned) == pytest.approx(1, abs=1e-4)
    step = np.hypot(x, y)[nearest] - np.hypot(*vertex[:2])
    assert dz[0] == pytest.approx(vertex[2] + step * np.sinh(eta), abs=0.05)


def test_impact_parameters_of_straight_tracks():
    stiff = momentum(1e6, 0.5, 0.4)
    d0, _, cos, sin = helix.perigee(np.ones(1), stiff, arrays(1, 2, 3))
    assert d0[0] == pytest.approx(np.sin(0.4) - 2 * np.cos(0.4), abs=1e-4)
    assert (cos[0], sin[0]) == (pytest.approx(np.cos(0.4)), pytest.approx(np.sin(0.4)))
    # on its way out from the beam axis a track has dz where it started
    away = arrays(7 * np.cos(0.4), 7 * np.sin(0.4), 3 + 7 * np.sinh(0.5))
    assert helix.perigee(np.ones(1), stiff, away)[1][0] == pytest.approx(3.0, abs=1e-2)
