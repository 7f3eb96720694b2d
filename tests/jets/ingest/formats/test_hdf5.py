import sys

import numpy as np
import pytest

from jetscale.errors import MissingExtra
from jetscale.jets.ingest.formats import hdf5
from jetscale.jets.ingest.formats.base import BadFile

h5py = pytest.importorskip("h5py")


@pytest.fixture
def path(tmp_path, write_hdf5):
    return write_hdf5(
        tmp_path / "a.h5", data=np.zeros((5, 3, 4), np.float32), text=np.array(["x"], "S1")
    )


def test_a_data_set_of_the_right_shape(path):
    with hdf5.opened(path) as file:
        assert hdf5.dataset(file, "data", (None, None, 4), "a test").shape == (5, 3, 4)


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("jets", (None,), r"no data set 'jets', found \['data', 'text'\]; not a test file"),
        ("data", (None, 4), r"'data' is float32 \(5, 3, 4\), needs numbers \(any, 4\)"),
        ("data", (None, 3, 5), r"needs numbers \(any, 3, 5\); not a test file"),
        ("text", (None,), r"'text' is \|S1 \(1,\), needs numbers \(any,\)"),
    ],
)
def test_another_layout_is_named(path, name, shape, message):
    with hdf5.opened(path) as file, pytest.raises(BadFile, match=message):
        hdf5.dataset(file, name, shape, "a test")


def test_a_group_is_no_data_set(tmp_path, write_hdf5):
    path = write_hdf5(tmp_path / "a.h5", **{"data/inner": np.zeros(3)})
    with hdf5.opened(path) as file, pytest.raises(BadFile, match="no data set 'data'"):
        hdf5.dataset(file, "data", (None,), "a test")


def test_rows_must_agree(tmp_path, write_hdf5):
    path = write_hdf5(tmp_path / "a.h5", a=np.zeros(3), b=np.zeros(4))
    with hdf5.opened(path) as file:
        assert hdf5.same_rows("a test", file["a"], file["a"]) == 3
        with pytest.raises(BadFile, match=r"a\.h5: rows differ: .*'/a': 3, '/b': 4"):
            hdf5.same_rows("a test", file["a"], file["b"])


def test_a_compression_that_is_not_there_says_what_to_install(tmp_path, monkeypatch):
    with h5py.File(tmp_path / "z.h5", "w") as file:
        file.create_dataset("data", data=np.zeros(3), compression="gzip")
    monkeypatch.setattr(h5py.h5z, "filter_avail", lambda code: code != h5py.h5z.FILTER_DEFLATE)
    with (
        hdf5.opened(tmp_path / "z.h5") as file,
        pytest.raises(BadFile, match=r"/data is compressed with HDF5 filter 1; run `pip install "),
    ):
        hdf5.dataset(file, "data", (None,), "a test")


def test_without_h5py_the_extra_is_named(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingExtra, match=r"jetscale\[formats\]"), hdf5.opened(path):
        pass


@pytest.mark.parametrize("error", [AttributeError("no dtype"), ValueError("x"), TypeError("y")])
def test_whatever_an_odd_file_makes_of_its_reader_is_one_line(path, error):
    with (
        pytest.raises(BadFile, match=rf"a\.h5: not a readable HDF5 file \({error}\)"),
        hdf5.opened(path),
    ):
        raise error


def test_too_little_memory_is_no_fault_of_the_file(path):
    with pytest.raises(MemoryError), hdf5.opened(path):
        raise MemoryError


@pytest.mark.parametrize("keep", [0, 8, 600])
def test_a_truncated_file_is_one_line(path, keep):
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(BadFile, match=r"a\.h5: not a readable HDF5 file"), hdf5.opened(path):
        pass
