import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jetscale.jets.ingest.formats import jetclass
from jetscale.jets.ingest.formats.base import BadFile
from jetscale.jets.schema import JET_COLUMNS, PART_COLUMNS
from jetscale.jets.shards.columns import conform


@pytest.fixture
def example(real_data):
    return real_data / "JetClassII_example.parquet"


def test_root_and_parquet_hold_the_same_jets(example, read):
    pytest.importorskip("uproot")
    parquet = conform(read(jetclass.SECOND, example))
    root = conform(read(jetclass.SECOND, example.with_suffix(".root")))
    assert parquet.num_rows == 100
    assert root.equals(parquet)


@pytest.mark.parametrize("suffix", [".parquet", ".root"])
def test_all_feature_sets_are_there(example, feature_sets, suffix):
    if suffix == ".root":
        pytest.importorskip("uproot")
    path = example.with_suffix(suffix)
    assert feature_sets(jetclass.SECOND, path) == ["kin", "kinpid", "full"]


def generator_bytes(path):
    """Where the generator columns lie in a file."""
    group = pq.ParquetFile(path).metadata.row_group(0)
    spans = []
    for i in range(group.num_columns):
        column = group.column(i)
        if column.path_in_schema.split(".")[0] not in (*PART_COLUMNS, *JET_COLUMNS):
            spans.append((column.data_page_offset, column.total_compressed_size))
    return spans


def test_generator_columns_are_never_decoded(example, read, tmp_path):
    """Their bytes may be anything: a copy in which they are zeros gives the same jets."""
    content, spans = bytearray(example.read_bytes()), generator_bytes(example)
    assert len(spans) == 54 - len((*PART_COLUMNS, *JET_COLUMNS))
    assert sum(size for _, size in spans) > 0.5 * len(content)
    for start, size in spans:
        content[start : start + size] = bytes(size)
    damaged = tmp_path / "damaged.parquet"
    damaged.write_bytes(content)
    with pytest.raises(OSError, match=r".+"):
        pq.read_table(damaged, columns=["genpart_px"])
    found = read(jetclass.SECOND, damaged)
    assert found.equals(read(jetclass.SECOND, example))
    assert set(found.column_names) == {*PART_COLUMNS, *JET_COLUMNS}


@pytest.mark.usefixtures("small_batches")
def test_batches_are_small_whatever_the_row_group(example):
    assert pq.ParquetFile(example).num_row_groups == 1
    assert [t.num_rows for t in jetclass.SECOND.read(example)] == [7] * 14 + [2]


def test_wrong_layouts_are_refused(make_jets, tmp_path, write_root):
    table = make_jets(5, range(188))
    lean = tmp_path / "lean.parquet"
    pq.write_table(table.drop_columns(["part_d0err", "jet_tau4"]), lean)
    with pytest.raises(BadFile, match=r"lean\.parquet: 2 columns missing \(part_d0err, jet_tau4\)"):
        jetclass.SECOND.count(lean)
    text = tmp_path / "text.parquet"
    index = table.column_names.index("jet_label")
    pq.write_table(table.set_column(index, "jet_label", pa.array(["QCD"] * 5)), text)
    with pytest.raises(BadFile, match=r"text\.parquet: column 'jet_label' is string"):
        jetclass.SECOND.count(text)
    pytest.importorskip("uproot")
    floats = write_root(tmp_path / "a.root", table)
    with pytest.raises(BadFile, match=r"column 'part_charge' is .*; not a file of JetClass-II"):
        jetclass.SECOND.count(floats)


def test_a_file_that_may_not_be_read(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(tmp_path), "open", refuse)
    with pytest.raises(BadFile, match=r"a\.parquet: cannot be read: Permission denied"):
        jetclass.SECOND.count(tmp_path / "a.parquet")
    with pytest.raises(BadFile, match=r"a\.parquet: cannot be read: Permission denied"):
        list(jetclass.SECOND.read(tmp_path / "a.parquet"))


@pytest.mark.parametrize("content", [b"PAR1", b"PAR1" + bytes(99)])
def test_a_file_that_is_neither(tmp_path, content):
    (tmp_path / "a.parquet").write_bytes(content)
    with pytest.raises(BadFile, match=r"a\.parquet: not a readable Parquet file"):
        jetclass.SECOND.count(tmp_path / "a.parquet")
