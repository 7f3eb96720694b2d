"""Leave the largest out: what is held out, what is predicted, and how often it is right."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from jetscale.jsonable import as_json
from jetscale.scaling import fit
from jetscale.scaling.diagnostics.batch import refit
from jetscale.scaling.diagnostics.forecast import (
    LARGEST_COMPUTE,
    LARGEST_MODEL,
    Forecast,
    HeldOut,
    forecast,
    without_largest_compute,
)

pytestmark = pytest.mark.slow


def forecasts(frame, replicates=100, **options):
    fits = fit(frame, replicates=replicates, **options)
    parts = {
        LARGEST_MODEL: refit(fits, frame[frame["params"] < frame["params"].max()]),
        LARGEST_COMPUTE: without_largest_compute(fits),
    }
    return fits, {what: forecast(fits, "m", what, part) for what, part in parts.items()}, parts


def test_held_out_cells_and_their_predictions(grid, truth):
    frame = grid({"m": truth})
    _, found, parts = forecasts(frame)
    model = found[LARGEST_MODEL]
    assert [cell.params for cell in model.cells] == [frame["params"].max()] * 8
    sizes = np.unique(frame["params"])
    assert model.decades == pytest.approx(np.log10(sizes[-1] / sizes[-2]))
    reduced = parts[LARGEST_MODEL].mixtures["m"]
    cell = model.cells[3]
    best = reduced.expected(cell.params, cell.examples).value
    runs = frame[(frame["params"] == cell.params) & (frame["examples"] == cell.examples)]
    assert cell.predicted == pytest.approx(best)
    assert cell.measured == pytest.approx(runs["loss"].mean())
    assert cell.error == pytest.approx(runs["loss"].mean() / best - 1)
    errors = [c.error for c in model.cells]
    assert model.mean_error == pytest.approx(np.mean(errors))
    assert model.rms_error == pytest.approx(np.sqrt(np.mean(np.square(errors))))
    assert model.inside == sum(c.low <= c.measured <= c.high for c in model.cells)


@pytest.mark.long
def test_the_most_expensive_fifth_is_held_out(grid, truth):
    frame = grid({"m": truth})
    _, found, parts = forecasts(frame)
    costs = (frame["params"] * frame["examples"]).drop_duplicates().sort_values()
    held = sorted(cell.params * cell.examples for cell in found[LARGEST_COMPUTE].cells)
    assert len(held) == 10  # a fifth of 48, rounded up
    assert held == pytest.approx(costs.to_numpy()[-10:])
    assert len(parts[LARGEST_COMPUTE].runs) == 2 * 38
    few = grid({"m": truth}, params=np.geomspace(1e7, 1e9, 3), examples=(1e8, 1e9, 1e10))
    assert len(forecasts(few, 50)[1][LARGEST_COMPUTE].cells) == 2


@pytest.mark.long
def test_intervals_hold_what_an_exact_law_makes(grid, truth):
    inside, cells = 0, 0
    for seed in range(10):
        frame = grid({"m": truth}, random=seed, examples=np.geomspace(1e8, 1e11, 6))
        fits = fit(frame, replicates=50)
        more = replace(fits.options, replicates=600)
        part = without_largest_compute(replace(fits, options=more))
        found = forecast(fits, "m", LARGEST_COMPUTE, part)
        inside, cells = inside + found.inside, cells + len(found.cells)
    assert inside / cells > 0.88
    assert inside < cells, "the intervals are not endless"


@pytest.mark.long
def test_a_law_that_bends_misses_with_one_sign(grid, truth):
    frame = grid({"m": truth}, noise=0.003)
    bent = frame.assign(loss=frame["loss"] + 0.2 * (frame["params"] / 3e9) ** 2)
    found = forecasts(bent)[1][LARGEST_MODEL]
    assert found.mean_error > 0.05
    assert found.inside == 0
    assert found.suspicious
    assert "0 of 8 inside the 95% prediction interval" in found.text


@pytest.mark.long
@pytest.mark.parametrize("seeds", [1, 4])
def test_noise_is_the_scatter_of_a_run_about_the_reduced_law(grid, truth, seeds):
    frame = grid({"m": truth}, noise=0.02, seeds=seeds)
    found = forecasts(frame)[1][LARGEST_MODEL]
    assert found.noise == pytest.approx(0.02, rel=0.3)
    cell = found.cells[0]
    half = (cell.high - cell.low) / 2 / cell.predicted
    assert half > 1.4 * 0.02 / np.sqrt(seeds)


@pytest.mark.long
def test_deviations_of_cells_widen_the_intervals(grid, truth):
    frame = grid({"m": truth}, noise=0.002)
    shift = 0.02 * np.repeat(np.random.default_rng(3).normal(size=48), 2)
    rough = frame.assign(loss=frame["loss"] * np.exp(shift))
    smooth, wide = (forecasts(f)[1][LARGEST_COMPUTE] for f in (frame, rough))
    assert wide.noise == pytest.approx(0.02, rel=0.3)
    assert smooth.noise < 0.004
    assert wide.inside >= 8, "as rough as the runs fitted"


def test_stated_flops_decide_what_is_expensive(grid, truth):
    frame = grid({"m": truth})
    turned = frame.assign(flops=frame["params"] ** 3 * frame["examples"])
    held = forecasts(turned)[1][LARGEST_COMPUTE].cells
    order = (turned["params"] ** 3 * turned["examples"]).drop_duplicates().nlargest(10)
    assert sorted(c.params**3 * c.examples for c in held) == pytest.approx(sorted(order))


def test_no_reduced_fit_is_a_reason(grid, truth):
    frame = grid({"m": truth}, params=(1e7, 1e8, 1e9))
    found = forecasts(frame, 50)[1][LARGEST_MODEL]
    assert found.cells == ()
    assert found.suspicious
    assert found.reason == "mixture 'm' has 2 model sizes, needs at least 3"
    assert "no forecast: mixture 'm'" in found.text
    json.dumps(as_json(found), allow_nan=False)


@pytest.mark.parametrize(
    ("inside", "cells", "suspicious"),
    [(8, 8, False), (7, 8, False), (6, 8, False), (5, 8, True), (5, 27, True)],
)
def test_too_few_cells_inside_are_suspicious(inside, cells, suspicious):
    one = HeldOut(
        params=1, examples=1, measured=1, predicted=1, low=1, high=1, error=0, inside=True
    )
    found = Forecast(left_out="x", cells=(one,) * cells, inside=inside)
    assert found.suspicious is suspicious
    assert as_json(found)["suspicious"] is suspicious


@pytest.mark.long
def test_pretraining_sizes_are_cells_of_their_own(grid, truth):
    frame = grid({"m": truth}, seeds=2)
    supply = np.where(frame["seed"] == 0, 1e8, 1e10)
    shift = 480 * frame["params"] ** -0.35 * ((supply / 1e8) ** -0.1 - 1)
    runs = pd.DataFrame(frame.assign(pretraining_examples=supply, loss=frame["loss"] + shift))
    fits, found, _ = forecasts(runs, 50, law="pretraining")
    assert fits.mixtures["m"].parameters["gamma"].value == pytest.approx(0.1, abs=0.05)
    assert found[LARGEST_MODEL].rms_error < 0.05
    assert found[LARGEST_MODEL].noise < 0.02, "sizes of the pretraining are not noise"
    json.dumps(as_json(found[LARGEST_MODEL]), allow_nan=False)
