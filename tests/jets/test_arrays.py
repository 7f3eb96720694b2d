from dataclasses import dataclass

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from jetscale.jets.arrays import Columns, Floats, Ints, edges_of, rows_of

stretches = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 9)), max_size=12)


@given(stretches)
def test_rows_are_those_of_each_stretch_one_after_another(pairs):
    first, counts = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    expected = [row for begin, count in pairs for row in range(begin, begin + count)]
    assert rows_of(first, counts).tolist() == expected
    edges = edges_of(counts)
    assert edges[0] == 0
    assert edges[-1] == len(expected)
    assert np.diff(edges).tolist() == counts.tolist()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair(Columns):
    number: Ints
    value: Floats


def test_columns_stay_together():
    table = Pair(number=np.arange(4), value=np.arange(4) / 2)
    chosen = table.take(np.array([3, 1]))
    assert (len(table), len(chosen)) == (4, 2)
    assert chosen.value.tolist() == [1.5, 0.5]
    assert table.take(table.number > 1).number.tolist() == [2, 3]
    both = Pair.concatenate(chosen, table)
    assert both.number.tolist() == [3, 1, 0, 1, 2, 3]
    assert type(both) is Pair
