import numpy as np
import pyarrow as pa
import pytest

from jetscale.jets.ingest.formats import base
from jetscale.jets.ingest.formats.base import LIST, BadFile, Ragged
from jetscale.jets.ingest.formats.files import opened

uproot = pytest.importorskip("uproot")
ak = pytest.importorskip("awkward")


@pytest.fixture
def lists():
    return pa.table(
        {
            "part_px": [[1.0, 2.0], [3.0], [], [4.0, 5.0, 6.0]],
            "jet_pt": [1.0, 2.0, 3.0, 4.0],
        }
    )


def write_ntuple(path, **columns):
    with uproot.recreate(path) as file:
        file.mkrntuple("tree", columns)
    return path


def test_counted_arrays_come_in_batches(tmp_path, write_root, lists, columns, monkeypatch):
    monkeypatch.setattr(base, "ROWS_PER_BATCH", 3)
    path = write_root(tmp_path / "a.root", lists)
    first, second = columns(path, "part_px", "jet_pt")
    assert first["part_px"].counts.tolist() == [2, 1, 0]
    assert first["part_px"].values.tolist() == [1, 2, 3]
    assert second["jet_pt"].tolist() == [4.0]


def test_true_vector_branches(real_data, columns):
    names = ["part_px", "part_isMuon", "jet_nparticles"]
    (batch,) = columns(real_data / "JetClassII_example.root", *names)
    assert batch["part_px"].counts.tolist() == batch["jet_nparticles"].tolist()
    assert batch["part_px"].values.dtype == np.float32
    assert batch["part_isMuon"].values.dtype == bool


@pytest.mark.parametrize("kind", ["tree", "ntuple"])
def test_layouts(tmp_path, write_root, kind):
    """Of a TTree and of an RNTuple, which uproot 5.7 writes when it is given a dictionary."""
    path, pt = tmp_path / "a.root", np.ones(2, np.float32)
    nested = ak.Array([[[1.0], []], [[2.0]]])
    if kind == "ntuple":
        names = ak.Array(["a", "b"])
        write_ntuple(path, px=ak.Array([[1, 2], [3]]), pt=pt, deep=nested, name=names)
    else:
        write_root(path, pa.table({"px": [[1, 2], [3]], "pt": pt}), px=np.int64)
    with opened(path, ("ROOT",), "test") as file:
        found = {name: file.layout(name) for name in file.names if name != "npx"}
    assert (found["px"].kind, found["px"].shape, found["px"].rows) == ("i", (LIST,), 2)
    assert (found["pt"].kind, found["pt"].shape) == ("f", ())
    if kind == "ntuple":
        assert (found["deep"].kind, found["name"].kind) == ("", "S")


def test_ntuples_are_read_in_batches(tmp_path, columns, monkeypatch):
    monkeypatch.setattr(base, "ROWS_PER_BATCH", 2)
    px = ak.Array([[1.0, 2.0], [], [3.0], [4.0, 5.0], [6.0]])
    path = write_ntuple(tmp_path / "a.root", px=px, pt=np.arange(5.0))
    batches = columns(path, "px", "pt")
    assert [batch["px"].counts.tolist() for batch in batches] == [[2, 0], [1, 2], [1]]
    assert np.concatenate([batch["px"].values for batch in batches]).tolist() == [1, 2, 3, 4, 5, 6]
    assert batches[1]["pt"].tolist() == [2, 3]


def test_what_is_no_tree_is_named(tmp_path, columns):
    with uproot.recreate(tmp_path / "a.root") as file:
        file["tree"] = np.histogram([1.0, 2.0])
    with pytest.raises(
        BadFile, match=r"a\.root: holds tree \(TH1D\); needs a TTree or RNT"
    ) as stop:
        columns(tmp_path / "a.root", "px")
    assert "download" not in str(stop.value)


def test_of_two_trees_one_must_have_the_published_name(tmp_path, columns):
    with uproot.recreate(tmp_path / "a.root") as file:
        file.mktree("one", {"x": float}).extend({"x": np.ones(2)})
        file.mktree("two", {"x": float}).extend({"x": np.zeros(2)})
    with pytest.raises(BadFile, match=r"holds one \(TTree\), two \(TTree\); needs a TTree or RNT"):
        columns(tmp_path / "a.root", "x")
    with uproot.update(tmp_path / "a.root") as file:
        file.mktree("tree", {"x": float}).extend({"x": np.full(2, 7.0)})
    assert columns(tmp_path / "a.root", "x")[0]["x"].tolist() == [7, 7]


def test_a_tree_of_any_name_is_taken_where_there_is_one(tmp_path, write_root, lists, columns):
    path = write_root(tmp_path / "a.root", lists, tree="Events")
    assert columns(path, "jet_pt")[0]["jet_pt"].tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize("keep", [4, 50, 300, 0.5, 0.9])
def test_a_truncated_file_is_one_line(tmp_path, real_data, columns, keep):
    content = (real_data / "JetClassII_example.root").read_bytes()
    length = keep if isinstance(keep, int) else int(keep * len(content))
    path = tmp_path / "cut.root"
    path.write_bytes(content[:length])
    with pytest.raises(BadFile, match=r"cut\.root: not a readable ROOT file") as stop:
        columns(path, "part_px")
    assert "\n" not in str(stop.value)
    assert "download it again" in str(stop.value)


def test_a_file_damaged_inside_is_noticed_when_read(tmp_path, real_data, columns):
    content = bytearray((real_data / "JetClassII_example.root").read_bytes())
    content[20_000:60_000] = bytes(40_000)
    path = tmp_path / "bad.root"
    path.write_bytes(content)
    with pytest.raises(BadFile, match="not a readable ROOT file"):
        columns(path, "part_px", "part_py", "part_pz", "part_energy")


@pytest.mark.slow
def test_every_offset_of_a_file_is_checked_before_it_is_used(tmp_path, columns):
    """A count below zero made Arrow read before its memory: the process died.

    uproot writes the end of each list as a big-endian number of bytes; all of them in turn become
    another number here. The reader either finds the damage or gives lists that fit their values.
    """
    path, counts = tmp_path / "a.root", np.array([3, 1, 4, 2])
    values = ak.unflatten(np.arange(10, dtype=np.float32), counts)
    with uproot.recreate(path, compression=None) as file:
        file.mktree("tree", {"px": values.type.content}).extend({"px": values})
    content = path.read_bytes()
    with uproot.open(path) as file:
        offsets = file["tree"]["px"].basket(0).byte_offsets[1:-1]
    stored = ((offsets + key).astype(">i4").tobytes() for key in range(200))  # after a key
    start = next(content.index(bytes_) for bytes_ in stored if bytes_ in content)
    outcomes = []
    for place in range(start - 4, start + 12):
        for byte in (0x00, 0x7F, 0x80, 0xFF):
            changed = bytearray(content)
            changed[place] = byte
            path.write_bytes(changed)
            try:
                (batch,) = columns(path, "px")
            except BadFile as error:
                outcomes.append("list offsets run backwards" in str(error))
            else:
                column = batch["px"]
                assert column.counts.min() >= 0
                assert column.counts.sum() == len(column.values)
    assert any(outcomes)


@pytest.mark.parametrize("counts", [[2, -1, 2], [1, 1], [4]])
def test_lists_must_share_out_their_values(counts):
    with pytest.raises(ValueError, match=r"lists of \d entries in all, 3 are"):
        Ragged(counts=np.array(counts), values=np.arange(3.0))
