"""Whether a column of losses can be one: a loss falls as models and data grow."""

import numpy as np
import pandas as pd
from scipy import stats

_RISES = 1e-4  # chance of a rise with each size, if there is none, at which a loss is none
RISING = (
    "has a loss that rises with params and examples: it is a score where more is better; name it "
    "with --metric, or give 1 minus it as loss"
)


def not_a_loss(runs: pd.DataFrame) -> str:
    """Return why the losses of a mixture are none, or an empty text.

    >>> better = pd.DataFrame({"params": [1, 1, 9, 9, 3], "examples": [1, 9, 1, 9, 3]})
    >>> not_a_loss(better.assign(loss=[0.1, 0.2, 0.2, 0.4, 0.2]))[:31]
    'has a loss that rises with para'
    """
    y = np.log(runs["loss"].to_numpy())
    if np.ptp(y) == 0:
        return "has the same loss in every run: check the loss column"
    columns = [np.ones(len(y)), *(np.log(runs[c].to_numpy()) for c in ("params", "examples"))]
    design = np.stack(columns, axis=1)
    freedom = len(y) - np.linalg.matrix_rank(design)
    if freedom < 1:
        return ""
    inverse = np.linalg.pinv(design)
    slopes = inverse @ y
    left = y - design @ slopes
    errors = np.sqrt(left @ left / freedom * (inverse**2).sum(axis=1))
    clear = float(stats.t.isf(_RISES, freedom))
    return RISING if (slopes[1:] > clear * errors[1:]).all() else ""
