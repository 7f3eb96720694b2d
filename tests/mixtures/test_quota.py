import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetscale.errors import DataError
from jetscale.mixtures.quota import draw, quotas

WEIGHTS = st.dictionaries(st.sampled_from("abcdefg"), st.floats(1e-3, 1e3), min_size=1, max_size=7)


@given(WEIGHTS, st.integers(1, 10**8))
def test_quotas_sum_to_rows_and_lie_next_to_the_exact_share(weights, rows):
    found = quotas(weights, rows)
    total = sum(weights.values())
    assert sum(found.values()) == rows
    for name, weight in weights.items():
        assert abs(found[name] - rows * weight / total) < 1 + 1e-6


def test_quotas_known_values():
    assert quotas({"a": 0.6, "b": 0.3, "c": 0.1}, 50_001) == {"a": 30_001, "b": 15_000, "c": 5_000}
    assert quotas({"a": 1, "b": 1, "c": 1}, 3) == {"a": 1, "b": 1, "c": 1}
    assert quotas({"a": 1e-9, "b": 1}, 10) == {"a": 0, "b": 10}


def test_ties_do_not_depend_on_the_order_of_the_weights():
    assert quotas({"b": 1, "a": 1}, 5) == quotas({"a": 1, "b": 1}, 5) == {"a": 3, "b": 2}


@given(WEIGHTS, st.integers(1, 2000), st.integers(0, 2**32))
def test_draw_fills_every_position_once_with_distinct_rows(weights, rows, seed):
    quota = quotas(weights, rows)
    available = {name: count + 5 for name, count in quota.items()}
    drawn = draw(quota, available, seed, "s")
    positions = np.concatenate([d.positions for d in drawn.values()])
    assert np.array_equal(np.sort(positions), np.arange(rows))
    for name, one in drawn.items():
        assert len(np.unique(one.rows)) == len(one.rows) == quota[name]
        assert one.rows.size == 0 or (one.rows.min() >= 0 and one.rows.max() < available[name])
        assert np.all(np.diff(one.positions) > 0)


def test_draw_is_repeatable_and_depends_on_the_seed():
    first, again, other = (
        draw({"a": 50, "b": 50}, {"a": 80, "b": 60}, seed, "s") for seed in (1, 1, 2)
    )
    assert all(np.array_equal(first[n].rows, again[n].rows) for n in "ab")
    assert all(np.array_equal(first[n].positions, again[n].positions) for n in "ab")
    assert not np.array_equal(first["a"].rows, other["a"].rows)
    assert not np.array_equal(first["a"].positions, other["a"].positions)


def test_a_source_gives_the_same_leading_jets_to_every_mixture():
    alone = draw({"a": 60}, {"a": 100}, 3, "s")["a"].rows
    mixed = draw({"a": 40, "b": 90}, {"a": 100, "b": 90}, 3, "s")["a"].rows
    assert np.array_equal(alone[:40], mixed)


def test_prefixes_have_the_shares_of_a_random_sample():
    drawn = draw({"a": 6000, "b": 4000}, {"a": 6000, "b": 4000}, 5, "s")
    for size in (100, 1000, 5000):
        share = (drawn["a"].positions < size).sum() / size
        # Drawn without replacement: hypergeometric spread around 0.6.
        sigma = np.sqrt(0.24 / size * (10_000 - size) / 9_999)
        assert abs(share - 0.6) < 4 * sigma
    half = drawn["a"].rows[:3000]
    assert abs(half.mean() - 2999.5) < 4 * 6000 / np.sqrt(12 * 3000)


def test_more_jets_than_a_source_has_is_refused():
    with pytest.raises(DataError, match=r"'big': needs 11 distinct jets of 'a', which has 10"):
        draw({"a": 11}, {"a": 10}, 1, "big")
