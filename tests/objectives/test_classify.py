import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score, roc_curve

from jetscale.jets.schema import FEATURE_SETS, JETCLASS
from jetscale.models.transformer.model import JetTransformer
from jetscale.objectives.classify import auc, evaluate, predict, rejections, scores
from jetscale.study import ModelSize


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
    assert ours.loss == pytest.approx(log_loss(labels, p))
    assert ours.accuracy == pytest.approx(accuracy_score(labels, logits.argmax(1)))
    assert ours.auc == pytest.approx(roc_auc_score(labels, p, multi_class="ovo"))


@settings(deadline=None, max_examples=30)
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
        assert scores(logits, np.array([0, 0]), ("a", "b")).loss == pytest.approx(1e4)


def test_evaluation_does_not_depend_on_order_or_batch(jets_of):
    size = ModelSize(width=8, layers=1, heads=2)
    model = JetTransformer(size, FEATURE_SETS["kin"], 3, trunk_seed=1, head_seed=2).double()
    data = jets_of(50)
    rows = np.random.default_rng(1).permutation(50)
    whole = predict(model, data)
    np.testing.assert_allclose(predict(model, data, batch=7), whole, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(predict(model, data.take(rows)), whole[rows], rtol=1e-10, atol=1e-12)
    a = evaluate(model, data, ("QCD", "Hbb", "Tbl"))
    b = evaluate(model, data.take(rows), ("QCD", "Hbb", "Tbl"), batch=16)
    assert a.loss == pytest.approx(b.loss)
    assert (a.accuracy, a.jets) == (b.accuracy, 50)
