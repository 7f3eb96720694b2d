import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jetscale.errors import DataError
from jetscale.jets.ingest.clean import clean
from jetscale.jets.schema import PART_COLUMNS
from jetscale.jets.shards.columns import conform


def replaced(table, name, values, type=None):
    index = table.column_names.index(name)
    return table.set_column(index, name, pa.array(values, type or table[name].type))


def faults_of(table, n_classes=10):
    return {reason: rows.tolist() for reason, rows in clean(table, n_classes).faults.items()}


def test_sound_jets_come_through(make_jets):
    table = make_jets(20)
    cleaned = clean(table, 10)
    assert cleaned.table.equals(conform(table))
    assert cleaned.faults == {}
    assert clean(table.slice(0, 0), 10).table.num_rows == 0


BREAKS = (
    *("fine", "nan", "inf", "overflow", "label", "empty", "uneven", "unknown", "half", "large"),
    *("negative", "still", "low", "cold"),
)


def broken(table, kinds):
    """Break jet i as kinds[i] says."""
    columns = {name: table[name].to_pylist() for name in table.column_names}
    for name in PART_COLUMNS:
        columns[name] = [list(values) for values in columns[name]]
    for i, kind in enumerate(kinds):
        if kind == "nan":
            columns["jet_tau3"][i] = float("nan")
        elif kind in ("inf", "overflow"):
            columns["part_d0val"][i][-1] = float("inf") if kind == "inf" else -1e300
        elif kind == "label":
            columns["jet_label"][i] = 10
        elif kind == "uneven":
            columns["part_d0val"][i].append(0.0)
        elif kind == "unknown":
            columns["jet_nparticles"][i] = float("nan")
        elif kind in ("half", "large"):
            columns["part_charge"][i][-1] = 0.5 if kind == "half" else 2.0**31
        elif kind == "negative":
            columns["part_energy"][i][-1] = -1.0
        elif kind == "still":
            columns["part_px"][i][-1] = columns["part_py"][i][-1] = 0.0
        elif kind in ("low", "cold"):
            columns["jet_pt" if kind == "low" else "jet_energy"][i] = 0.0
        elif kind == "empty":
            columns["jet_eta"][i] = float("nan")  # the direction of nothing
            columns["jet_nparticles"][i] = 0
            for name in PART_COLUMNS:
                columns[name][i] = []
    types = {name: table[name].type for name in columns}
    types |= {"part_d0val": pa.list_(pa.float64()), "part_charge": pa.list_(pa.float64())}
    types |= {"jet_nparticles": pa.float64()}
    return pa.table({name: pa.array(values, types[name]) for name, values in columns.items()})


REASON = {
    "nan": "non-finite value",
    "inf": "non-finite value",
    "overflow": "non-finite value",
    "unknown": "non-finite value",
    "half": "charge or count that is no integer",
    "large": "charge or count that is no integer",
    "negative": "unphysical momentum",
    "still": "unphysical momentum",
    "low": "unphysical momentum",
    "cold": "unphysical momentum",
    "label": "label 10 is not in 0..9",
    "empty": "no constituents",
    "uneven": "constituent lists of unequal length",
}


@pytest.mark.slow
@settings(max_examples=40)
@given(kinds=st.lists(st.sampled_from(BREAKS), min_size=12, max_size=12), start=st.integers(0, 11))
def test_every_broken_jet_is_counted_under_its_reason(make_jets, kinds, start):
    table = broken(make_jets(12), kinds).slice(start)  # slices keep absolute offsets
    cleaned = clean(table, 10)
    expected: dict[str, list[int]] = {}
    for i, kind in enumerate(kinds[start:]):
        if kind != "fine":
            expected.setdefault(REASON[kind], []).append(i)
    assert {reason: rows.tolist() for reason, rows in cleaned.faults.items()} == expected
    fine = np.array([i for i in range(start, 12) if kinds[i] == "fine"], int)
    assert cleaned.table.equals(conform(make_jets(12)).take(fine))


def test_a_jet_with_several_faults_is_counted_once(make_jets):
    table = replaced(make_jets(3), "jet_label", [0, -1, 1])
    table = replaced(table, "jet_pt", [1.0, float("nan"), 1.0])
    assert faults_of(table) == {"non-finite value": [1]}


def test_labels_outside_are_named_and_counted(make_jets):
    labels = [0, 10, -1, 10, 9, 7, *range(100, 120)]
    faults = faults_of(replaced(make_jets(26), "jet_label", labels))
    assert faults["label -1 is not in 0..9"] == [2]
    assert faults["label 10 is not in 0..9"] == [1, 3]
    assert len(faults["more labels outside the table"]) == 12
    assert sum(map(len, faults.values())) == 23


def test_integers_may_be_stored_as_floats(make_jets):
    table = make_jets(4)
    floats = replaced(table, "jet_label", table["jet_label"].cast(pa.float64()), pa.float64())
    charge = table["part_charge"].cast(pa.list_(pa.float32()))
    floats = replaced(floats, "part_charge", charge, charge.type)
    assert clean(floats, 10).table.equals(conform(table))


@pytest.mark.parametrize(
    ("name", "values", "type", "message"),
    [
        ("jet_pt", [None, 1.0], pa.float32(), "'jet_pt' holds nulls"),
        ("part_px", [[None], [1.0]], pa.list_(pa.float32()), "'part_px' holds nulls"),
        ("jet_pt", ["a", "b"], pa.string(), "column 'jet_pt' is string"),
    ],
)
def test_a_table_of_another_kind(make_jets, name, values, type, message):
    with pytest.raises(DataError, match=message):
        clean(replaced(make_jets(2), name, values, type), 10)


def test_counts_with_fractions_and_wide_integers(make_jets):
    table = make_jets(4)
    counts = table["jet_nparticles"].to_pylist()
    counts[2] += 0.5
    floats = replaced(table, "jet_nparticles", counts, pa.float32())
    assert faults_of(floats) == {"charge or count that is no integer": [2]}
    charges = table["part_charge"].to_pylist()
    charges[1][0] = 2**40
    wide = replaced(table, "part_charge", charges, pa.list_(pa.int64()))
    assert faults_of(wide) == {"charge or count that is no integer": [1]}
    assert faults_of(replaced(table, "jet_label", [0.0, 0.5, 1, 2], pa.float64())) == {
        "label 0.5 is not in 0..9": [1]
    }


def test_what_is_absent_is_not_unphysical(make_jets):
    names = ["part_energy", "jet_pt", "part_px"]
    assert faults_of(make_jets(4).drop_columns(names)) == {}


def test_energies_too_small_for_storage_are_zero(make_jets):
    table = make_jets(3)
    energies = table["part_energy"].to_pylist()
    energies[1][0] = 1e-60
    tiny = replaced(table, "part_energy", energies, pa.list_(pa.float64()))
    assert faults_of(tiny) == {"unphysical momentum": [1]}


def test_unknown_columns(make_jets):
    table = make_jets(2)
    with pytest.raises(DataError, match="unknown column 'part_pxx'"):
        clean(table.append_column("part_pxx", table["part_px"]), 10)
