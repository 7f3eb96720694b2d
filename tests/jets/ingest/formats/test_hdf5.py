import subprocess
import sys

import numpy as np
import pytest

from jetscale.errors import MissingExtra
from jetscale.jets.ingest.formats.base import LIST, BadFile
from jetscale.jets.ingest.formats.files import opened

h5py = pytest.importorskip("h5py")


@pytest.fixture
def path(tmp_path, write_hdf5):
    data = np.arange(60, dtype=">f4").reshape(5, 3, 4)
    return write_hdf5(tmp_path / "a.h5", data=data, **{"in/text": np.array([b"x"] * 5)})


def test_data_sets_by_path_in_this_machines_byte_order(path, columns):
    (found,) = columns(path, "data", "in/text")
    assert found["data"].dtype == np.dtype("f4")
    assert found["data"].dtype.isnative
    assert found["data"][4, 2, 3] == 59
    assert found["in/text"].tolist() == [b"x"] * 5


def test_layouts(tmp_path, path):
    with h5py.File(path, "a") as file:
        file["names"] = ["a", "b"]
        lists = file.create_dataset("lists", 2, dtype=h5py.vlen_dtype(np.float32))
        lists[0], lists[1] = [1, 2], [3]
        file["flag"] = np.array([True, False])
        file["scalar"] = 3.0
        file["jets"] = np.zeros((2, 7), [("pt", "f8"), ("id", "i4")])
    with opened(path, ("HDF5",), "test") as file:
        found = {n: (file.layout(n).kind, file.layout(n).shape) for n in file.names}
        rows = file.layout("data").rows
    assert rows == 5
    assert found == {
        "data": ("f", (3, 4)),
        "in/text": ("S", ()),
        "names": ("S", ()),
        "lists": ("f", (LIST,)),
        "flag": ("b", ()),
        "jets/pt": ("f", (7,)),
        "jets/id": ("i", (7,)),
    }


def test_lists_and_fields(tmp_path, columns):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        lists = file.create_dataset("lists", 3, dtype=h5py.vlen_dtype(np.float32))
        lists[0], lists[2] = [1, 2], [3]
        fields = np.zeros((3, 2), [("pt", ">f8"), ("id", "i4")])
        fields["pt"] = [[1, 2], [3, 4], [5, 6]]
        file["jets"] = fields
    (found,) = columns(tmp_path / "a.h5", "lists", "jets/pt")
    assert found["lists"].counts.tolist() == [2, 0, 1]
    assert found["lists"].values.tolist() == [1, 2, 3]
    assert found["jets/pt"].tolist() == [[1, 2], [3, 4], [5, 6]]


def test_links_out_of_the_file_are_not_followed(tmp_path, path):
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["far"] = h5py.ExternalLink(str(path), "data")
    with opened(tmp_path / "b.h5", ("HDF5",), "test") as file:
        assert list(file.names) == []


def test_a_compression_that_is_not_there_says_what_to_install(tmp_path, columns, monkeypatch):
    with h5py.File(tmp_path / "z.h5", "w") as file:
        file.create_dataset("data", data=np.zeros(3), compression="gzip")
    monkeypatch.setattr(h5py.h5z, "filter_avail", lambda code: code != h5py.h5z.FILTER_DEFLATE)
    with pytest.raises(BadFile, match=r"/data is compressed with HDF5 filter 1; run `pip install "):
        columns(tmp_path / "z.h5", "data")


def test_without_h5py_the_extra_is_named(path, columns, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingExtra, match=r"jetscale\[formats\]"):
        columns(path, "data")


@pytest.mark.parametrize("keep", [8, 600, 2000])
def test_a_truncated_file_is_one_line(path, columns, keep):
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(BadFile, match=r"a\.h5: not a readable HDF5 file.*download it again"):
        columns(path, "data")


@pytest.mark.slow
def test_a_file_that_another_program_writes_is_locked_not_damaged(path, columns):
    hold = "import h5py, sys; f = h5py.File(sys.argv[1], 'a'); print(flush=True); input()"
    writer = subprocess.Popen(
        [sys.executable, "-c", hold, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert writer.stdout is not None
    writer.stdout.readline()
    with pytest.raises(BadFile, match=r"is locked by .* HDF5_USE_FILE_LOCKING=FALSE") as stop:
        columns(path, "data")
    writer.communicate(b"\n")
    assert "download" not in str(stop.value)
    assert columns(path, "data")[0]["data"].shape == (5, 3, 4)


def test_a_file_with_a_block_of_its_user_in_front_is_read(tmp_path, columns):
    with h5py.File(tmp_path / "a.h5", "w", userblock_size=512) as file:
        file["data"] = np.ones(2)
    assert columns(tmp_path / "a.h5", "data")[0]["data"].tolist() == [1, 1]
