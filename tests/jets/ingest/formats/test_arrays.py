import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from jetscale.jets.ingest.formats.arrays import FAULT, Slots, list_column, mask_faults, to_table
from jetscale.jets.ingest.formats.base import Ragged

SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=8)


@pytest.mark.slow
@given(
    pt=hnp.arrays(float, SHAPES, elements=st.floats(0, 100)),
    data=st.data(),
)
def test_slots_against_a_loop(pt, data):
    filled = data.draw(hnp.arrays(bool, pt.shape))
    slots = Slots.of(filled, pt)
    expected = [
        (jet, slot)
        for jet in range(len(pt))
        for slot in sorted(np.flatnonzero(filled[jet]), key=lambda s, j=jet: -pt[j, s])
    ]
    assert list(zip(*(place.tolist() for place in slots.place), strict=True)) == expected
    assert slots.counts.tolist() == [int(row.sum()) for row in filled]
    values = slots.pick(pt)
    totals = [sum(pt[jet, filled[jet]]) for jet in range(len(pt))]
    np.testing.assert_allclose(slots.total(values), totals, atol=1e-9)
    assert np.array_equal(slots.spread(np.arange(len(pt))), slots.jet)


def test_features_of_a_slot_stay_together():
    padded = np.arange(24).reshape(2, 3, 4)
    slots = Slots.of(np.ones((2, 3), bool), np.array([[1, 3, 2], [9, 8, 7]]))
    assert slots.pick(padded)[:, 0].tolist() == [4, 8, 0, 12, 16, 20]


def test_lists_take_big_endian_values():
    values = np.array([1.5, 2.5, -1.0], ">f4")
    column = list_column(Ragged(counts=np.array([2, 0, 1]), values=values))
    assert column.to_pylist() == [[1.5, 2.5], [], [-1.0]]


def test_a_table_counts_its_constituents():
    slots = Slots.of(np.array([[True, True], [False, False]]), np.zeros((2, 2)))
    table = to_table(slots, {"part_px": np.array([1.0, 2.0])}, {"jet_label": np.array([0, 1])})
    assert table.to_pylist() == [
        {"part_px": [1.0, 2.0], "jet_label": 0, "jet_nparticles": 2},
        {"part_px": [], "jet_label": 1, "jet_nparticles": 0},
    ]


def test_constituents_of_lists_are_those_of_padded_arrays():
    pt = np.array([[1.0, 3.0, 0.0], [0.0, 0.0, 0.0], [2.0, 5.0, 4.0]])
    filled = pt != 0
    padded, lists = Slots.of(filled, pt), Slots.of_lists(filled.sum(axis=1), pt[filled])
    assert lists.counts.tolist() == padded.counts.tolist() == [2, 0, 3]
    assert lists.pick(pt[filled]).tolist() == padded.pick(pt).tolist() == [3, 1, 5, 4, 2]
    assert lists.jet.tolist() == padded.jet.tolist()


def test_faults_travel_as_columns():
    slots = Slots.of_lists(np.array([2, 1, 1]), np.ones(4))
    flags = mask_faults(slots, np.array([1, np.nan, 1, 0.5]))
    table = to_table(slots, {"part_px": np.ones(4)}, {}, flags)
    assert table[FAULT + "non-finite value"].to_pylist() == [True, False, False]
    assert table[FAULT + "mask that is neither 0 nor 1"].to_pylist() == [False, False, True]
