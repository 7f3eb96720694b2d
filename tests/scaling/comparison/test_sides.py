"""Both mixtures on their common cells: paired draws, one floor or two, common noise cancels."""

import numpy as np
import pandas as pd
import pytest

from jetscale.scaling import fit
from jetscale.scaling.comparison.sides import on_common_cells

pytestmark = pytest.mark.slow

SMALL = {"params": np.geomspace(1e7, 3e9, 5), "examples": np.geomspace(1e8, 1e11, 4)}


def width(estimate):
    return estimate.high - estimate.low


@pytest.mark.long
def test_one_floor_is_common_and_the_exponents_are_not(grid, truth):
    other = truth * [1, 1, 4, 1, 1.2]
    fits = fit(grid({"a": truth, "b": other}, **SMALL), replicates=60)
    sides = on_common_cells(fits, "a", "b")
    together = sides.with_one_floor()
    a, b = together.pair
    assert a.theta[0] == b.theta[0]
    assert (a.replicates.theta[:, 0] == b.replicates.theta[:, 0]).all()
    assert sides.pair[0].theta[0] != sides.pair[1].theta[0]
    exact = 1.2 * 0.37 / (1.2 * 0.37 + 0.35) - 0.37 / 0.72
    for fitted in (sides, together):
        delta = fitted.delta("params_exponent")
        assert delta.low < exact < delta.high
        opposite = fitted.delta("data_exponent")
        assert opposite.value == pytest.approx(-delta.value)
    assert width(together.delta("params_exponent")) < width(sides.delta("params_exponent"))


@pytest.mark.long
def test_a_floor_can_pass_for_a_shift(grid, truth):
    """Without its own floor, a mixture with a lower one seems to have other exponents."""
    lower = truth * [0.7, 1, 1, 1, 1]
    sides = on_common_cells(fit(grid({"a": truth, "b": lower}), replicates=60), "a", "b")
    own = sides.delta("params_exponent")
    assert own.low < 0 < own.high
    shift = abs(sides.with_one_floor().delta("params_exponent").value)
    assert shift > 3 * abs(own.value)


@pytest.mark.long
@pytest.mark.parametrize("uncertainty", ["cells", "wild", "trunks"])
def test_noise_of_the_cells_cancels(grid, truth, uncertainty):
    frame = grid({"a": truth}, params=np.geomspace(1e7, 3e9, 8), noise=0.02)
    wobble = np.exp(0.002 * np.random.default_rng(1).normal(size=len(frame)))
    other = frame.assign(mixture="b", loss=frame["loss"] * wobble)
    both = pd.concat([frame, other], ignore_index=True)
    fits = fit(both, replicates=60, uncertainty=uncertainty)
    sides = on_common_cells(fits, "a", "b")
    alone = fits.mixtures["a"].frontier["params_exponent"]
    for fitted in (sides, sides.with_one_floor()):
        assert width(fitted.delta("params_exponent")) < 0.3 * width(alone)


def test_only_common_cells_are_fitted(grid, truth):
    frame = grid({"a": truth, "b": truth}, **SMALL)
    fits = fit(frame[(frame["mixture"] == "a") | (frame["params"] < 1e9)], replicates=50)
    sides = on_common_cells(fits, "a", "b")
    together = sides.with_one_floor()
    assert [side.n_cells for side in (*sides.pair, *together.pair)] == [16] * 4
    assert sides.pair[1] is fits.mixtures["b"]
    assert sides.pair[0].n_runs == len(sides.runs[0]) == 32
    methods = {side.uncertainty for side in (*sides.pair, *together.pair)}
    assert len(methods) == 1, "that for 16 cells, though mixture a has 20"


@pytest.mark.long
def test_too_few_common_cells_leave_both_with_their_own(grid, truth):
    frame = grid({"a": truth, "b": truth})
    moved = (frame["mixture"] == "b") & (frame["params"] > 5e7)
    fits = fit(frame.assign(examples=frame["examples"] * (1 + moved)), replicates=200)
    sides = on_common_cells(fits, "a", "b")
    assert sides.unpaired == "on the common cells: has 2 model sizes, needs at least 3"
    assert [len(runs) for runs in sides.runs] == [96, 96]
    # draws in common would make errors of unlike cells cancel: independent ones add in squares
    delta, alone = sides.delta("params_exponent"), [width(f["a"]) for f in fits.mixtures.values()]
    assert width(delta) == pytest.approx(np.hypot(*alone), rel=0.3)
    assert delta.low < 0 < delta.high
