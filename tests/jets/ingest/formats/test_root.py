import numpy as np
import pyarrow as pa
import pytest

from jetscale.jets.ingest.formats import base, root
from jetscale.jets.ingest.formats.base import BadFile

pytest.importorskip("uproot")


@pytest.fixture
def lists():
    return pa.table(
        {
            "part_px": [[1.0, 2.0], [3.0], [], [4.0, 5.0, 6.0]],
            "jet_pt": [1.0, 2.0, 3.0, 4.0],
        }
    )


def test_counted_arrays_come_in_batches(tmp_path, write_root, lists, monkeypatch):
    monkeypatch.setattr(base, "ROWS_PER_BATCH", 3)
    path = write_root(tmp_path / "a.root", lists)
    assert root.is_root(path)
    assert root.count(path, {"part_px": "F", "jet_pt": "f"}, "test") == 4
    first, second = root.batches(path, ["part_px", "jet_pt"])
    assert first["part_px"][0].tolist() == [2, 1, 0]
    assert first["part_px"][1].tolist() == [1, 2, 3]
    assert second["jet_pt"][0] is None
    assert second["jet_pt"][1].tolist() == [4.0]


def test_true_vector_branches(real_data):
    path = real_data / "JetClassII_example.root"
    (batch,) = root.batches(path, ["part_px", "part_isMuon", "jet_nparticles"])
    counts, values = batch["part_px"]
    assert counts.tolist() == batch["jet_nparticles"][1].tolist()
    assert values.dtype.kind == "f"
    assert batch["part_isMuon"][1].dtype == bool


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"part_px": "F", "part_py": "F"}, r"branches \['part_py'\] are missing; not a test file"),
        ({"part_px": "I"}, r"branch 'part_px' is .*float.*; not a test file"),
        ({"part_px": "f"}, "branch 'part_px'"),
        ({"jet_pt": "F"}, "branch 'jet_pt'"),
    ],
)
def test_branches_that_are_not_as_they_should_be(tmp_path, write_root, lists, wanted, message):
    path = write_root(tmp_path / "a.root", lists)
    with pytest.raises(BadFile, match=message):
        root.count(path, wanted, "test")


def test_another_tree_is_named(tmp_path, write_root, lists):
    path = write_root(tmp_path / "a.root", lists, tree="Events")
    with pytest.raises(BadFile, match=r"a\.root: holds \['Events'\], needs a TTree 'tree'"):
        root.count(path, {}, "test")


@pytest.mark.parametrize("keep", [0, 4, 50, 300, 0.5, 0.9])
def test_a_truncated_file_is_one_line(tmp_path, real_data, keep):
    content = (real_data / "JetClassII_example.root").read_bytes()
    length = keep if isinstance(keep, int) else int(keep * len(content))
    path = tmp_path / "cut.root"
    path.write_bytes(content[:length])
    with pytest.raises(BadFile, match=r"cut\.root: not a readable ROOT file") as stop:
        list(root.batches(path, ["part_px"]))
    assert "\n" not in str(stop.value)


def test_a_file_damaged_inside_is_noticed_when_read(tmp_path, real_data):
    content = bytearray((real_data / "JetClassII_example.root").read_bytes())
    content[20_000:60_000] = bytes(40_000)
    path = tmp_path / "bad.root"
    path.write_bytes(content)
    with pytest.raises(BadFile, match="not a readable ROOT file"):
        list(root.batches(path, ["part_px", "part_py", "part_pz", "part_energy"]))


def test_a_file_that_cannot_be_opened_is_a_bad_file(tmp_path):
    with pytest.raises(BadFile, match="cannot be read: Is a directory"):
        root.is_root(tmp_path)


def test_a_parquet_file_is_no_root_file(tmp_path):
    (tmp_path / "a").write_bytes(b"PAR1")
    assert not root.is_root(tmp_path / "a")
    np.testing.assert_equal(root.TREE, "tree")
