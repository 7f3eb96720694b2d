import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jetscale.errors import DataError, StorageError
from jetscale.jets import ingest as module
from jetscale.jets.columns import conform
from jetscale.jets.ingest import ingest
from jetscale.jets.manifest import sha256_of
from jetscale.jets.schema import JET_COLUMNS, PART_COLUMNS
from jetscale.jets.shards import verify

EXAMPLE_SHA256 = "0a442e0393ef36458304810e850657270eed43e67b564c33223b38e9a48ea395"


def published(table, path):
    """Write jets as the published files are: one row group, generator columns, other order."""
    names = sorted(table.column_names, reverse=True)
    table = table.select(names).append_column("genjet_pt", table["jet_pt"])
    pq.write_table(table, path, compression="zstd", use_dictionary=False)
    return path


def replaced(table, name, values):
    index = table.column_names.index(name)
    return table.set_column(index, name, pa.array(values, table[name].type))


@pytest.fixture
def files(tmp_path, make_jets):
    return [
        published(make_jets(40, range(188), seed), tmp_path / f"QCD_{seed}.parquet")
        for seed in (1, 2)
    ]


def test_real_jets_come_through_unchanged(real_data, tmp_path):
    path = real_data / "JetClassII_example.parquet"
    manifest = ingest("jetclass2", "pretrain", [path], tmp_path / "s")
    assert manifest.provenance["files"] == [
        {"name": path.name, "sha256": EXAMPLE_SHA256, "rows": 100, "dropped": {}}
    ]
    counts = {"res2p": 0, "res34p": 0, "qcd": 0}
    for label, n in manifest.label_counts.items():
        qcd, two = label.startswith("QCD"), "YY" not in label
        counts["qcd" if qcd else "res2p" if two else "res34p"] += n
    assert counts == {"res2p": 15, "res34p": 64, "qcd": 21}
    assert len(manifest.label_counts) == 60
    read = pq.read_table(manifest.path(manifest.shards[0]))
    raw = pq.read_table(path)
    assert set(read.column_names) == {*PART_COLUMNS, *JET_COLUMNS}
    assert all(read[name].to_pylist() == raw[name].to_pylist() for name in read.column_names)
    assert verify(tmp_path / "s").ranges["jet_nparticles"]["max"] == 82


def test_files_are_joined_in_order_in_batches(files, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "ROWS_PER_BATCH", 7)
    progress = []
    manifest = ingest("jetclass2", "pretrain", files, tmp_path / "s", lambda *x: progress.append(x))
    tables = [pq.read_table(path).drop_columns(["genjet_pt"]) for path in files]
    read = pq.read_table(manifest.path(manifest.shards[0]))
    assert read.to_pylist() == conform(pa.concat_tables(tables)).to_pylist()
    assert progress[0] == (7, 80)
    assert progress[-1] == (80, 80)
    assert [file["sha256"] for file in manifest.provenance["files"]] == [
        sha256_of(f) for f in files
    ]


def test_unusable_jets_are_left_out_and_counted(make_jets, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "ROWS_PER_BATCH", 8)  # so that rows are sliced
    table = make_jets(30, range(188))
    pt, d0 = table["jet_pt"].to_pylist(), table["part_d0val"].to_pylist()
    pt[3], d0[17][-1], d0[18][0] = np.nan, np.inf, np.nan
    table = replaced(replaced(table, "jet_pt", pt), "part_d0val", d0)
    for name in PART_COLUMNS:
        lists = table[name].to_pylist()
        table = replaced(table, name, [[] if i == 25 else x for i, x in enumerate(lists)])
    n = [0 if i == 25 else n for i, n in enumerate(table["jet_nparticles"].to_pylist())]
    path = published(replaced(table, "jet_nparticles", n), tmp_path / "a.parquet")
    manifest = ingest("jetclass2", "pretrain", [path], tmp_path / "s")
    assert manifest.rows == 26
    assert manifest.provenance["files"][0]["rows"] == 30
    assert manifest.provenance["files"][0]["dropped"] == {"non-finite": 3, "no constituents": 1}
    kept = pq.read_table(manifest.path(manifest.shards[0]))["jet_eta"].to_pylist()
    eta = table["jet_eta"].to_pylist()
    assert kept == [eta[i] for i in range(30) if i not in (3, 17, 18, 25)]


@pytest.mark.parametrize("label", [-1, 188])
def test_a_label_outside_the_list_names_file_and_row(make_jets, tmp_path, monkeypatch, label):
    monkeypatch.setattr(module, "ROWS_PER_BATCH", 8)
    table = make_jets(20, range(188))
    labels = table["jet_label"].to_pylist()
    labels[13] = label
    path = published(replaced(table, "jet_label", labels), tmp_path / "Res2P_0.parquet")
    with pytest.raises(DataError, match=rf"Res2P_0\.parquet: row 13: label {label} "):
        ingest("jetclass2", "pretrain", [path], tmp_path / "s")
    assert not (tmp_path / "s").exists()


def test_lists_that_disagree_name_file_and_row(make_jets, tmp_path):
    table = make_jets(20, range(188))
    n = table["jet_nparticles"].to_pylist()
    n[9] += 1
    path = published(replaced(table, "jet_nparticles", n), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"a\.parquet: row 9: part_px has"):
        ingest("jetclass2", "pretrain", [path], tmp_path / "s")


def test_a_truncated_file_is_refused_before_anything_is_read(files, tmp_path):
    files[1].write_bytes(files[1].read_bytes()[:-100])
    progress = []
    with pytest.raises(DataError, match=r"QCD_2\.parquet: not a readable Parquet file"):
        ingest("jetclass2", "pretrain", files, tmp_path / "s", lambda *x: progress.append(x))
    assert progress == []


def test_damage_inside_a_file_is_a_data_error(files, tmp_path):
    content = bytearray(files[0].read_bytes())
    content[50:2000] = bytes(1950)
    files[0].write_bytes(content)
    with pytest.raises(DataError, match=r"QCD_1\.parquet: not a readable Parquet file"):
        ingest("jetclass2", "pretrain", files, tmp_path / "s")
    assert not (tmp_path / "s").exists()


def test_missing_columns_and_wrong_types_name_the_file(make_jets, tmp_path):
    table = make_jets(5, range(188))
    lean = published(table.drop_columns(["part_d0err", "jet_tau4"]), tmp_path / "lean.parquet")
    with pytest.raises(DataError, match=r"lean\.parquet: columns \['part_d0err', 'jet_tau4'\]"):
        ingest("jetclass2", "pretrain", [lean], tmp_path / "s")
    index = table.column_names.index("jet_label")
    text = table.set_column(index, "jet_label", pa.array(["QCD"] * 5))
    path = published(text, tmp_path / "text.parquet")
    with pytest.raises(DataError, match=r"text\.parquet: column 'jet_label' is string"):
        ingest("jetclass2", "pretrain", [path], tmp_path / "s")


def test_wrong_calls(files, tmp_path):
    with pytest.raises(DataError, match="unknown format 'jetclas2'; did you mean 'jetclass2'"):
        ingest("jetclas2", "pretrain", files, tmp_path / "s")
    with pytest.raises(DataError, match="no files given"):
        ingest("jetclass2", "pretrain", [], tmp_path / "s")
    with pytest.raises(DataError, match="unknown role"):
        ingest("jetclass2", "pretraining", files, tmp_path / "s")
    with pytest.raises(DataError, match="hold the same jets"):
        ingest("jetclass2", "pretrain", [files[0], files[0]], tmp_path / "s")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    with pytest.raises(StorageError, match="is not empty"):
        ingest("jetclass2", "pretrain", files, tmp_path / "full")


def test_a_missing_file_is_missing_not_damaged(tmp_path):
    with pytest.raises(DataError, match=r"file .*nofile.parquet does not exist; check the path"):
        ingest("jetclass2", "pretrain", [tmp_path / "nofile.parquet"], tmp_path / "out")
    assert not (tmp_path / "out").exists()
