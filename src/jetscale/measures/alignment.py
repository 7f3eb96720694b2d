"""Alignment of a set of jets with the downstream jets: three ways to tell two samples apart.

A domain classifier (gradient boosting, cross-fitted) gives an AUC: 0.5 where nothing tells the
samples apart (arXiv 1610.06545). The maximum mean discrepancy is a kernel two-sample test (Gretton
et al. 2012, JMLR 13, 723). The sliced Wasserstein distance says how far jets would have to move, in
standard deviations (Bonneel et al. 2015); the package for it imports every tensor library it finds.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from scipy.stats import rankdata

from jetscale.errors import MissingExtra
from jetscale.jets.arrays import Bools, Floats, Ints
from jetscale.measures.diversity import HALVES, gaussian, halves
from jetscale.measures.result import Z95, Value

FOLDS = 5
SPLITS = 2  # splits into folds that an AUC is averaged over
TREES = 100
MOST_JETS = 2000  # jets of each sample in a kernel matrix
PERMUTATIONS = 999
DIRECTIONS = 128


def fold_of(n: int, seed: int | list[int]) -> Ints:
    """(n,) fold of each row, as even as can be, in random order."""
    return np.random.default_rng(seed).permutation(np.arange(n) % FOLDS)


def cross_fit_auc(scores: Floats, positive: Bools, fold: Ints) -> tuple[float, Floats]:
    """Mean AUC over folds, and the (n,) influence of every jet on it.

    The influence curve gives the standard error of a cross-validated AUC without fitting again:
    sqrt(mean(influence^2) / n) (LeDell, Petersen and van der Laan 2015, EJS 9, 1583). It covers
    the jets, averaged over classifiers trained on as many. The (n,) scores are those of classifiers
    that have not seen the jet, compared within folds only; positive jets should score high.

    One of the four pairs of a positive and a negative jet is in the wrong order:

    >>> positive = np.array([True, True, False, False])
    >>> cross_fit_auc(np.array([4.0, 2.0, 3.0, 1.0]), positive, np.zeros(4, int))[0]
    0.75
    """
    influence, aucs = np.zeros(len(scores)), []
    for number in np.unique(fold):
        rows = np.flatnonzero(fold == number)
        high, own = positive[rows], scores[rows]
        # Share of the other class on the right side of each jet; ties count half. The rank among
        # all jets less that in the own class counts the jets of the other class below.
        ranks, above = rankdata(own), np.empty(len(rows))
        for mine in (high, ~high):
            above[mine] = (ranks[mine] - rankdata(own[mine])) / (~mine).sum()
        above[~high] = 1 - above[~high]
        aucs.append(float(above[high].mean()))
        influence[rows] = (above - aucs[-1]) / np.where(high, high.mean(), 1 - high.mean())
    return float(np.mean(aucs)), influence


def value_of(mean: float, influence: Floats, split_error: float = 0.0) -> Value:
    """A mean within 0 and 1; its interval is from influence values and error of the split."""
    jets = float(np.mean(influence**2)) / len(influence)
    return Value.around(mean, float(np.sqrt(jets + split_error**2))).within(0.0, 1.0)


def domain_auc(sample: Floats, reference: Floats, seed: int) -> Value:
    """AUC of gradient boosting asked which of (n, f) and (m, f) jets are downstream jets.

    Where little tells the samples apart, what the trees find depends on the split into folds:
    several are averaged, and the spread between them is in the interval. Raises MissingExtra
    without scikit-learn.
    """
    try:
        from sklearn.ensemble import HistGradientBoostingClassifier
    except ImportError as error:
        raise MissingExtra("scikit-learn", "measure") from error
    points = np.concatenate([reference, sample])
    positive = np.arange(len(points)) < len(reference)
    found = []
    for split in range(SPLITS):
        a, b = (fold_of(n, [seed, split, n]) for n in (len(reference), len(sample)))
        # counted backwards, so that the larger folds of one sample meet the smaller of the other
        fold = np.concatenate([a, FOLDS - 1 - b])
        scores = np.empty(len(points))
        for number in range(FOLDS):
            seen = fold != number
            model = HistGradientBoostingClassifier(
                max_iter=TREES, max_leaf_nodes=15, early_stopping=False, random_state=seed
            )
            model.fit(points[seen], positive[seen])
            scores[~seen] = model.decision_function(points[~seen])
        found.append(cross_fit_auc(scores, positive, fold))
    aucs, influences = zip(*found, strict=True)
    spread = float(np.std(aucs, ddof=1)) / np.sqrt(SPLITS)
    return value_of(float(np.mean(aucs)), np.mean(influences, axis=0), spread)


def mmd(sample: Floats, reference: Floats, bandwidth: float, seed: int) -> Value:
    """Unbiased squared MMD with a Gaussian kernel, its interval and permutation p-value.

    The interval comes from half samples. The p-value counts how often shuffled jets of both
    samples are at least as far apart: (1 + count) / (1 + permutations).
    """
    n, m = min(len(sample), MOST_JETS), min(len(reference), MOST_JETS)
    points = np.concatenate([sample[:n], reference[:m]])
    kernel = gaussian(cdist(points, points), bandwidth).astype(np.float32)
    np.fill_diagonal(kernel, 0.0)
    first = (np.arange(n + m) < n).astype(np.float32)
    value = float(_mmds(kernel, first[:, None], 1 - first[:, None])[0])
    # (n + m, HALVES) columns of zeros and ones: each is a half of the one and a half of the other
    left, right = np.zeros((2, n + m, HALVES), np.float32)
    for column, (a, b) in enumerate(zip(halves(n, seed), halves(m, seed + 1), strict=True)):
        left[a, column] = right[n + b, column] = 1
    error = float(np.std(_mmds(kernel, left, right), ddof=1))
    rng = np.random.default_rng(seed)
    shuffled = np.stack([rng.permutation(first) for _ in range(PERMUTATIONS)], axis=1)
    null = _mmds(kernel, shuffled, 1 - shuffled)
    p_value = (1 + int((null >= value).sum())) / (1 + PERMUTATIONS)
    return Value.around(value, error, p_value)


def _mmds(
    kernel: NDArray[np.float32], left: NDArray[np.float32], right: NDArray[np.float32]
) -> Floats:
    """(k,) unbiased MMD^2 of k pairs of sets, (n, k) zeros and ones; 0 on the kernel's diagonal."""
    to_left, to_right = kernel @ left, kernel @ right
    n, m = left.sum(axis=0, dtype=np.float64), right.sum(axis=0, dtype=np.float64)
    pairs = ((left, to_left), (right, to_right), (left, to_right))
    within_left, within_right, across = (np.sum(a * b, axis=0, dtype=np.float64) for a, b in pairs)
    within = within_left / (n * (n - 1)) + within_right / (m * (m - 1))
    return np.asarray(within - 2 * across / (n * m))


def sliced_wasserstein(sample: Floats, reference: Floats, seed: int) -> Value:
    """Mean over random directions of the Wasserstein-1 distance of the projected jets.

    Both samples must have the same number of jets. Two samples of one law are not at distance 0
    but at a floor that falls as 1 / sqrt(n); the downstream row shows it.
    """
    rng = np.random.default_rng(seed)
    directions = rng.normal(size=(sample.shape[1], DIRECTIONS))
    directions /= np.linalg.norm(directions, axis=0)
    left, right = sample @ directions, reference @ directions
    pairs = zip(halves(len(left), seed), halves(len(right), seed + 1), strict=True)
    spread = [_transport(left[a], right[b]) for a, b in pairs]
    value = _transport(left, right)
    reach = Z95 * float(np.std(spread, ddof=1))
    return Value(value=value, low=max(value - reach, 0.0), high=value + reach)


def _transport(left: Floats, right: Floats) -> float:
    """Mean Wasserstein-1 distance of the columns of two (n, k) arrays."""
    return float(np.abs(np.sort(left, axis=0) - np.sort(right, axis=0)).mean())
