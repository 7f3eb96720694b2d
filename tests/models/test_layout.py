import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jetscale.models.layout import TOKENS_PER_GROUP, arrange, choose_groups, group_cost

lengths_of_jets = st.lists(st.integers(1, 128), min_size=1, max_size=150).map(np.array)


def starts_of(lengths):
    return np.cumsum(lengths) - lengths


@settings(max_examples=50)
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


@settings(max_examples=50)
@given(lengths_of_jets)
def test_padding_to_a_fixed_length_makes_one_group(lengths):
    layout = arrange(starts_of(lengths), lengths, pad_to=128)
    assert [group.length for group in layout.groups] == [128]
    assert len(layout.index) == 128 * len(lengths)


@settings(max_examples=50)
@given(lengths_of_jets)
def test_chosen_groups_never_cost_more_than_one(lengths):
    starts = starts_of(lengths)
    one, chosen = arrange(starts, lengths, groups=1), arrange(starts, lengths)
    saved = len(one.index) - len(chosen.index)
    assert saved >= (len(chosen.groups) - 1) * TOKENS_PER_GROUP


def test_equal_jets_stay_together_and_need_no_mask():
    lengths = np.full(64, 32)
    layout = arrange(starts_of(lengths), lengths)
    assert [group.is_full for group in layout.groups] == [True]


def cheapest(ordered, cost):
    """Tokens and groups of the best cut, by trying every place of the last one."""
    best = [0]
    for end in range(1, len(ordered) + 1):
        last = int(ordered[end - 1])
        best.append(min(best[k] + (end - k) * last for k in range(end)) + cost)
    return best[-1]


@pytest.mark.slow
@settings(max_examples=200)
@given(lengths_of_jets, st.integers(1, 400))
def test_groups_cost_what_the_best_of_all_cuts_costs(lengths, cost):
    ordered = np.sort(lengths)
    ends = choose_groups(ordered, cost)
    assert ends == sorted(set(ends))
    assert ends[-1] == len(ordered)
    sizes = np.diff([0, *ends])
    tokens = int(sizes @ ordered[np.array(ends) - 1]) + cost * len(ends)
    assert tokens == cheapest(ordered, cost)


@pytest.mark.parametrize(
    ("n", "width", "groups", "padded"), [(16, 8, 1, 1.4), (128, 128, 19, 1.05)]
)
def test_groups_for_realistic_lengths(n, width, groups, padded):
    random = np.random.default_rng(1)
    lengths = np.exp(random.normal(np.log(42), 0.38, n)).astype(int).clip(5, 128)
    layout = arrange(starts_of(lengths), lengths, cost=group_cost(width))
    assert len(layout.groups) == pytest.approx(groups, abs=2)
    assert len(layout.index) < padded * lengths.sum()


def test_a_group_costs_fewer_tokens_of_a_wide_model():
    assert group_cost(8) > group_cost(64) > group_cost(10_000) == 1
