import math

import pytest

from jetscale.errors import FitError
from jetscale.scaling import allocate, fit
from jetscale.scaling.allocation import sense
from jetscale.scaling.estimate import Estimate

MEASURED = (1e15, 1e20)


def test_accuracies_are_refused_in_one_line(grid, truth):
    runs = grid({"a": truth, "b": truth})
    with pytest.raises(FitError, match=r"^mixture 'a' has a loss that rises .*--metric") as caught:
        fit(runs.assign(loss=0.9 - 0.1 * runs["loss"]), replicates=50)
    assert "(so has 'b')" in str(caught.value)


@pytest.mark.parametrize(("flops", "side"), [(1.1e26, "above"), (0.9e9, "below")])
def test_a_budget_out_of_reach_is_refused(flops, side):
    with pytest.raises(FitError, match=f"x lies 6 decades {side} the measured compute"):
        sense.check_reach("x", flops, MEASURED)
    for near in (9e25, 1.1e9, 1e18):
        sense.check_reach("x", near, MEASURED)


@pytest.mark.parametrize(
    ("params", "examples", "why"),
    [
        (1e6, 1e9, ""),
        (1.1e4, 1e9, ""),
        (0.9e4, 1e9, "N* is more than 2 decades below the smallest measured"),
        (1e6, 9e5, "D* is more than 2 decades below the smallest measured"),
        (math.inf, 1e9, "N* has no bound"),
        (0.0, 1e9, "N* is more than 2 decades below the smallest measured"),
    ],
)
def test_an_optimum_nobody_could_train_is_none(params, examples, why):
    window = {"params": (1e6, 1e9), "examples": (1e8, 1e11)}
    assert sense.no_optimum({"params": params, "examples": examples}, window) == why


def test_ends_beyond_sense_are_no_numbers():
    wide = Estimate(value=1e8, low=0.5, high=1e30)
    found = sense.bounded(wide, (1e6, 1e9), beyond=0.0)
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    inside = Estimate(value=1e8, low=2e3, high=0.9e12)
    assert sense.bounded(inside, (1e6, 1e9), beyond=0.0) == inside
    far = Estimate(value=1e12, low=1e9, high=1e14)
    assert sense.bounded(far, (1e6, 1e9), beyond=3.0) == far
    loss = sense.bounded_loss(Estimate(value=1, low=-0.1, high=2))
    assert math.isnan(loss.low)
    assert loss.high == 2


@pytest.mark.long
def test_no_number_beyond_sense_reaches_a_sentence(grid):
    flat = [1.8, 0.0, 2100.0, 0.35, 0.37]
    answer = allocate(fit(grid({"m": flat}), replicates=100), 1e20).answer
    for word in ("<1", ">1e18", "inf", "nan", "–"):
        assert word not in answer
