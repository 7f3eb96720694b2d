"""The sentences are checked against the functions they describe."""

import re

import numpy as np
import pytest
from scipy.stats import entropy

from jetscale.measures import alignment, diversity
from jetscale.measures.sentences import NAMES, SENTENCES, notes
from jetscale.measures.space import SPACES

COUNTS = np.array([60, 30, 10, 0])


def numbers(text):
    return [int(n) for n in re.findall(r"(?<![\w=.])\d+(?![\w.]*\w)", text)]


@pytest.mark.parametrize("space", SPACES)
def test_a_sentence_names_its_space_and_the_numbers_in_use(space):
    in_use = {"vendi": [diversity.MOST_JETS], "sliced_w1": [alignment.DIRECTIONS]}
    for measure, expected in in_use.items():
        assert [n for n in numbers(SENTENCES[f"{measure}_{space}"]) if n > 1] == expected
    assert f"{alignment.PERMUTATIONS} shuffles" in SENTENCES[f"mmd2_{space}"]
    named = [measure for measure, text in SENTENCES.items() if NAMES[space] in text]
    assert sorted(named) == sorted(m for m in SENTENCES if m.endswith(space))


def test_hill_numbers_are_what_their_sentences_say():
    p = COUNTS / COUNTS.sum()
    assert "occur at all" in SENTENCES["labels_q0"]
    assert diversity.hill(COUNTS, 0) == np.count_nonzero(COUNTS)
    assert "exp(entropy)" in SENTENCES["labels_q1"]
    assert diversity.hill(COUNTS, 1) == pytest.approx(np.exp(entropy(p)))
    assert "one over the chance that two jets share a label" in SENTENCES["labels_q2"]
    assert diversity.hill(COUNTS, 2) == pytest.approx(1 / (p**2).sum())


def test_the_scale_of_the_domain_classifier_is_what_its_sentence_says(rng):
    assert "0.5 is indistinguishable, 1 is never confused" in SENTENCES["auc_observables"]
    positive, fold = np.arange(400) < 200, alignment.fold_of(400, 1)
    lost, _ = alignment.cross_fit_auc(rng.normal(size=400), positive, fold)
    sure, _ = alignment.cross_fit_auc(positive.astype(float), positive, fold)
    assert lost == pytest.approx(0.5, abs=0.1)
    assert sure == 1.0


def test_notes_give_the_size_of_the_samples_and_how_intervals_are_made():
    first, intervals, *_ = notes(321)
    assert first.startswith("321 jets of every mixture")
    assert f"labels {diversity.LABEL_DRAWS} multinomial draws" in intervals
    assert f"{diversity.HALVES} half samples without replacement" in intervals
    assert f"{alignment.FOLDS}-fold" in intervals
    assert f"{alignment.SPLITS} splits" in intervals
