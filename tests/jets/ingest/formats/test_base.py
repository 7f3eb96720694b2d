import errno

import numpy as np
import pytest

from jetscale.errors import DataError, MissingExtra, StudyError
from jetscale.jets.ingest.formats import base
from jetscale.jets.ingest.formats.base import BadFile, guarded


@pytest.mark.parametrize("rows", [0, 1, 4_999, 5_000, 5_001, 12_345])
def test_ranges_cover_all_rows_in_batches(rows):
    ranges = list(base.row_ranges(rows))
    assert [i for r in ranges for i in (r.start, r.stop)] == sorted(
        i for r in ranges for i in (r.start, r.stop)
    )
    assert sum(r.stop - r.start for r in ranges) == rows
    assert all(0 < r.stop - r.start <= base.ROWS_PER_BATCH for r in ranges)


def test_a_package_that_is_not_there_names_the_extra():
    with pytest.raises(MissingExtra, match=r"'nosuch' is not installed.*jetscale\[formats\]"):
        base.load("nosuch.part")


@pytest.mark.parametrize("kind", ["<f4", ">f4", ">i8", "|b1"])
def test_arrays_in_this_machines_order(kind):
    values = np.array([0, 1, 2]).astype(kind)
    found = base.native(values[::-1])
    assert found.dtype.isnative
    assert found.flags.c_contiguous
    assert found.tolist() == values[::-1].tolist()


AGAIN = "not a readable HDF5 file (%s); download it again"


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError("no signature\nin block 0"), AGAIN % "no signature"),
        (KeyError(), AGAIN % "KeyError"),
        (UnicodeDecodeError("utf-8", b"\xc7", 0, 1, "bad"), AGAIN % "'utf-8' codec can't decode"),
        (ValueError("lists"), AGAIN % "lists"),
        (DataError("column 'x' holds nulls"), "column 'x' holds nulls"),
        (StudyError("odd"), "odd"),
        (BadFile("as it is"), "as it is"),
        (PermissionError(errno.EACCES, "no"), "cannot be read: Permission denied"),
        (IsADirectoryError(errno.EISDIR, "no"), "cannot be read: Is a directory"),
        (BlockingIOError(errno.EAGAIN, "no"), "is locked by a program that writes it; close that"),
        (ImportError("zstandard"), "this HDF5 file needs more than is installed: zstandard"),
        (NotImplementedError("LZ9"), "this HDF5 file needs more than is installed: LZ9"),
    ],
)
def test_whatever_a_library_raises_is_one_line_with_a_reason_that_fits(tmp_path, error, message):
    with pytest.raises(BadFile) as stop, guarded(tmp_path / "a.h5", "HDF5"):
        raise error
    own = isinstance(error, BadFile)
    assert message.split("%")[0][:40] in str(stop.value)
    assert str(stop.value).startswith(message if own else str(tmp_path / "a.h5: "))
    assert "\n" not in str(stop.value)
    assert ("download" in str(stop.value)) == message.startswith("not a readable")


@pytest.mark.parametrize("error", [MemoryError(), MissingExtra("h5py", "formats")])
def test_what_is_no_fault_of_the_file_is_passed_on(tmp_path, error):
    with pytest.raises(type(error)), guarded(tmp_path / "a.h5", "HDF5"):
        raise error
