"""Noise that changes with the sizes: planted slopes are found, and none where it is even."""

import numpy as np
import pytest

from jetscale.scaling.noise import variance_slopes

PLACE = np.stack(np.meshgrid(np.linspace(-1, 1, 9), np.linspace(-1, 1, 9)), axis=-1).reshape(-1, 2)
LAW = np.column_stack([np.ones(81), PLACE, PLACE**2])


def noise(slopes, seed):
    size = np.exp(0.5 * PLACE @ np.asarray(slopes, dtype=float))
    return 0.01 * size * np.random.default_rng(seed).normal(size=81)


@pytest.mark.parametrize("slopes", [(0.0, 2.0), (-1.5, 1.5)])
def test_planted_slopes_are_found(slopes):
    found = [variance_slopes(LAW, noise(slopes, seed), PLACE) for seed in range(20)]
    assert np.mean(found, axis=0) == pytest.approx(slopes, abs=0.25)


def test_even_noise_has_hardly_any_slope():
    found = [variance_slopes(LAW, noise((0, 0), seed), PLACE) for seed in range(40)]
    assert np.abs(np.mean(found, axis=0)).max() < 0.05
    assert np.std(found) < 0.2


def test_what_the_law_takes_up_is_no_noise():
    off = noise((0.0, 2.0), 3)
    moved = off + LAW @ np.array([1.0, -2.0, 3.0, 0.5, -1.0])
    assert variance_slopes(LAW, moved, PLACE) == pytest.approx(variance_slopes(LAW, off, PLACE))


def test_too_few_runs_have_no_slopes():
    assert (variance_slopes(LAW[:12], noise((0, 2), 0)[:12], PLACE[:12]) == 0).all()
    assert (variance_slopes(LAW, np.zeros(81), PLACE) == 0).all()
