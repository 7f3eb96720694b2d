import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetscale.errors import DataError
from jetscale.mixtures import quota
from jetscale.mixtures.quota import NOT_DRAWN, quotas, slots

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


def drawn(wanted, available, seed):
    """Per source: eligible jets in the order of the stream, and their positions."""
    found = {}
    for name, slot in slots(wanted, available, seed, "s"):
        assert slot.dtype == np.uint32
        assert len(slot) == available[name]
        rows = np.flatnonzero(slot != NOT_DRAWN)
        rows = rows[np.argsort(slot[rows])]
        found[name] = rows, slot[rows]
    return found


@pytest.mark.slow
@given(WEIGHTS, st.integers(1, 2000), st.integers(0, 2**32))
def test_slots_fill_every_position_once_with_distinct_jets(weights, rows, seed):
    wanted = quotas(weights, rows)
    found = drawn(wanted, {name: count + 5 for name, count in wanted.items()}, seed)
    positions = np.concatenate([where for _, where in found.values()])
    assert np.array_equal(np.sort(positions), np.arange(rows))
    assert {name: len(jets) for name, (jets, _) in found.items()} == wanted


@pytest.mark.parametrize("chunk", [1, 7, 1 << 20])
def test_slots_are_the_permutation_of_each_source_at_its_shuffled_places(monkeypatch, chunk):
    """The definition, written with plain 64-bit permutations; it fixes the content of streams."""
    monkeypatch.setattr(quota, "_CHUNK", chunk)
    source = np.repeat([0, 1], [30, 50])
    np.random.default_rng([9, 1]).shuffle(source)
    found = drawn({"b": 50, "a": 30}, {"a": 60, "b": 50}, 9)
    for i, (name, size, count) in enumerate((("a", 60, 30), ("b", 50, 50))):
        order = np.random.default_rng([9, 2, zlib.crc32(name.encode())]).permutation(size)
        assert np.array_equal(found[name][0], order[:count])
        assert np.array_equal(found[name][1], np.flatnonzero(source == i))


def test_slots_are_repeatable_and_depend_on_the_seed():
    first, again, other = (drawn({"a": 50, "b": 50}, {"a": 80, "b": 60}, s) for s in (1, 1, 2))
    for i in (0, 1):
        assert all(np.array_equal(first[n][i], again[n][i]) for n in "ab")
        assert not np.array_equal(first["a"][i], other["a"][i])


def test_a_source_gives_the_same_leading_jets_to_every_mixture():
    alone = drawn({"a": 60}, {"a": 100}, 3)["a"][0]
    mixed = drawn({"a": 40, "b": 90}, {"a": 100, "b": 90}, 3)["a"][0]
    assert np.array_equal(alone[:40], mixed)


def test_prefixes_have_the_shares_of_a_random_sample():
    rows, positions = drawn({"a": 6000, "b": 4000}, {"a": 6000, "b": 4000}, 5)["a"]
    for size in (100, 1000, 5000):
        share = (positions < size).sum() / size
        # Drawn without replacement: hypergeometric spread around 0.6.
        sigma = np.sqrt(0.24 / size * (10_000 - size) / 9_999)
        assert abs(share - 0.6) < 4 * sigma
    assert abs(rows[:3000].mean() - 2999.5) < 4 * 6000 / np.sqrt(12 * 3000)


def test_more_than_255_sources():
    names = [f"{i:03d}" for i in range(300)]
    found = drawn(dict.fromkeys(names, 2), dict.fromkeys(names, 3), 1)
    assert np.array_equal(np.sort(np.concatenate([w for _, w in found.values()])), np.arange(600))


def test_more_jets_than_a_source_has_is_refused():
    with pytest.raises(DataError, match=r"'big': needs 11 distinct jets of 'a', which has 10"):
        list(slots({"a": 11}, {"a": 10}, 1, "big"))
