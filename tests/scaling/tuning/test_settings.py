import math

import numpy as np
import pandas as pd
import pytest

from jetscale.scaling.tuning import setting_effects


@pytest.mark.parametrize("lost", [math.nan, math.inf])
def test_a_setting_that_diverges_is_infinitely_worse_and_none_is_told_from_a_lost_base(lost):
    cells = pd.DataFrame({"examples": [1000, 1000, 2000, 2000], "seed": [0, 1, 0, 1]})
    cells = cells.assign(start="scratch", mixture="m", width=16, factor=1)
    losses = {"": [1, 1, 1, lost], "a=1": [0.9, 0.9, lost, 1], "b=1": [0.9, 0.9, 0.8, 0.1]}
    table = pd.concat([cells.assign(setting=name, loss=loss) for name, loss in losses.items()])
    bad, good = setting_effects(table)
    assert (bad.effect, bad.error, bad.pairs) == (math.inf, math.inf, 3)
    assert (good.effect, good.pairs) == (pytest.approx(np.log([0.9, 0.8]).mean()), 3)
