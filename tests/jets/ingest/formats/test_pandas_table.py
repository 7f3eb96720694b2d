import os
import pickle

import numpy as np
import pandas as pd
import pytest

from jetscale.jets.ingest.formats import hdf5
from jetscale.jets.ingest.formats.base import BadFile
from jetscale.jets.ingest.formats.pandas_table import names_in, open_frame

pytest.importorskip("h5py")
BLOCKS = [
    (["E", "PX"], np.arange(12, dtype=np.float32).reshape(6, 2)),
    (["label"], np.arange(6).reshape(6, 1)),
]


@pytest.mark.parametrize("layout", ["table", "fixed"])
def test_columns_by_name_and_rows(tmp_path, write_frame, layout):
    path = write_frame(tmp_path / "a.h5", BLOCKS, layout)
    with hdf5.opened(path) as file:
        frame = open_frame(file, "table")
        assert frame.rows == 6
        assert {"E", "PX", "label"} <= frame.names
        found = frame.read(("label", "E"), slice(1, 4))
    assert found.tolist() == [[1, 2], [2, 4], [3, 6]]


@pytest.mark.parametrize("layout", ["table", "fixed"])
def test_what_pandas_itself_writes(tmp_path, layout):
    pytest.importorskip("tables", reason="PyTables, with which pandas writes HDF5")
    frame = pd.DataFrame({"E": np.arange(4.0), "n": np.arange(4), "s": np.arange(4) % 2})
    options = {"data_columns": ["s"]} if layout == "table" else {}
    frame.to_hdf(tmp_path / "a.h5", key="table", format=layout, **options)
    with hdf5.opened(tmp_path / "a.h5") as file:
        found = open_frame(file, "table").read(("s", "n", "E"), slice(0, 4))
    assert np.array_equal(found, frame[["s", "n", "E"]].to_numpy())


def test_searchable_columns_are_fields_of_their_own(tmp_path):
    h5py = pytest.importorskip("h5py")
    rows = np.zeros(3, [("index", "<i8"), ("ttv", "<f4")])
    rows["ttv"] = [5, 6, 7]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["table/table"] = rows
    with hdf5.opened(tmp_path / "a.h5") as file:
        assert open_frame(file, "table").read(("ttv",), slice(0, 3)).tolist() == [[5], [6], [7]]


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
    with pytest.raises(BadFile, match=r"column names are no list of strings \(GLOBAL\); refused"):
        names_in(pickle.dumps([Harmful()], protocol=0))
    assert not (tmp_path / "harm").exists()
    with pytest.raises(BadFile, match="column names cannot be read"):
        names_in(b"(lp0\nVE_0")


def test_other_things_below_the_key(tmp_path, write_hdf5, write_frame):
    plain = write_hdf5(tmp_path / "a.h5", **{"jets": np.zeros(3), "table/x": np.zeros(3)})
    with hdf5.opened(plain) as file:
        with pytest.raises(BadFile, match=r"no pandas frame 'jets', found \['jets', 'table'\]"):
            open_frame(file, "jets")
        with pytest.raises(BadFile, match=r"'table' holds \['x'\]; not a pandas frame"):
            open_frame(file, "table")
    bare = write_hdf5(tmp_path / "b.h5", **{"table/table": np.zeros(3)})
    with hdf5.opened(bare) as file, pytest.raises(BadFile, match="has no fields"):
        open_frame(file, "table")


def test_names_must_be_as_many_as_columns(tmp_path, write_frame):
    h5py = pytest.importorskip("h5py")
    path = write_frame(tmp_path / "a.h5", BLOCKS)
    with h5py.File(path, "a") as file:
        file["table/table"].attrs["values_block_0_kind"] = np.bytes_(pickle.dumps(["E"], 0))
    with hdf5.opened(path) as file, pytest.raises(BadFile, match="has 2 columns and 1 names"):
        open_frame(file, "table")


def table_is_a_group(file):
    del file["table/table"]
    file.create_group("table/table")


def values_are_a_group(file):
    del file["table/block0_values"]
    file.create_group("table/block0_values")


def blocks_are_not_counted(file):
    file["table"].attrs["nblocks"] = "x"


def names_are_numbers(file):
    del file["table/block0_items"]
    file["table/block0_items"] = np.arange(2)


def a_block_is_short(file):
    del file["table/block1_values"]
    file["table/block1_values"] = np.zeros((3, 1))


@pytest.mark.parametrize(
    ("layout", "spoil"),
    [
        ("table", table_is_a_group),
        ("fixed", values_are_a_group),
        ("fixed", blocks_are_not_counted),
        ("fixed", names_are_numbers),
        ("fixed", a_block_is_short),
    ],
)
def test_odd_files_are_bad_files(tmp_path, write_frame, layout, spoil):
    h5py = pytest.importorskip("h5py")
    path = write_frame(tmp_path / "a.h5", BLOCKS, layout)
    with h5py.File(path, "a") as file:
        spoil(file)
    with (
        pytest.raises(BadFile, match=r"a\.h5: not a readable HDF5 file"),
        hdf5.opened(path) as file,
    ):
        open_frame(file, "table").read(("E", "PX", "label"), slice(0, 6))
