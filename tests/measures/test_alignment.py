import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm, wasserstein_distance
from sklearn.metrics import roc_auc_score

from jetscale.errors import MissingExtra
from jetscale.measures.alignment import (
    FOLDS,
    cross_fit_auc,
    domain_auc,
    fold_of,
    mmd,
    sliced_wasserstein,
    value_of,
)
from jetscale.measures.transfer import stratified


def test_folds_are_even_and_random():
    fold = fold_of(103, seed=2)
    assert sorted(np.bincount(fold)) == [20, 20, 21, 21, 21]
    assert (fold == fold_of(103, 2)).all()
    assert (fold != fold_of(103, 3)).any()


def test_the_cross_fitted_auc_is_the_mean_over_folds(rng):
    scores = np.round(rng.normal(size=200), 1)  # with ties
    positive = rng.random(200) < 0.3
    fold = fold_of(200, 1)
    auc, influence = cross_fit_auc(scores, positive, fold)
    each = [roc_auc_score(positive[fold == k], scores[fold == k]) for k in range(FOLDS)]
    assert auc == pytest.approx(np.mean(each))
    assert influence.mean() == pytest.approx(0, abs=1e-12)


@settings(max_examples=25)
@given(st.integers(0, 1000))
def test_an_auc_depends_on_ranks_only_and_turns_with_the_classes(seed):
    rng = np.random.default_rng(seed)
    scores, positive = rng.normal(size=60), np.arange(60) % 3 == 0
    fold = stratified(positive.astype(np.int64), seed)
    auc, influence = cross_fit_auc(scores, positive, fold)
    assert 0 <= auc <= 1
    stretched, same = cross_fit_auc(np.exp(3 * scores), positive, fold)
    assert stretched == pytest.approx(auc)
    assert same == pytest.approx(influence)
    turned, mirrored = cross_fit_auc(scores, ~positive, fold)
    assert turned == pytest.approx(1 - auc)
    assert mirrored == pytest.approx(-influence)


def test_scores_of_different_folds_are_never_compared(rng):
    scores, positive, fold = rng.normal(size=100), rng.random(100) < 0.5, fold_of(100, 1)
    assert cross_fit_auc(scores + 10 * fold, positive, fold)[0] == pytest.approx(
        cross_fit_auc(scores, positive, fold)[0]
    )


@pytest.mark.slow
def test_the_interval_of_an_auc_covers_the_truth(rng):
    truth = norm.cdf(1 / np.sqrt(2))
    positive = np.arange(300) < 120
    hits = 0
    for seed in range(100):
        scores = rng.normal(size=300) + positive
        found = value_of(*cross_fit_auc(scores, positive, fold_of(300, seed)))
        hits += found.low <= truth <= found.high
    assert 88 <= hits <= 100


@pytest.mark.long
def test_a_domain_classifier_is_lost_on_equal_samples_and_sure_of_different_ones(rng, monkeypatch):
    monkeypatch.setattr("jetscale.measures.alignment.TREES", 20)
    sample, same = rng.normal(size=(200, 2)), rng.normal(size=(200, 2))
    lost = domain_auc(sample, same, seed=1)
    assert lost.low < 0.5 < lost.high
    assert lost == domain_auc(sample, same, seed=1)
    assert domain_auc(sample + 4, same, seed=1).value > 0.98


def test_the_spread_between_splits_widens_the_interval():
    influence = np.array([1.0, -1.0] * 50)
    narrow, wide = value_of(0.5, influence), value_of(0.5, influence, split_error=0.1)
    assert (narrow.high - 0.5) / 1.959964 == pytest.approx(0.1)
    assert (wide.high - 0.5) / 1.959964 == pytest.approx(0.1 * np.sqrt(2))


def test_without_scikit_learn_the_extra_is_named(monkeypatch, rng):
    monkeypatch.setitem(sys.modules, "sklearn.ensemble", None)
    with pytest.raises(MissingExtra, match=r"jetscale\[measure\]"):
        domain_auc(rng.normal(size=(20, 2)), rng.normal(size=(20, 2)), 1)


def naive_mmd(x, y, width):
    def kernel(a, b):
        return np.exp(-((a - b) ** 2).sum() / (2 * width**2))

    def within(z):
        pairs = [kernel(a, b) for i, a in enumerate(z) for j, b in enumerate(z) if i != j]
        return np.mean(pairs)

    return within(x) + within(y) - 2 * np.mean([kernel(a, b) for a in x for b in y])


def test_mmd_is_the_unbiased_estimate(rng):
    x, y = rng.normal(size=(12, 3)), rng.normal(size=(15, 3)) + 0.5
    assert mmd(x, y, 2.0, seed=1).value == pytest.approx(naive_mmd(x, y, 2.0), abs=1e-6)


def test_mmd_tells_samples_of_different_laws_only(rng):
    x, same, other = (rng.normal(size=(150, 2)) + shift for shift in (0, 0, 1))
    equal, different = mmd(x, same, 2.0, 1), mmd(x, other, 2.0, 1)
    assert equal.p_value > 0.02
    assert equal.low < 0 < equal.high
    assert different.p_value == 0.001
    assert different.low > 0


def test_p_values_are_uniform_under_the_null(rng, monkeypatch):
    monkeypatch.setattr("jetscale.measures.alignment.PERMUTATIONS", 39)
    found = [
        mmd(rng.normal(size=(40, 2)), rng.normal(size=(40, 2)), 2.0, i).p_value for i in range(60)
    ]
    assert 0.35 < np.mean(found) < 0.65
    assert np.mean(np.array(found) <= 0.1) < 0.25


def test_in_one_dimension_sliced_wasserstein_is_the_distance_itself(rng):
    x, y = rng.normal(size=(200, 1)), rng.exponential(size=(200, 1))
    found = sliced_wasserstein(x, y, seed=1)
    assert found.value == pytest.approx(wasserstein_distance(x[:, 0], y[:, 0]))
    assert found.low < found.value < found.high


def test_sliced_wasserstein_is_symmetric_and_grows_with_a_shift(rng):
    x = rng.normal(size=(200, 4))
    near, far = sliced_wasserstein(x, x + 0.1, 1), sliced_wasserstein(x, x + 0.5, 1)
    assert sliced_wasserstein(x, x, 1).value == 0
    assert far.value == pytest.approx(5 * near.value)
    assert sliced_wasserstein(x + 0.5, x, 1).value == pytest.approx(far.value)


def test_the_interval_of_sliced_wasserstein_is_the_spread_between_samples(rng):
    found = [
        sliced_wasserstein(rng.normal(size=(150, 3)), rng.normal(size=(150, 3)) + 0.3, seed)
        for seed in range(24)
    ]
    spread = np.std([value.value for value in found])
    errors = [(value.high - value.low) / (2 * 1.959964) for value in found]
    assert np.mean(errors) == pytest.approx(spread, rel=0.5)


def test_large_samples_are_cut_for_the_kernel_only(rng, monkeypatch):
    monkeypatch.setattr("jetscale.measures.alignment.MOST_JETS", 50)
    x, y = rng.normal(size=(80, 2)), rng.normal(size=(80, 2))
    assert mmd(x, y, 1.0, 1).value == mmd(x[:50], y[:50], 1.0, 1).value
