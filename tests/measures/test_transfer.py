import sys

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import multivariate_normal

from jetscale.errors import MissingExtra
from jetscale.measures.alignment import FOLDS
from jetscale.measures.transfer import log_evidence, probe, stratified, transfer


@pytest.fixture
def clouds(rng):
    """Three classes of 60 jets around their own centres, in four dimensions."""
    labels = np.repeat([0, 4, 7], 60)
    centres = 4 * rng.normal(size=(3, 4))
    return centres[np.repeat(np.arange(3), 60)] + rng.normal(size=(180, 4)), labels


def test_folds_hold_an_equal_share_of_every_class():
    labels = np.repeat([2, 5], [50, 10])
    fold = stratified(labels, seed=1)
    assert (np.bincount(fold[labels == 5]) == 10 // FOLDS).all()
    assert (np.bincount(fold[labels == 2]) == 50 // FOLDS).all()


@pytest.mark.slow
def test_a_probe_reads_what_is_there_and_nothing_else(clouds, rng):
    vectors, labels = clouds
    found = probe(vectors, labels, seed=1)
    assert found.correct.mean() > 0.9
    assert found.auc > 0.97
    noise = probe(rng.normal(size=(180, 4)), labels, seed=1)
    assert noise.correct.mean() == pytest.approx(1 / 3, abs=0.12)
    assert noise.auc == pytest.approx(0.5, abs=0.12)


def test_the_log_evidence_is_the_largest_marginal_likelihood(rng):
    vectors = rng.normal(size=(30, 2))
    labels = (vectors[:, 0] + 0.5 * rng.normal(size=30) > 0).astype(np.int64)
    centred = vectors - vectors.mean(axis=0)
    design = np.column_stack([centred / centred.std(), np.ones(30)])

    def missing(logs, target):
        alpha, beta = np.exp(logs)
        covariance = np.eye(30) / beta + design @ design.T / alpha
        return -multivariate_normal(np.zeros(30), covariance).logpdf(target) / 30

    best = [
        -minimize(missing, np.zeros(2), args=((labels == c).astype(float),)).fun for c in (0, 1)
    ]
    assert log_evidence(vectors, labels) == pytest.approx(np.mean(best), abs=1e-4)


def test_the_log_evidence_ranks_vectors_and_ignores_shift_and_size(clouds, rng):
    vectors, labels = clouds
    good = log_evidence(vectors, labels)
    assert good > log_evidence(vectors + 4 * rng.normal(size=vectors.shape), labels)
    assert log_evidence(1000 * vectors + 5, labels) == pytest.approx(good, abs=1e-4)


@pytest.mark.slow
def test_transfer_averages_over_seeds_and_is_reproducible(clouds, rng):
    vectors, labels = clouds
    noise = rng.normal(size=vectors.shape)
    good, mean = transfer([vectors], labels, 1), transfer([vectors, noise], labels, 1)
    bad = transfer([noise], labels, 1)
    assert good == transfer([vectors], labels, 1)
    for measure in ("logme", "probe_accuracy", "probe_auc"):
        assert good[measure].low <= good[measure].value <= good[measure].high
        assert mean[measure].value == pytest.approx((good[measure].value + bad[measure].value) / 2)


def test_without_scikit_learn_the_extra_is_named(monkeypatch, clouds):
    monkeypatch.setitem(sys.modules, "sklearn.linear_model", None)
    with pytest.raises(MissingExtra, match=r"jetscale\[measure\]"):
        probe(*clouds, seed=1)
