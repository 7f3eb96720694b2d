"""Centred logs and their covariates."""

import numpy as np
import pytest

from jetscale.scaling.engine.laws import Centred


def test_means_are_taken_out_and_kept(grid, truth):
    frame = grid({"m": truth}, seeds=1)
    logs = Centred.from_runs(frame)
    for values, centre, name in (
        (logs.x, logs.x0, "params"),
        (logs.y, logs.y0, "examples"),
        (logs.z, logs.z0, "loss"),
    ):
        assert values.mean() == pytest.approx(0, abs=1e-12)
        assert np.exp(values + centre) == pytest.approx(frame[name].to_numpy())


def test_part_of_the_runs_keeps_the_centres(grid, truth):
    frame = grid({"m": truth}, seeds=1).assign(pretraining_examples=0.0)
    frame.loc[3, "pretraining_examples"] = 1e6
    logs = Centred.from_runs(frame, ["pretraining_examples"])
    rows = np.arange(len(frame)) < 5
    part = logs.select(rows)
    assert (part.x0, part.y0, part.z0) == (logs.x0, logs.y0, logs.z0)
    assert (part.x == logs.x[:5]).all()
    sizes = part.extra["pretraining_examples"]
    assert np.isneginf(sizes[[0, 1, 2, 4]]).all()
    assert sizes[3] == pytest.approx(np.log(1e6))
