"""The basis of the misfit: Legendre polynomials inside, straight lines outside."""

import numpy as np
import pytest
from numpy.polynomial import legendre

from jetscale.scaling.misfit import Basis

N, D = (axis.ravel() for axis in np.meshgrid(np.geomspace(1e6, 1e8, 7), np.geomspace(1e5, 1e9, 9)))


def test_the_window_goes_from_minus_one_to_one():
    place = Basis.over(N, D).place(N, D)
    assert place.min(axis=0) == pytest.approx([-1, -1])
    assert place.max(axis=0) == pytest.approx([1, 1])
    assert Basis.over(N, D).place(1e7, 1e7) == pytest.approx([0, 0])


def test_columns_are_products_of_degree_two_to_four():
    basis = Basis.over(N, D)
    u, v = basis.place(N, D).T
    made = [
        0.7 ** (k - 2) * legendre.legval(u, np.eye(5)[i]) * legendre.legval(v, np.eye(5)[k - i])
        for k in (2, 3, 4)
        for i in range(k + 1)
    ]
    expected = np.stack(made, axis=1)
    expected /= np.sqrt((expected**2).sum(axis=1).mean())
    assert basis.at(N, D) == pytest.approx(expected)


def test_beyond_the_window_the_deviation_is_straight_in_the_logs():
    basis = Basis.over(N, D)
    along = basis.at(1e8 * 10.0 ** np.arange(4), 1e9)
    assert np.diff(along, 2, axis=0) == pytest.approx(np.zeros((2, 12)), abs=1e-9)
    near = basis.at(1e8 * np.array([0.999, 1.0, 1.001]), 1e9)
    assert np.diff(near, axis=0)[1] == pytest.approx(np.diff(near, axis=0)[0], abs=1e-4)
