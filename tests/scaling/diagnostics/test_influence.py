"""Leave one cell out: against refits of the table without it, and a planted outlier."""

import json

import numpy as np
import pytest

from jetscale.jsonable import as_json
from jetscale.scaling import fit
from jetscale.scaling.diagnostics.batch import batches
from jetscale.scaling.diagnostics.influence import influence

pytestmark = pytest.mark.slow

OTHER = np.array([1.5, 300.0, 4000.0, 0.3, 0.4])


def influences(fits):
    return {
        name: influence(batch, fits.mixtures[name], fits.cost)
        for batch in batches(fits)
        for name in batch.names
    }


@pytest.mark.long
@pytest.mark.parametrize("options", [{}, {"objective": "squares"}, {"law": "no-floor"}])
def test_against_fits_to_the_table_without_the_cell(grid, truth, options):
    frame = grid({"m": truth})
    fits = fit(frame, replicates=50, **options)
    found = influences(fits)["m"]
    assert len(found.cells) == 48
    ends = fits.mixtures["m"].frontier["params_exponent"]
    for cell in found.cells[::11]:
        out = (frame["params"] == cell.params) & (frame["examples"] == cell.examples)
        assert out.sum() == 2
        without = fit(frame[~out], replicates=50, delta=fits.delta, **options)
        full, less = fits.mixtures["m"], without.mixtures["m"]
        shift = less.frontier["params_exponent"].value - ends.value
        assert cell.exponent_shift == pytest.approx(shift, rel=1e-2, abs=1e-5)
        sizes = [f.law.optimum(f.theta, found.budget, fits.cost).params for f in (full, less)]
        assert cell.params_log_ratio == pytest.approx(np.log(sizes[1] / sizes[0]), abs=1e-3)
        assert cell.relative_shift == pytest.approx(
            cell.exponent_shift / ((ends.high - ends.low) / 2)
        )


def test_an_outlier_is_the_worst_cell(grid, truth):
    frame = grid({"m": truth}, noise=0.001)
    corner = (frame["params"] == frame["params"].max()) & (
        frame["examples"] == frame["examples"].min()
    )
    frame.loc[corner, "loss"] *= 1.2
    found = influences(fit(frame, replicates=200, objective="squares", uncertainty="wild"))["m"]
    assert found.worst is not None
    assert found.worst.params == frame["params"].max()
    assert found.worst.examples == frame["examples"].min()
    assert "leaving out the cell N = 3e+09, D = 1e+08 moves a by" in found.text


@pytest.mark.long
def test_the_flag_is_half_the_interval(grid, truth):
    for noise in (0.001, 0.02):
        found = influences(fit(grid({"m": truth}, noise=noise), replicates=100))["m"]
        assert found.worst is not None
        assert found.flagged == (abs(found.worst.relative_shift) > 1)
        assert max(abs(c.exponent_shift) for c in found.cells) == abs(found.worst.exponent_shift)


@pytest.mark.long
def test_shared_parameters_leave_the_cell_out_of_its_own_mixture(grid, truth):
    frame = grid({"a": truth, "b": OTHER}, examples=np.geomspace(1e8, 1e11, 4))
    fits = fit(frame, replicates=50, shared=("beta",))
    found = influences(fits)
    cell = found["b"].cells[0]
    gone = (frame["mixture"] == "b") & (frame["params"] == cell.params)
    gone &= frame["examples"] == cell.examples
    less = (
        fit(frame[~gone], replicates=50, delta=fits.delta, shared=("beta",)).mixtures["b"].frontier
    )
    shift = less["params_exponent"].value - fits.mixtures["b"].frontier["params_exponent"].value
    assert cell.exponent_shift == pytest.approx(shift, rel=1e-2, abs=1e-5)
    assert len(found["a"].cells) == len(found["b"].cells) == 24


def test_a_refit_that_loses_a_term_has_a_reason_and_no_number(grid, truth):
    # one cell alone shows that loss falls with data
    flat = np.array([1.8, 480.0, 1e-9, 0.35, 0.37])
    frame = grid({"m": flat}, params=np.geomspace(1e7, 3e9, 3), noise=0.0, seeds=1)
    first = (frame["examples"] == frame["examples"].min()) & (
        frame["params"] == frame["params"].min()
    )
    frame.loc[first, "loss"] *= 1.5
    found = influences(fit(frame, replicates=50, objective="squares", uncertainty="wild"))["m"]
    lost = [cell for cell in found.cells if cell.reason]
    assert (1e7, 1e8) in [(cell.params, cell.examples) for cell in lost]
    assert all(np.isnan(cell.exponent_shift) for cell in lost)
    assert f"without {len(lost)} of 24 cells" in found.text or found.worst is None
    json.dumps(as_json(found), allow_nan=False)
