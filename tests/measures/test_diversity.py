import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import entropy

from jetscale.measures.diversity import (
    HALVES,
    MOST_JETS,
    distances,
    effective_labels,
    gaussian,
    half_sample_error,
    halves,
    hill,
    spread,
    two_nn,
    vendi,
)

counts = arrays(np.int64, st.integers(1, 12), elements=st.integers(0, 500)).filter(np.any)


@settings(max_examples=25)
@given(counts)
def test_hill_numbers_fall_with_the_order_and_stay_within_the_labels(counts):
    zero, one, two = (hill(counts, q) for q in (0, 1, 2))
    assert zero == pytest.approx(np.count_nonzero(counts))
    assert zero + 1e-9 >= one >= two - 1e-9 >= 1 - 2e-9


@settings(max_examples=25)
@given(counts)
def test_order_one_is_the_exponential_of_the_entropy(counts):
    assert hill(counts, 1) == pytest.approx(np.exp(entropy(counts)))


@pytest.mark.parametrize("order", [0, 1, 2])
def test_equally_common_labels_count_fully(order):
    assert hill(np.full(7, 30), order) == pytest.approx(7)


def test_joining_two_mixtures_without_common_labels_doubles_them():
    counts = np.array([5, 3, 2])
    assert hill(np.concatenate([counts, counts]), 2) == pytest.approx(2 * hill(counts, 2))


@pytest.mark.slow
def test_the_interval_of_effective_labels_covers_the_truth(rng):
    p = np.array([0.5, 0.3, 0.15, 0.05])
    truth = np.exp(entropy(p))
    draws = [effective_labels(rng.multinomial(2000, p), 1, seed=i) for i in range(40)]
    assert 33 <= sum(v.low <= truth <= v.high for v in draws) <= 40


def test_the_vendi_score_of_different_and_of_equal_jets():
    assert vendi(np.eye(9)) == pytest.approx(9)
    assert vendi(np.ones((9, 9))) == pytest.approx(1)
    groups = np.kron(np.eye(3), np.ones((4, 4)))
    assert vendi(groups) == pytest.approx(3)


def test_copies_of_all_jets_change_no_vendi_score(rng):
    kernel = gaussian(distances(rng.normal(size=(30, 4))), 2.0)
    assert vendi(np.kron(np.ones((2, 2)), kernel)) == pytest.approx(vendi(kernel))


@pytest.mark.parametrize("dimension", [1, 2, 4])
def test_the_dimension_of_a_cube_that_lies_in_a_larger_space(rng, dimension):
    cube = rng.uniform(size=(1500, dimension))
    turn = np.linalg.qr(rng.normal(size=(6, 6)))[0][:dimension]
    assert two_nn(distances(cube @ turn)) == pytest.approx(dimension, rel=0.12)


def test_duplicates_do_not_break_the_dimension(rng):
    cube = rng.uniform(size=(400, 2))
    twice = np.concatenate([cube, cube[:40]])
    assert two_nn(distances(twice)) == pytest.approx(2, rel=0.25)


@pytest.mark.slow
def test_spread_gives_both_with_intervals_and_is_reproducible(rng):
    points = rng.uniform(size=(300, 2))
    found = spread(points, 0.3, seed=1)
    assert found == spread(points, 0.3, seed=1)
    score, dimension = found
    assert 1 < score.low < score.value < score.high < 300
    assert dimension.low < 2 < dimension.high


@pytest.mark.slow
def test_intervals_are_the_spread_between_samples(rng):
    found = [spread(rng.uniform(size=(100, 2)), 0.3, seed) for seed in range(24)]
    for values in zip(*found, strict=True):
        errors = [(value.high - value.low) / (2 * 1.959964) for value in values]
        assert np.mean(errors) == pytest.approx(np.std([v.value for v in values]), rel=0.5)


def test_a_wider_kernel_sees_fewer_different_jets(rng):
    distance = distances(rng.normal(size=(80, 3)))
    narrow, wide = (vendi(gaussian(distance, width)) for width in (0.5, 3.0))
    assert 1 < wide < narrow < 80


def test_only_the_first_jets_enter_the_kernel(rng):
    points = rng.uniform(size=(MOST_JETS + 50, 2))
    assert len(distances(points[:MOST_JETS])) == MOST_JETS


def test_halves_are_distinct_rows_and_the_same_every_time():
    found = halves(101, seed=3)
    assert len(found) == HALVES
    assert all(len(np.unique(rows)) == 50 and rows.max() < 101 for rows in found)
    again = halves(101, seed=3)
    assert all((a == b).all() for a, b in zip(found, again, strict=True))
    assert any((a != b).any() for a, b in zip(found, halves(101, seed=4), strict=True))


def test_the_error_of_a_mean_is_the_textbook_one(rng):
    x = rng.normal(size=4000)
    error = half_sample_error(lambda rows: x[rows].mean(), len(x), seed=1)
    assert error == pytest.approx(x.std() / np.sqrt(len(x)), rel=0.35)
