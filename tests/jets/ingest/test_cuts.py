import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetscale.errors import DataError
from jetscale.jets.ingest.clean import cut_from

KNOWN = ("jet_pt", "jet_sdmass", "jet_label")
BOUNDS = st.floats(-1e6, 1e6).map(lambda x: round(x, 3))


@pytest.mark.long
@given(
    a=BOUNDS,
    b=BOUNDS,
    signs=st.tuples(st.sampled_from(["<", "<="]), st.sampled_from(["<", "<="])),
    values=st.lists(st.floats(-2e6, 2e6), min_size=1, max_size=20),
)
def test_an_interval_against_python(a, b, signs, values):
    low, high = sorted((a, b))
    if low == high:
        return
    cut = cut_from(f"{low} {signs[0]} jet_pt{signs[1]}{high}", KNOWN)
    values = [*values, low, high]
    expected = [
        (low < v or (signs[0] == "<=" and low == v))
        and (v < high or (signs[1] == "<=" and v == high))
        for v in values
    ]
    assert cut.passes(pa.table({"jet_pt": values})).tolist() == expected


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("jet_pt < 3", [1, 2]),
        ("jet_pt <= 3", [1, 2, 3]),
        ("jet_pt>3", [4]),
        ("jet_pt >= 3e0", [3, 4]),
        ("2 < jet_pt", [3, 4]),
        ("  2<=jet_pt<+4.0 ", [2, 3]),
        (".5 < jet_pt < 1.5", [1]),
    ],
)
def test_every_form(text, kept):
    values = np.array([1, 2, 3, 4])
    assert values[cut_from(text, KNOWN).passes(pa.table({"jet_pt": values}))].tolist() == kept


def test_the_text_is_kept_with_single_spaces():
    assert cut_from("200<jet_pt  <2500", KNOWN).text == "200 < jet_pt < 2500"
    assert cut_from("jet_sdmass>20", KNOWN).text == "jet_sdmass > 20"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "write LOW < COLUMN < HIGH"),
        ("jet_pt", "write LOW < COLUMN < HIGH"),
        ("200 > jet_pt", "write LOW < COLUMN < HIGH"),
        ("jet_pt == 3", "write LOW < COLUMN < HIGH"),
        ("jet_pt < 3 and 1", "write LOW < COLUMN < HIGH"),
        ("__import__('os') < 3", "write LOW < COLUMN < HIGH"),
        ("jet_pp < 3", r"unknown jet column 'jet_pp'; did you mean 'jet_pt'"),
        ("part_px < 3", "unknown jet column 'part_px'"),
        ("3 < jet_pt < 2", "no value lies between 3 and 2"),
        ("3 < jet_pt < 3", "no value lies between 3 and 3"),
        ("3 < jet_pt > 2", "write the lower bound first"),
        ("jet_pt < 1e999", "a bound is not finite"),
    ],
)
def test_what_is_no_cut(text, message):
    with pytest.raises(DataError, match=message):
        cut_from(text, KNOWN)


def test_sophons_selection_on_real_jets(real_data):
    import pyarrow.parquet as pq

    table = pq.read_table(real_data / "JetClassII_example.parquet")
    keep = np.ones(100, bool)
    for text in ("200 < jet_pt < 2500", "20 < jet_sdmass < 500"):
        keep &= cut_from(text, table.column_names).passes(table)
    assert keep.sum() == 85
