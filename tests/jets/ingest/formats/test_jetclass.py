import numpy as np
import pyarrow as pa
import pytest

from jetscale.jets.ingest.clean import clean
from jetscale.jets.ingest.formats import jetclass
from jetscale.jets.ingest.formats.arrays import list_column
from jetscale.jets.ingest.formats.base import BadFile, Ragged
from jetscale.jets.schema import JET_FLOATS, JETCLASS, PART_COLUMNS

pytest.importorskip("uproot")


@pytest.mark.slow
@pytest.mark.usefixtures("small_batches")
def test_published_types_become_those_of_the_schema(tmp_path, make_jets, write_jetclass, read):
    table = make_jets(30, range(10))
    path = write_jetclass(tmp_path / "HToBB_000.root", table)
    cleaned = clean(read(jetclass.FORMAT, path), 10)
    assert not cleaned.faults
    expected = clean(table, 10).table
    assert cleaned.table.equals(expected)
    assert {*PART_COLUMNS, "jet_label"} < {*cleaned.table.column_names}


def test_label_branches_have_three_types(tmp_path, make_jets, write_jetclass, read):
    uproot = pytest.importorskip("uproot")
    path = write_jetclass(tmp_path / "a.root", make_jets(20, range(10)))
    with uproot.open(path) as file:
        types = {file["tree"][f"label_{name}"].typename for name in JETCLASS}
    assert types == {"float", "bool", "int32_t"}
    labels = read(jetclass.FORMAT, path)["jet_label"].to_pylist()
    assert labels == make_jets(20, range(10))["jet_label"].to_pylist()


def test_labels_that_do_not_sum_to_one():
    hot = np.eye(10)[[0, 9, 4, 4, 4, 4]]
    hot[2, 5] = 1
    hot[3] = 0
    hot[4, 4] = 0.5
    hot[5, 4] = np.nan
    assert jetclass.label_of(hot).tolist() == [0, 9, -1, -1, -1, -1]


def test_a_jet_of_two_classes_is_outside_the_table(tmp_path, make_jets, write_jetclass, read):
    table = make_jets(10, [1])
    two = pa.array([int(i == 6) for i in range(10)])
    path = write_jetclass(tmp_path / "a.root", table, label_Tbl=two)
    cleaned = clean(read(jetclass.FORMAT, path), 10)
    assert {k: v.tolist() for k, v in cleaned.faults.items()} == {"label -1 is not in 0..9": [6]}


def test_lists_of_unequal_length_and_missing_numbers_are_found(
    tmp_path, make_jets, write_jetclass, read
):
    table = make_jets(10, range(10))
    lists, charge = table["part_dzerr"].to_pylist(), table["part_charge"].to_pylist()
    lists[3].append(1.0)
    charge[5][0] = float("nan")
    n = table["jet_nparticles"].to_pylist()
    n[7] = float("nan")
    path = write_jetclass(
        tmp_path / "a.root",
        table,
        part_dzerr=pa.array(lists),
        part_charge=pa.array(charge, pa.list_(pa.float64())),
        jet_nparticles=pa.array(n, pa.float64()),
    )
    cleaned = clean(read(jetclass.FORMAT, path), 10)
    assert {k: v.tolist() for k, v in cleaned.faults.items()} == {
        "non-finite value": [5, 7],
        "constituent lists of unequal length": [3],
    }
    assert cleaned.table.num_rows == 7


def test_jetclass2_is_not_jetclass(real_data):
    with pytest.raises(
        BadFile, match=r"10 columns missing \(label_QCD, .*; not a file of JetClass$"
    ):
        jetclass.FORMAT.count(real_data / "JetClassII_example.root")


@pytest.mark.slow
def test_real_jets_of_all_ten_classes(real_data, tmp_path, write_jetclass, read):
    """500 published jets, written in the published layout with zeros for what was not kept."""
    folder = real_data / "jetclass_500"
    labels, vectors, points, mask = (
        np.load(folder / f"{name}.npy") for name in ("labels", "pfVectors", "pfPoints", "pfMask")
    )
    filled = mask[:, 0] > 0
    counts = filled.sum(axis=1)
    known = {f"part_{axis}": vectors[:, i] for i, axis in enumerate(("px", "py", "pz", "energy"))}
    known |= {"part_deta": points[:, 0], "part_dphi": points[:, 1]}
    zeros = np.zeros_like(filled, np.float32)
    columns = {
        n: list_column(Ragged(counts=counts, values=known.get(n, zeros)[filled]))
        for n in PART_COLUMNS
    }
    columns |= {name: pa.array(np.ones(500, np.float32)) for name in JET_FLOATS}
    columns |= {"jet_nparticles": pa.array(counts), "jet_label": pa.array(labels.argmax(axis=1))}
    path = write_jetclass(tmp_path / "mixed.root", pa.table(columns))
    cleaned = clean(read(jetclass.FORMAT, path), 10)
    assert not cleaned.faults
    found = np.bincount(cleaned.table["jet_label"].to_numpy(), minlength=10)
    assert found.tolist() == [48, 48, 55, 50, 33, 52, 54, 49, 65, 46]
    for name, values in known.items():
        stored = cleaned.table[name].combine_chunks().flatten().to_numpy()
        assert np.array_equal(stored, values[filled])
