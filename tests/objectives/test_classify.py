import json
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score, roc_curve

from jetscale.jets.schema import JETCLASS
from jetscale.objectives.classify import CLASSIFY, auc, rejections

scores = CLASSIFY.scores


def sample(n=400, classes=10, seed=0, decimals=None):
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, n)
    logits = random.normal(size=(n, classes)) + 2 * np.eye(classes)[labels]
    return logits if decimals is None else logits.round(decimals), labels


def softmax(logits):
    p = np.exp(logits - logits.max(1, keepdims=True))
    return p / p.sum(1, keepdims=True)


def test_loss_accuracy_and_auc_equal_scikit_learn():
    logits, labels = sample()
    p, ours = softmax(logits), scores(logits, labels, JETCLASS)
    assert ours["loss"] == pytest.approx(log_loss(labels, p))
    assert ours["accuracy"] == pytest.approx(accuracy_score(labels, logits.argmax(1)))
    assert ours["auc"] == pytest.approx(roc_auc_score(labels, p, multi_class="ovo"))


@pytest.mark.slow
@settings(max_examples=30)
@given(st.integers(2, 5), st.integers(0, 100), st.sampled_from([0, 1, 9]))
def test_auc_with_ties_and_few_classes(classes, seed, decimals):
    logits, labels = sample(60, classes, seed, decimals)
    p = softmax(logits)
    if classes == 2:
        expected = np.mean([roc_auc_score(labels == i, p[:, i]) for i in range(2)])
    else:
        expected = roc_auc_score(labels, p, multi_class="ovo")
    assert auc(p, labels) == pytest.approx(expected)


def test_auc_skips_absent_classes():
    logits, labels = sample(100, 4)
    labels = labels % 3
    p = softmax(logits)
    kept = p[:, :3]
    pairs = [
        roc_auc_score((labels == a)[both], kept[both, a])
        for a in range(3)
        for b in range(3)
        if a != b and (both := (labels == a) | (labels == b)).any()
    ]
    assert auc(p, labels) == pytest.approx(np.mean(pairs))
    assert auc(p, np.zeros_like(labels)) is None


def test_rejection_equals_the_roc_curve():
    logits, labels = sample(6000, seed=3)
    found = rejections(logits, labels, JETCLASS)
    assert list(found) == [name for name in JETCLASS if name != "QCD"]
    for name, efficiency in (("Hbb", 0.5), ("Hqql", 0.99), ("Tbl", 0.995)):
        index = JETCLASS.index(name)
        both = (labels == 0) | (labels == index)
        p = softmax(logits)[both]
        fpr, tpr, _ = roc_curve(
            labels[both] == index, p[:, index] / (p[:, index] + p[:, 0]), drop_intermediate=False
        )
        assert found[name] == pytest.approx(1 / fpr[np.searchsorted(tpr, efficiency - 1e-12)])


def test_rejection_is_none_without_passing_background_or_signal():
    logits = np.array([[9.0, 0.0, 0.0], [0.0, 9.0, 0.0]])
    found = rejections(logits, np.array([0, 1]), ("QCD", "Hbb", "Hcc"))
    assert found == {"Hbb": None, "Hcc": None}
    assert rejections(logits, np.array([1, 1]), ("QCD", "Hbb", "Hcc"))["Hbb"] is None
    assert rejections(logits, np.array([0, 1]), ("X_bb", "X_cc", "X_ss")) == {}


def test_huge_logits_do_not_overflow():
    logits = np.array([[1e4, -1e4], [-1e4, 1e4]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert scores(logits, np.array([0, 0]), ("a", "b"))["loss"] == pytest.approx(1e4)


def test_the_loss_is_summed_cross_entropy_and_its_mean_is_the_score():
    logits, labels = sample(50)
    batch = SimpleNamespace(labels=torch.from_numpy(labels))
    total = CLASSIFY.loss(torch.from_numpy(logits), batch)
    assert float(total) == pytest.approx(50 * log_loss(labels, softmax(logits)))
    assert scores(logits, labels, JETCLASS)["loss"] == pytest.approx(float(total) / 50)


def test_scores_are_plain_values():
    found = scores(*sample(), JETCLASS)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
