import numpy as np
import pytest

from jetscale.planning import plan_runs
from jetscale.planning.timing import CORE, Speed, Took, learn_speed


def took(speed, steps, layers, flops, factor=1.0):
    seconds = steps * (speed.step + speed.layer * layers) + flops * speed.flop + speed.run
    return Took(steps=steps, layers=layers, flops=flops, seconds=seconds * factor)


def test_nothing_measured_is_one_core():
    assert learn_speed([]) == CORE


@pytest.mark.parametrize("slower", [0.02, 0.5, 4.0])
def test_another_device_is_learnt_from_its_runs(study, slower):
    """Runs as they are, with the noise of a shared machine, predict others to a few per cent."""
    true = Speed(step=4e-4, layer=2e-4, flop=slower * CORE.flop, run=0.2)
    dice = np.random.default_rng(1)
    runs = [
        took(true, steps, layers, 10.0**power * steps, dice.lognormal(0, 0.05))
        for steps in (50, 200, 1000)
        for layers in (1, 4)
        for power in (6, 7, 8, 9)
    ]
    learnt = learn_speed(runs)
    for run in plan_runs(study):
        assert learnt.seconds(run) == pytest.approx(true.seconds(run), rel=0.1)
    wide = took(true, 5000, 4, 5e13)
    guess = 5000 * (learnt.step + 4 * learnt.layer) + 5e13 * learnt.flop + learnt.run
    assert guess == pytest.approx(wide.seconds, rel=0.1)


def test_a_few_equal_runs_do_not_decide_everything():
    learnt = learn_speed([took(CORE, 100, 2, 1e9, 2.0)] * 3)
    assert min(learnt.step, learnt.layer, learnt.flop, learnt.run) > 0
    twice = 2 * took(CORE, 100, 2, 1e9).seconds
    assert took(learnt, 100, 2, 1e9).seconds == pytest.approx(twice, rel=0.05)
