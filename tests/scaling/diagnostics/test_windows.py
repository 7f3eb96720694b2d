"""The window scan: what is cut, that options are kept, and that a bent law is noticed."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from jetscale.jsonable import as_json
from jetscale.scaling import fit
from jetscale.scaling.diagnostics.windows import refit, why_not, window_fits, windows

pytestmark = pytest.mark.slow

CUTS = ["the smallest data size", "the smallest model", "the largest model"]


@pytest.mark.long
def test_cuts_are_fits_to_the_rest_with_the_same_options(grid, truth):
    frame = grid({"m": truth})
    fits = fit(frame, replicates=240, objective="squares")
    found = window_fits(fits)
    assert list(found) == CUTS
    kept = frame[frame["params"] < frame["params"].max()]
    direct = fit(kept, replicates=60, objective="squares", delta=fits.delta).mixtures["m"]
    assert found[CUTS[2]].mixtures["m"].theta == pytest.approx(direct.theta)
    assert found[CUTS[2]].options.replicates == 60
    assert found[CUTS[0]].runs["examples"].min() == pytest.approx(1e8 * 1000 ** (1 / 7))
    same = replace(fits.options, replicates=60, delta=fits.delta)
    assert found[CUTS[1]].options == same


@pytest.mark.long
def test_each_mixture_is_cut_at_its_own_edge(grid, truth):
    small = grid({"small": truth}, params=np.geomspace(1e6, 1e8, 5))
    large = grid({"large": truth}, params=np.geomspace(1e7, 3e9, 6))
    found = window_fits(fit(pd.concat([small, large]), replicates=50))
    ends = found[CUTS[2]].runs.groupby("mixture")["params"].max()
    assert ends["small"] < 1e8
    assert ends["large"] < 3e9


@pytest.mark.long
def test_an_exact_law_stays_and_a_bent_one_moves(grid, truth):
    frame = grid({"m": truth}, noise=0.002)
    fits = fit(frame, replicates=200)
    rows = windows(fits, "m", window_fits(fits))
    assert [row.left_out for row in rows] == CUTS
    for row in rows:
        full = fits.mixtures["m"].frontier["params_exponent"]
        assert row.shift == row.params_exponent.value - full.value
        assert row.moved == (not full.low <= row.params_exponent.value <= full.high)
        assert abs(row.shift) < 0.02
        half = (row.params_exponent.high - row.params_exponent.low) / 2
        own = (full.high - full.low) / 2
        assert row.chance == pytest.approx(np.sqrt(max(0, half**2 - own**2)))
        assert row.significant == (row.moved and abs(row.shift) > row.chance)
    bent = frame.assign(loss=frame["loss"] + 0.1 * (frame["examples"] / 1e8) ** -1.5)
    fits = fit(bent, replicates=200, uncertainty="cells")
    first = windows(fits, "m", window_fits(fits))[0]
    assert first.cells == 42
    assert first.shift < -0.005
    assert first.moved
    assert first.significant
    assert fits.mixtures["m"].misfit.clear


@pytest.mark.long
def test_an_exponent_that_is_not_identified_does_not_shift_significantly(grid):
    flat = np.array([1.8, 480.0, 5.0, 0.35, 0.37])
    fits = fit(grid({"m": flat}, noise=0.02), replicates=100)
    assert not fits.mixtures["m"].frontier["params_exponent"].identified
    assert not any(row.significant for row in windows(fits, "m", window_fits(fits)))


def test_what_cannot_be_refitted_says_why(grid, truth):
    fits = fit(grid({"m": truth}, params=(1e7, 1e8, 1e9)), replicates=50)
    rows = windows(fits, "m", window_fits(fits))
    assert rows[0].reason == ""
    assert rows[1].reason == "mixture 'm' has 2 model sizes, needs at least 3"
    assert rows[1].params_exponent is None
    assert rows[1].cells == 0
    json.dumps([as_json(row) for row in rows], allow_nan=False)
    assert refit(fits, fits.runs[:0]) == "no runs are left"
    assert why_not(fits, "m") == ""
    assert why_not(fits, "other") == "no runs are left"


@pytest.mark.long
def test_chance_shifts_are_rarely_called_significant(grid, truth):
    sizes = {"params": np.geomspace(1e7, 3e9, 6), "examples": np.geomspace(1e8, 1e11, 6)}
    alarms = 0
    for seed in range(16):
        fits = fit(grid({"m": truth}, **sizes, random=seed), replicates=400)
        alarms += sum(row.significant for row in windows(fits, "m", window_fits(fits)))
    assert alarms <= 6, "at most 5% of 48 expected, correlated"
