import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetscale.mixtures.ragged import Ragged


def ragged(lengths: list[int]) -> Ragged:
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    values = np.arange(offsets[-1] * 3, dtype=np.float32).reshape(-1, 3)
    return Ragged(values=values, offsets=offsets, labels=np.arange(len(lengths)))


def as_lists(jets: Ragged) -> list[tuple[int, list[list[float]]]]:
    spans = zip(jets.offsets, jets.offsets[1:], jets.labels, strict=False)
    return [(int(label), jets.values[a:b].tolist()) for a, b, label in spans]


LENGTHS = st.lists(st.integers(0, 9), min_size=1, max_size=20)


@given(LENGTHS, st.data())
def test_head_is_the_leading_jets(lengths, data):
    jets = ragged(lengths)
    n = data.draw(st.integers(0, len(lengths)))
    head = jets.head(n)
    assert as_lists(head) == as_lists(jets)[:n]
    assert len(head.values) == sum(lengths[:n])


@pytest.mark.slow
@given(LENGTHS, st.data())
def test_take_is_indexing_jet_by_jet(lengths, data):
    jets = ragged(lengths)
    rows = data.draw(st.lists(st.integers(0, len(lengths) - 1), max_size=30))
    taken = jets.take(np.array(rows, np.int64))
    expected = as_lists(jets)
    assert as_lists(taken) == [expected[row] for row in rows]
    assert taken.offsets[0] == 0


def test_head_does_not_copy():
    jets = ragged([3, 4, 5])
    assert np.shares_memory(jets.head(2).values, jets.values)


def test_lengths_and_len():
    jets = ragged([3, 0, 5])
    assert len(jets) == 3
    assert jets.lengths.tolist() == [3, 0, 5]
    with pytest.raises(AttributeError):
        jets.labels = jets.labels  # frozen
