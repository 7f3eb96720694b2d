"""How diverse a set of jets is: effective labels, effective jets, intrinsic dimension.

Hill numbers (Hill 1973, Ecology 54, 427) turn label shares into an effective number of labels. The
Vendi score (arXiv 2210.02410) does the same with jets: the exponential of the entropy of the
eigenvalues of a similarity kernel. The two-nearest-neighbour dimension (Facco et al. 2017, Sci.
Rep. 7, 12140) says in how many directions jets vary locally.
"""

from collections.abc import Callable

import numpy as np
from scipy.linalg import eigvalsh
from scipy.spatial.distance import pdist, squareform

from jetscale.jets.arrays import Floats, Ints
from jetscale.measures.result import Value

LABEL_DRAWS = 400  # multinomial redraws of the label counts per interval
HALVES = 40  # half samples per interval; the standard error is then known to 11%
MOST_JETS = 1000  # of a sample, whose kernel and distances are taken: the cost grows as their cube


def hill(counts: Ints, order: float) -> float:
    """Effective number of labels of order q: (sum p^q)^(1 / (1 - q)), for q = 1 exp(entropy).

    Order 0 counts the labels that occur, 1 weighs them by share, 2 looks at the common ones.

    >>> [round(hill(np.array([90, 10]), order), 2) for order in (0, 1, 2)]
    [2.0, 1.38, 1.22]
    """
    p = counts[counts > 0] / counts.sum()
    if order == 1:
        return float(np.exp(-np.sum(p * np.log(p))))
    return float(np.sum(p**order) ** (1 / (1 - order)))


def effective_labels(counts: Ints, order: float, seed: int) -> Value:
    """Hill number with an interval from multinomial redraws of the counts.

    Redraws can miss rare labels but never add one, so their mean is too low: only their standard
    deviation is used, around the value of the counts themselves.
    """
    rng = np.random.default_rng(seed)
    draws = rng.multinomial(counts.sum(), counts / counts.sum(), size=LABEL_DRAWS)
    error = float(np.std([hill(draw, order) for draw in draws], ddof=1))
    return Value.around(hill(counts, order), error).within(1.0, np.inf)


def distances(points: Floats) -> Floats:
    """(n, n) Euclidean distances of (n, f) points."""
    return np.asarray(squareform(pdist(points)))


def vendi(kernel: Floats) -> float:
    """Vendi score of order 1 of (n, n) similarities: effective number of different jets, 1 to n.

    >>> round(vendi(np.eye(5)), 6), round(vendi(np.ones((5, 5))), 6)  # all different, all alike
    (5.0, 1.0)
    """
    share = eigvalsh(kernel / len(kernel))  # sums to 1, as the trace does
    share = share[share > 0]
    return float(np.exp(-np.sum(share * np.log(share))))


def two_nn(distance: Floats) -> float:
    """Dimension from (n, n) distances, by the ratio of each jet's second to its first neighbour's.

    The ratios of a locally uniform density follow a Pareto law whose exponent is the dimension;
    (n - 1) / sum log ratio is its unbiased estimate. Jets with a duplicate are left out.
    """
    _, first, second = np.sort(np.partition(distance, 2, axis=1)[:, :3], axis=1).T
    apart = first > 0
    logs = np.log(second[apart] / first[apart])
    return float((len(logs) - 1) / logs.sum())


def spread(points: Floats, bandwidth: float, seed: int) -> tuple[Value, Value]:
    """Vendi score and intrinsic dimension of the first `MOST_JETS` of (n, f) standardised jets."""
    distance = distances(points[:MOST_JETS])
    effective = _value(vendi, gaussian(distance, bandwidth), seed).within(1.0, len(distance))
    return effective, _value(two_nn, distance, seed).within(0.0, np.inf)


def halves(n: int, seed: int) -> list[Ints]:
    """Random halves of n rows, each sorted; the same for the same seed."""
    rng = np.random.default_rng(seed)
    return [np.sort(rng.permutation(n)[: n // 2]) for _ in range(HALVES)]


def half_sample_error(statistic: Callable[[Ints], float], n: int, seed: int) -> float:
    """Standard error at n jets of a statistic of the rows it is given, from its spread over halves.

    This is the delete-half jackknife: for a variance that falls as 1 / n, the spread over random
    halves estimates the standard error at n jets, because 1 / (n / 2) - 1 / n = 1 / n (Shao and Wu
    1989, Ann. Statist. 17, 1176). A bootstrap draws jets twice, and a jet that is there twice has a
    neighbour at distance zero and adds nothing to a kernel: it would bias exactly these measures.
    """
    return float(np.std([statistic(rows) for rows in halves(n, seed)], ddof=1))


def _value(statistic: Callable[[Floats], float], matrix: Floats, seed: int) -> Value:
    """A function of a pairwise matrix with its interval from half samples."""
    error = half_sample_error(lambda rows: statistic(matrix[np.ix_(rows, rows)]), len(matrix), seed)
    return Value.around(statistic(matrix), error)


def gaussian(distance: Floats, bandwidth: float) -> Floats:
    """Gaussian similarities exp(-d^2 / (2 bandwidth^2))."""
    return np.asarray(np.exp(-0.5 * (distance / bandwidth) ** 2))
