import numpy as np
import pytest
from scipy import stats

from jetscale.scaling.routes.spread import half_width, standard_error


def test_noise_alone_gives_students_interval():
    values = np.concatenate([[0.0], np.random.default_rng(0).normal(size=40_000)])
    error, freedom = standard_error(values, np.empty(0), 6)
    assert (error, freedom) == (pytest.approx(1, rel=0.02), pytest.approx(6))
    assert half_width(values, np.empty(0), 6) == pytest.approx(error * stats.t.ppf(0.975, 6))


def test_what_one_point_changes_beyond_noise_is_added():
    """The jackknife of a mean of m values is its classical standard error, s / sqrt(m)."""
    points = np.random.default_rng(1).normal(size=12)
    left = np.array([np.delete(points, i).mean() for i in range(12)])
    tiny = np.concatenate([[points.mean()], points.mean() + 1e-6 * np.array([-1.0, 1.0])])
    error, freedom = standard_error(tiny, left, 100)
    assert error == pytest.approx(points.std(ddof=1) / np.sqrt(12), rel=1e-6)
    assert freedom == pytest.approx(10, rel=1e-6)


def test_without_replicates_nothing_is_known():
    assert np.isnan(half_width(np.array([0.5]), np.empty(0), 10))
