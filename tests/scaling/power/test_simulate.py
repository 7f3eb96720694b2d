"""Made-up studies have the noise that was asked for, and quick fits agree with `fit`."""

import numpy as np
import pytest

from jetscale.scaling.engine import laws
from jetscale.scaling.fit import fit
from jetscale.scaling.power.simulate import central_deviation, log_losses, quick_fits, simulate_runs
from jetscale.scaling.power.truth import Truth


def test_noise_and_misfit_are_what_was_asked_for(small, truth):
    louder = Truth(truth.theta, 0.02, 0.01)
    cell = small.cell_of_run
    exact = np.log(laws.loss(truth.theta, small.params, small.examples))[cell]
    off = (log_losses(small, louder, 4000, np.random.default_rng(1)) - exact).reshape(-1, 16, 2)
    assert off.var() == pytest.approx(0.02**2 + 0.01**2, rel=0.03)
    assert (off[..., 0] * off[..., 1]).mean() == pytest.approx(0.01**2, rel=0.05)


def test_a_misfit_is_smooth_and_of_another_draw_in_every_study(plan, truth):
    """Neighbours deviate alike, studies do not; the law itself follows no part of degree two."""
    grid = plan(6, 6, 1)
    loose = Truth(truth.theta, 1e-9, 0.01)
    exact = np.log(laws.loss(truth.theta, grid.params, grid.examples))
    off = (log_losses(grid, loose, 2000, np.random.default_rng(1)) - exact).reshape(-1, 6, 6)
    assert off.var() == pytest.approx(0.01**2, rel=0.05)
    steps = np.diff(off, axis=1)
    assert steps[:, 1:-1].var() < 0.8 * off.var()
    assert np.diff(off, n=5, axis=1).var() < 1e-3 * off.var()  # degree four at most
    assert abs(off.mean(axis=0)).max() < 0.002


def test_a_study_is_decided_by_its_numbers(small, truth):
    first, again, other = (
        simulate_runs(small, truth, "x", key) for key in [(1, 2), (1, 2), (1, 3)]
    )
    assert first.equals(again)
    assert not np.allclose(first["loss"], other["loss"])


@pytest.mark.long
def test_refits_scatter_about_the_truth_as_real_fits_do(small, truth):
    quick = laws.exponents(quick_fits(small, truth, 600, 1), small.cost)[0]
    exact = laws.exponents(truth.theta, small.cost)[0]
    assert np.median(quick) == pytest.approx(exact, abs=0.01)
    real = []
    for number in range(15):
        fits = fit(simulate_runs(small, truth, "m", (7, number)), replicates=50)
        real.append(fits.mixtures["m"].frontier["params_exponent"].value)
    # the standard error of a deviation from 15 values is 18%
    assert np.std(real) == pytest.approx(central_deviation(quick), rel=0.55)


def test_without_noise_the_law_is_found(small, truth):
    found = quick_fits(small, Truth(truth.theta, 1e-9, 0.0), 3, 0)
    assert found == pytest.approx(np.tile(truth.theta, (3, 1)), rel=1e-4)


def test_central_deviation_of_normal_values_ignores_strays():
    values = np.random.default_rng(0).normal(3, 2, 20_000)
    values[:20] = 1e6
    assert central_deviation(values) == pytest.approx(2, rel=0.03)
