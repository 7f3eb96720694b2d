import os
import pickle

import numpy as np
import pandas as pd
import pytest

from jetscale.errors import DataError
from jetscale.jets.ingest.formats.files import opened
from jetscale.jets.ingest.formats.hdf5 import names_in

pytest.importorskip("h5py")
BLOCKS = [
    (["E", "PX"], np.arange(12, dtype=np.float32).reshape(6, 2)),
    (["label"], np.arange(6).reshape(6, 1)),
]


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("layout", ["table", "fixed"])
def test_columns_by_name_and_rows(tmp_path, write_frame, columns, layout):
    values = np.arange(20, dtype=np.float32).reshape(10, 2)
    blocks = [(["E", "PX"], values), (["label"], np.arange(10).reshape(10, 1))]
    path = write_frame(tmp_path / "a.h5", blocks, layout)
    first, second = columns(path, "table/label", "table/E", "table/PX")
    assert first["table/label"].tolist() == list(range(7))
    assert second["table/E"].tolist() == [14, 16, 18]
    assert second["table/PX"].tolist() == [15, 17, 19]


def test_a_block_is_read_once_for_all_its_columns(tmp_path, write_frame, monkeypatch):
    """The reference set has 801 columns in two blocks: reading one per column took minutes."""
    h5py = pytest.importorskip("h5py")
    names = [f"c{i}" for i in range(50)]
    path = write_frame(tmp_path / "a.h5", [(names, np.zeros((6, 50)))], "fixed")
    reads, read = [], h5py.Dataset.__getitem__
    with opened(path, ("HDF5",), "test") as file:
        found = file.batches([f"table/{name}" for name in names])
        monkeypatch.setattr(h5py.Dataset, "__getitem__", lambda *a: reads.append(a) or read(*a))
        assert len(next(found)) == 50
    assert len(reads) == 1


@pytest.mark.parametrize("layout", ["table", "fixed"])
def test_what_pandas_itself_writes(tmp_path, columns, layout):
    pytest.importorskip("tables", reason="PyTables, with which pandas writes HDF5")
    frame = pd.DataFrame({"E": np.arange(4.0), "n": np.arange(4), "s": np.arange(4) % 2})
    options = {"data_columns": ["s"]} if layout == "table" else {}
    frame.to_hdf(tmp_path / "a.h5", key="table", format=layout, **options)
    (found,) = columns(tmp_path / "a.h5", "table/s", "table/n", "table/E")
    for name in frame:
        assert np.array_equal(found[f"table/{name}"], frame[name])


def test_searchable_columns_are_fields_of_their_own(tmp_path, columns):
    h5py = pytest.importorskip("h5py")
    rows = np.zeros(3, [("index", "<i8"), ("ttv", "<f4")])
    rows["ttv"] = [5, 6, 7]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["table/table"] = rows
    assert columns(tmp_path / "a.h5", "table/ttv")[0]["table/ttv"].tolist() == [5, 6, 7]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_names_of_every_pickle_protocol(protocol):
    names = ["E_0", "PX_0", "é", "E_0"]
    assert names_in(pickle.dumps(names[:3], protocol)) == tuple(names[:3])


def test_names_written_by_python_2():
    assert names_in(b"(lp1\nS'E_0'\np2\naS'PX_0'\np3\na.") == ("E_0", "PX_0")


class Harmful:
    def __reduce__(self):
        return os.mkdir, ("harm",)


def test_nothing_is_unpickled(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"column names are no list of strings \(GLOBAL\); refused"):
        names_in(pickle.dumps([Harmful()], protocol=0))
    assert not (tmp_path / "harm").exists()
    with pytest.raises(DataError, match="column names cannot be read"):
        names_in(b"(lp0\nVE_0")


def test_names_must_be_as_many_as_columns(tmp_path, write_frame, columns):
    h5py = pytest.importorskip("h5py")
    path = write_frame(tmp_path / "a.h5", BLOCKS)
    with h5py.File(path, "a") as file:
        file["table/table"].attrs["values_block_0_kind"] = np.bytes_(pickle.dumps(["E"], 0))
    with pytest.raises(DataError, match=r"a\.h5: values_block_0 has shape .2,. and 1 names"):
        columns(path, "table/E")


def values_are_a_group(file):
    del file["table/block0_values"]
    file.create_group("table/block0_values")


def blocks_are_not_counted(file):
    file["table"].attrs["nblocks"] = "x"


def names_are_numbers(file):
    del file["table/block0_items"]
    file["table/block0_items"] = np.arange(2)


@pytest.mark.parametrize(
    ("layout", "spoil"),
    [
        ("fixed", values_are_a_group),
        ("fixed", blocks_are_not_counted),
        ("fixed", names_are_numbers),
    ],
)
def test_odd_files_are_bad_files(tmp_path, write_frame, columns, layout, spoil):
    h5py = pytest.importorskip("h5py")
    path = write_frame(tmp_path / "a.h5", BLOCKS, layout)
    with h5py.File(path, "a") as file:
        spoil(file)
    with pytest.raises(DataError, match=r"a\.h5: .*(not a readable HDF5|damaged)"):
        columns(path, "table/E", "table/PX", "table/label")
