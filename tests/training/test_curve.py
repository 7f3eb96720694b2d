import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from jetscale.training.curve import POINTS, LossCurve


def test_losses_are_copied_and_read_when_asked():
    curve, place = LossCurve(3), torch.zeros(())
    for value in (3.0, 2.0):
        place.fill_(value)
        curve.add(place)
    assert curve.losses == [[]]
    assert curve.collect() == {}
    assert curve.losses == [[3.0, 2.0]]
    assert curve.collect() == {}


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_the_first_bad_step_is_named(bad):
    curve = LossCurve(9)
    for value in (1.0, 2.0):
        curve.add(torch.tensor(value))
    curve.collect()
    for value in (1.0, bad, bad):
        curve.add(torch.tensor(value))
    assert curve.collect() == {0: 3}


@settings(max_examples=30)
@given(st.integers(1, 3000))
def test_points_are_the_means_of_all_steps(steps):
    curve = LossCurve(steps)
    curve.losses = [[float(i) for i in range(steps)]]
    points = curve.points()
    ends = [int(end) for end, _ in points]
    assert ends[-1] == steps
    assert min(steps, POINTS) <= len(points) <= 2 * POINTS
    sizes = np.diff([0, *ends])
    assert set(sizes[:-1].tolist()) <= {curve.window}
    weighted = sum(size * mean for size, (_, mean) in zip(sizes, points, strict=True))
    assert weighted == pytest.approx(sum(curve.losses[0]))
