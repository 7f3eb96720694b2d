"""Residuals: the lack-of-fit test against its textbook formula, and planted deviations."""

import json

import numpy as np
import pytest
from scipy import stats

from jetscale.jsonable import as_json
from jetscale.scaling import fit
from jetscale.scaling.diagnostics.batch import batches
from jetscale.scaling.diagnostics.residuals import residuals

pytestmark = pytest.mark.slow

OTHER = np.array([1.5, 300.0, 4000.0, 0.3, 0.4])


def found_in(frame, name="m", **options):
    fits = fit(frame, replicates=50, **options)
    (batch,) = [b for b in batches(fits) if name in b.names]
    return batch, residuals(batch, fits.mixtures[name])


def deviating(frame, size, seed=0):
    """The runs with every cell moved by its own normal deviation."""
    cells = frame.groupby(["params", "examples"]).ngroup().to_numpy()
    shift = size * np.random.default_rng(seed).normal(size=cells.max() + 1)
    return frame.assign(loss=frame["loss"] * np.exp(shift[cells]))


def test_lack_of_fit_is_the_textbook_statistic(grid, truth):
    frame = grid({"m": truth}, seeds=3).drop(index=[0, 5, 6, 50])  # unequal numbers of seeds
    batch, found = found_in(frame, objective="squares")
    r = batch.runs.assign(off=batch.residuals())
    cells = r.groupby(["params", "examples"])["off"]
    pure = ((r["off"] - cells.transform("mean")) ** 2).sum()
    total = (r["off"] ** 2).sum()
    n, m = len(r), cells.ngroups
    expected = ((total - pure) / (m - 5)) / (pure / (n - m))
    assert found.lack_of_fit == pytest.approx(expected)
    assert found.p_value == pytest.approx(stats.f.sf(expected, m - 5, n - m))
    assert found.seed_spread == pytest.approx(np.sqrt(pure / (n - m)))
    assert found.reason == ""


@pytest.mark.long
def test_an_exact_law_is_not_refuted_and_a_deviating_one_is(grid, truth):
    frame = grid({"m": truth}, seeds=2)
    _, exact = found_in(frame)
    assert exact.p_value > 0.01
    assert exact.misfit_spread < 0.007
    batch, off = found_in(deviating(frame, 0.02))
    assert off.p_value < 1e-4
    assert off.misfit_spread == pytest.approx(0.02, rel=0.3)
    assert off.misfit_share == pytest.approx(0.8, abs=0.12)
    assert "beyond a seed spread of" in off.text
    json.dumps(as_json(off), allow_nan=False)
    assert batch.freedom == 43


@pytest.mark.integration
def test_false_alarms_are_as_rare_as_stated(grid, truth):
    values = [
        found_in(grid({"m": truth}, examples=np.geomspace(1e8, 1e11, 4), random=seed))[1].p_value
        for seed in range(25)
    ]
    assert stats.kstest(values, "uniform").pvalue > 0.001


def test_seeds_that_err_together_are_noticed(grid, truth):
    frame = grid({"m": truth}, noise=0.001)
    together = frame.assign(loss=frame["loss"] * np.where(frame["seed"] == 0, 1.02, 0.98))
    _, found = found_in(together)
    assert found.p_value > 0.995
    assert "runs of one seed err together" in found.text


def test_worst_cell_and_trends(grid, truth):
    frame = grid({"m": truth}, noise=0.002)
    cell = (frame["params"] == frame["params"].max()) & (frame["examples"] == 1e8)
    frame.loc[cell, "loss"] *= 1.1
    batch, found = found_in(frame)
    assert (found.worst_params, found.worst_examples) == (frame["params"].max(), 1e8)
    assert found.worst_residual == pytest.approx(0.1, abs=0.03)
    r = batch.runs.assign(off=batch.residuals()).groupby(["params", "examples"])["off"].mean()
    sizes = r.reset_index()
    assert found.trend_params == pytest.approx(stats.spearmanr(r, sizes["params"]).statistic)
    assert found.trend_examples == pytest.approx(stats.spearmanr(r, sizes["examples"]).statistic)


def test_without_repeated_cells_there_is_no_test(grid, truth):
    _, found = found_in(grid({"m": truth}, seeds=1))
    assert found.reason == "no cell has two seeds"
    assert found.text.endswith("no lack-of-fit test: no cell has two seeds")
    assert found.text.startswith("runs deviate smoothly from the law by")
    assert np.isnan(found.p_value)
    plain = as_json(found)
    assert plain["p_value"] is None
    assert plain["worst_residual"] == found.worst_residual


def test_mixtures_of_a_joint_fit_share_the_parameters_charged(grid, truth):
    frame = grid({"a": truth, "b": OTHER})
    batch, found = found_in(frame, "a", shared=("beta",), objective="squares")
    own = batch.family.group == 0
    r = batch.runs[own].assign(off=batch.residuals()[own])
    cells = r.groupby("cell")["off"]
    pure = ((r["off"] - cells.transform("mean")) ** 2).sum()
    between = 2 * (cells.mean() ** 2).sum() / (48 - 4.5)
    assert found.lack_of_fit == pytest.approx(between / (pure / 48))
