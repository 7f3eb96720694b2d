from contextlib import nullcontext

import numpy as np
import pyarrow as pa
import pytest

from jetscale.errors import DataError
from jetscale.jets.example import Feature, make_schema
from jetscale.jets.schema import JETCLASS, PART_COLUMNS
from jetscale.jets.shards.columns import arrow_type, conform, count_labels, lengths_of


def replaced(table, name, column):
    return table.set_column(table.column_names.index(name), name, column)


def test_types_of_every_kind_of_column():
    assert arrow_type("part_px").value_type == pa.float32()
    assert arrow_type("part_charge").value_type == pa.int32()
    assert arrow_type("part_isMuon").value_type == pa.bool_()
    assert arrow_type("jet_tau4") == pa.float32()
    assert arrow_type("jet_nparticles") == pa.int32()
    assert arrow_type("event_id") == pa.int64()


def test_conform_orders_columns_and_keeps_values(make_jets):
    table = make_jets(50)
    shuffled = table.select(sorted(table.column_names, reverse=True))
    result = conform(shuffled)
    assert result.column_names == [*PART_COLUMNS, *table.column_names[len(PART_COLUMNS) :]]
    assert not any(field.nullable for field in result.schema)
    assert all(result[name].to_pylist() == table[name].to_pylist() for name in table.column_names)


def test_conform_takes_other_widths_and_slices(make_jets):
    table = make_jets(50)
    wide = replaced(table, "jet_label", table["jet_label"].cast(pa.int64()))
    wide = replaced(wide, "part_px", wide["part_px"].cast(pa.large_list(pa.float64())))
    assert conform(wide).equals(conform(table))
    assert conform(wide.slice(7, 20)).to_pylist() == conform(table).slice(7, 20).to_pylist()


def test_lengths_of_a_slice(make_jets):
    table = make_jets(30)
    expected = table["jet_nparticles"].to_numpy()
    assert np.array_equal(lengths_of(table["part_px"].slice(11)), expected[11:])


@pytest.mark.parametrize(
    ("name", "column", "message"),
    [
        ("jet_pt", pa.array(["a", "b"]), "column 'jet_pt' is string, needs float"),
        ("jet_label", pa.array([1.0, 2.0]), "column 'jet_label' is double, needs int32"),
        ("part_charge", pa.array([[1.0], [2.0]]), "column 'part_charge' is list"),
        ("jet_label", pa.array([2**40, 1]), "'jet_label' does not fit int32"),
        ("jet_pt", pa.array([None, 1.0]), "'jet_pt' holds nulls"),
        ("part_px", pa.array([[None], [1.0]]), "'part_px' holds nulls"),
    ],
)
def test_columns_that_are_not_what_they_should_be(make_jets, name, column, message):
    with pytest.raises(DataError, match=message):
        conform(replaced(make_jets(2), name, column))


def test_lists_of_unequal_length_name_the_row(make_jets):
    table = make_jets(3)
    lists = table["part_dphi"].to_pylist()
    lists[1].append(0.0)
    n = table["jet_nparticles"][1].as_py()
    broken = replaced(table, "part_dphi", pa.array(lists, pa.list_(pa.float32())))
    message = f"row 1: part_dphi has {n + 1} entries, jet_nparticles is {n}"
    with pytest.raises(DataError, match=message):
        conform(broken)


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("part_energy", [[3.0], [3.0, np.nan]], "row 1: part_energy holds nan, needs a finite"),
        ("part_energy", [[np.inf], [3.0, 1.0]], "row 0: part_energy holds inf, .* leave that jet"),
        ("part_energy", [[3.0], [-1.0, 2.0]], "row 1: part_energy holds -1, needs zero or more"),
        ("jet_energy", [2.0, 0.0], "row 1: jet_energy holds 0, needs a number above zero; correct"),
        ("jet_tau2", [1e300, 0.0], "row 0: jet_tau2 holds inf"),
        ("part_energy", [[3.0], [1.0, 0.0]], None),  # a constituent that only pads
    ],
)
def test_jets_that_no_model_can_take(name, values, message):
    table = {"part_px": [[1.0], [2.0, -1.0]], "jet_nparticles": [1, 2], "jet_label": [0, 1]}
    with pytest.raises(DataError, match=message) if message else nullcontext():
        assert conform(pa.table(table | {name: values}))[name].to_pylist() == values


def test_unknown_and_missing_columns(make_jets):
    table = make_jets(2)
    with pytest.raises(DataError, match="did you mean 'part_px'"):
        conform(table.append_column("part_pxx", table["part_px"]))
    with pytest.raises(DataError, match=r"\['jet_label'\] are missing"):
        conform(table.drop_columns(["jet_label"]))
    with pytest.raises(DataError, match="part_"):
        conform(table.select(["jet_label", "jet_nparticles"]))


@pytest.mark.parametrize("label", [-1, 10])
def test_labels_outside_the_corpus_name_the_row(make_jets, label):
    table = replaced(make_jets(3), "jet_label", pa.array([0, 9, label], pa.int32()))
    with pytest.raises(DataError, match=rf"row 2: label {label} is not in 0\.\.9 of jetclass"):
        count_labels(table, JETCLASS, "jetclass")


STARS = make_schema(noun="star", features=(Feature(name="time"), Feature(name="flux")))


def stars(time, flux, label=None):
    return pa.table({"time": time, "flux": flux, "label": label or [0] * len(time)})


@pytest.mark.parametrize(
    ("time", "flux", "expected"),
    [
        ([[1.0, 2.0], [3.0]], [[4, 5], [6]], [[4.0, 5.0], [6.0]]),
        ([1.0, 2.0], [3, 4], [[3.0], [4.0]]),
        ([[True, False]], pa.array([[1.5, 2.5]], pa.list_(pa.float64(), 2)), [[1.5, 2.5]]),
        ([[1.0]], pa.array([[2]], pa.large_list(pa.int8())), [[2.0]]),
    ],
)
def test_another_field_may_hold_lists_or_numbers_of_any_kind(time, flux, expected):
    result = conform(stars(time, flux), STARS)
    assert result.schema.field("flux").type == arrow_type("flux", STARS)
    assert result["flux"].to_pylist() == expected
    assert result.column_names == ["time", "flux", "label"]


def test_a_slice_of_fixed_size_lists_keeps_its_rows():
    values = pa.array(np.arange(12.0).reshape(6, 2).tolist(), pa.list_(pa.float32(), 2))
    part = stars(values, values, [0] * 6).slice(2, 3)
    assert conform(part, STARS)["time"].to_pylist() == [[4, 5], [6, 7], [8, 9]]


@pytest.mark.parametrize(
    ("time", "flux", "message"),
    [
        ([[1.0, 2.0]], [[1.0]], "row 0: flux has 1 entries, time has 2"),
        ([[1.0], []], [[1.0], []], "row 1: a star without constituents"),
        ([[1.0], [2.0, 3.0]], [[1.0], [2.0, np.nan]], "row 1: flux holds nan, needs .*star out"),
        ([[1.0]], [["x"]], "column 'flux' is list.*, needs numbers or lists"),
        ([[1.0]], pa.array([[None]], pa.list_(pa.int8())), "'flux' holds nulls"),
    ],
)
def test_examples_that_no_model_can_take(time, flux, message):
    with pytest.raises(DataError, match=message):
        conform(stars(time, flux), STARS)


def test_columns_of_another_field():
    with pytest.raises(DataError, match="unknown column 'fluxx'; did you mean 'flux'"):
        conform(pa.table({"time": [[1.0]], "fluxx": [[1.0]], "label": [0]}), STARS)
    with pytest.raises(DataError, match=r"columns \['label'\] are missing"):
        conform(pa.table({"time": [[1.0]]}), STARS)
    with pytest.raises(DataError, match="columns time, flux are missing"):
        conform(pa.table({"label": [0]}), STARS)
