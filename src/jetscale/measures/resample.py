"""Standard errors by half samples: the delete-half jackknife.

Measures of diversity and distance are functions of a whole set of jets. A bootstrap draws jets
twice, and a jet that is there twice has a neighbour at distance zero and adds nothing to a kernel:
it would bias exactly these measures. Half samples draw without replacement. For a statistic whose
variance falls as 1 / n, the spread over random halves of one sample of n jets estimates the
standard error at n jets, because (1 / (n / 2) - 1 / n) = 1 / n (Shao and Wu 1989, Ann. Statist.
17, 1176, with d = n / 2). The value itself comes from all jets.
"""

from collections.abc import Callable

import numpy as np

from jetscale.jets.arrays import Ints

HALVES = 40  # half samples per interval; the standard error is then known to 11%


def halves(n: int, seed: int, repeats: int = HALVES) -> list[Ints]:
    """Random halves of n rows, each sorted; the same for the same seed."""
    rng = np.random.default_rng(seed)
    return [np.sort(rng.permutation(n)[: n // 2]) for _ in range(repeats)]


def half_sample_error(statistic: Callable[[Ints], float], n: int, seed: int) -> float:
    """Standard error of ``statistic`` at n jets from its spread over halves.

    Args:
        statistic: Value on the rows it is given.
        n: Jets in the sample.
        seed: Decides the halves.
    """
    return float(np.std([statistic(rows) for rows in halves(n, seed)], ddof=1))
