import pytest

from jetscale.errors import DataError, MissingExtra
from jetscale.jets.ingest.formats import base


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


def test_a_bad_file_is_a_data_error_of_one_line(tmp_path):
    error = base.unreadable(tmp_path / "a.h5", "HDF5", OSError("no signature\nin block 0"))
    assert isinstance(error, DataError)
    assert str(error).endswith("a.h5: not a readable HDF5 file (no signature); download it again")
    assert base.first_line(KeyError()) == "KeyError"
