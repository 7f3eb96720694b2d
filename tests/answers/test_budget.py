"""Where a budget goes: what was measured, and the best run of the laws."""

import re

import numpy as np
import pytest

from jetscale.answers.budget import budget, for_budget
from jetscale.scaling import allocate, fit


@pytest.mark.slow
def test_a_difference_beyond_chance_names_the_mixture(found):
    measured = budget(found).sentences[0]
    assert measured.endswith("16k jets, near: lower than qcd, scratch by more than chance.")


@pytest.mark.slow
def test_a_difference_within_chance_names_no_mixture(made, analysed):
    answer = budget(analysed(made({"scratch": 0, "qcd": 0})))
    assert answer.question == "Where does a budget of 1e+10 FLOPs go?"
    laws, measured, *_ = answer.sentences
    assert measured.startswith("Measured: loss ")
    assert measured.endswith("these cells do not tell the mixtures apart.")
    assert re.match(r"By the laws: with (scratch or qcd|qcd or scratch) train ", laws)


@pytest.mark.slow
def test_the_laws_of_one_mixture_give_the_optimum(made, analysed, theta):
    study = analysed(made({"scratch": 0}, noise=0.0005, sizes=6, data=7))
    answer = budget(study)
    assert answer.answered
    found = re.search(
        r"By the laws: train (\S+)k parameters on (\S+)k jets, expect loss (\S+)",
        answer.sentences[0],
    )
    assert found
    n, d, loss = map(float, found.groups())
    E, A, B, alpha, beta = theta
    sizes = np.geomspace(1e3, 1e6, 3000)
    losses = E + A * sizes**-alpha + B * (1e11 / 6 / sizes) ** -beta
    best = losses.argmin()
    assert n * 1e3 == pytest.approx(sizes[best], rel=0.08)
    assert d * 1e3 == pytest.approx(1e11 / 6 / sizes[best], rel=0.08)
    assert loss == pytest.approx(losses[best], rel=0.003)
    assert "not determined" not in answer.sentences[0]


@pytest.mark.slow
def test_beyond_the_runs_and_before_them(made):
    laws = fit(made({"scratch": 0}, noise=0.0005, sizes=6, data=7), replicates=60)
    far = for_budget(allocate(laws, 1e13)).sentences
    assert far[-1].startswith("This budget lies ")
    assert "decades above the measured compute: an extrapolation" in far[-1]
    cheap = for_budget(allocate(laws, 1e5)).sentences
    assert cheap[1] == "No run costs as little as 1e+05 FLOPs."
    assert "decades below" in cheap[-1]


def test_without_laws_the_reason_is_given(made, analysed):
    answer = budget(analysed(made({"a": 0, "b": 500}, sizes=2)))
    assert not answer.answered
    assert answer.sentences[0].startswith("Nothing is allocated: mixture 'a' has 2 model sizes")


@pytest.mark.long
def test_mixtures_that_are_alike_are_told_from_one_that_is_not(made, analysed):
    runs = made({"scratch": 0, "x": 0, "y": 0}, noise=0.0005, sizes=6, data=7)
    worse = runs["loss"] * np.where(runs["mixture"] == "scratch", 1.25, 1.0)
    answer = budget(analysed(runs.assign(loss=worse)))
    laws, measured = answer.sentences
    assert re.search(r"jets, (x or y|y or x): lower than scratch by more than chance", measured)
    assert re.search(r"By the laws: with (x or y|y or x|x|y) train ", laws)
    assert answer.answered


@pytest.mark.slow
def test_a_law_that_is_not_determined_leaves_what_was_measured(made, analysed):
    answer = budget(analysed(made({"scratch": 0, "near": 900}, noise=0.03, sizes=3)))
    assert answer.title.endswith("MEASURED ONLY")
    assert "not determined, test it before you spend by it" in " ".join(answer.sentences)
