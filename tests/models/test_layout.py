import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jetscale.models.layout import MAX_GROUPS, TOKENS_PER_GROUP, arrange, choose_groups

lengths_of_jets = st.lists(st.integers(1, 128), min_size=1, max_size=150).map(np.array)


def starts_of(lengths):
    return np.cumsum(lengths) - lengths


@settings(deadline=None, max_examples=50)
@given(lengths_of_jets, st.integers(1, 8))
def test_every_constituent_has_its_token(lengths, groups):
    starts = starts_of(lengths)
    layout = arrange(starts, lengths, groups=min(groups, len(lengths)))
    assert sorted(layout.order) == list(range(len(lengths)))
    assert len(layout.index) == sum(len(g.lengths) * g.length for g in layout.groups)
    place, token = 0, 0
    for group in layout.groups:
        assert group.length == group.lengths.max()
        for n in group.lengths:
            jet = layout.order[place]
            assert n == lengths[jet]
            rows = layout.index[token : token + group.length]
            assert list(rows[:n]) == list(range(starts[jet], starts[jet] + n))
            assert (rows[n:] == starts[jet] + n - 1).all()
            place, token = place + 1, token + group.length


@settings(deadline=None, max_examples=50)
@given(lengths_of_jets)
def test_padding_to_a_fixed_length_makes_one_group(lengths):
    layout = arrange(starts_of(lengths), lengths, pad_to=128)
    assert [group.length for group in layout.groups] == [128]
    assert len(layout.index) == 128 * len(lengths)


@settings(deadline=None, max_examples=50)
@given(lengths_of_jets)
def test_chosen_groups_never_cost_more_than_one(lengths):
    starts = starts_of(lengths)
    one, chosen = arrange(starts, lengths, groups=1), arrange(starts, lengths)
    assert 1 <= len(chosen.groups) <= MAX_GROUPS
    saved = len(one.index) - len(chosen.index)
    assert saved >= (len(chosen.groups) - 1) * TOKENS_PER_GROUP


def test_equal_jets_stay_together_and_need_no_mask():
    lengths = np.full(64, 32)
    layout = arrange(starts_of(lengths), lengths)
    assert [group.is_full for group in layout.groups] == [True]


@pytest.mark.parametrize(("n", "groups"), [(16, 1), (128, 8)])
def test_groups_for_realistic_lengths(n, groups):
    random = np.random.default_rng(1)
    lengths = np.sort(np.exp(random.normal(np.log(42), 0.38, n)).astype(int).clip(5, 128))
    assert choose_groups(lengths) == groups
