import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jetscale.errors import DataError, StorageError
from jetscale.jets import ingest as module
from jetscale.jets.columns import conform
from jetscale.jets.formats import base
from jetscale.jets.ingest import ingest, summary_of
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


def read(manifest):
    return pa.concat_tables(pq.read_table(manifest.path(shard)) for shard in manifest.shards)


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
    table, raw = read(manifest), pq.read_table(path)
    assert set(table.column_names) == {*PART_COLUMNS, *JET_COLUMNS} == {*manifest.columns}
    assert all(table[name].to_pylist() == raw[name].to_pylist() for name in table.column_names)
    assert verify(tmp_path / "s").ranges["jet_nparticles"]["max"] == 82


def test_sophons_selection_of_real_jets(real_data, tmp_path):
    manifest = ingest(
        "jetclass2",
        "pretrain",
        [real_data / "JetClassII_example.parquet"],
        tmp_path / "s",
        select=["200 < jet_pt < 2500", "20 < jet_sdmass < 500"],
    )
    summary = summary_of(manifest)
    assert (summary["jets_read"], summary["jets_kept"]) == (100, 85)
    assert sum(summary["dropped"].values()) == 15
    assert set(summary["dropped"]) == {"200 < jet_pt < 2500", "20 < jet_sdmass < 500"}


def test_files_are_joined_in_order_in_batches(files, tmp_path, monkeypatch):
    monkeypatch.setattr(base, "ROWS_PER_BATCH", 7)
    progress = []
    manifest = ingest("jetclass2", "pretrain", files, tmp_path / "s", lambda *x: progress.append(x))
    tables = [pq.read_table(path).drop_columns(["genjet_pt"]) for path in files]
    assert read(manifest).to_pylist() == conform(pa.concat_tables(tables)).to_pylist()
    assert progress[0] == (7, 80)
    assert progress[-1] == (80, 80)
    assert [file["sha256"] for file in manifest.provenance["files"]] == [
        sha256_of(f) for f in files
    ]
    assert verify(tmp_path / "s").manifest == manifest
    assert {p.name for p in tmp_path.iterdir()} == {"s", *(f.name for f in files)}


def test_unusable_jets_are_left_out_and_counted(make_jets, tmp_path, monkeypatch):
    monkeypatch.setattr(base, "ROWS_PER_BATCH", 8)  # so that rows are sliced
    table = make_jets(30, range(188))
    pt, d0 = table["jet_pt"].to_pylist(), table["part_d0val"].to_pylist()
    label, n = table["jet_label"].to_pylist(), table["jet_nparticles"].to_pylist()
    pt[3], d0[17][-1], d0[18][0], label[20], label[21], n[9] = np.nan, np.inf, np.nan, 188, -1, 99
    for name, values in (("jet_pt", pt), ("part_d0val", d0), ("jet_label", label)):
        table = replaced(table, name, values)
    for name in PART_COLUMNS:
        lists = table[name].to_pylist()
        table = replaced(table, name, [[] if i == 25 else x for i, x in enumerate(lists)])
    n[25] = 0
    path = published(replaced(table, "jet_nparticles", n), tmp_path / "a.parquet")
    manifest = ingest("jetclass2", "pretrain", [path], tmp_path / "s")
    assert summary_of(manifest) == {
        "files": 1,
        "jets_read": 30,
        "jets_kept": 23,
        "dropped": {
            "non-finite value": 3,
            "constituent lists of unequal length": 1,
            "label 188 is not in 0..187": 1,
            "label -1 is not in 0..187": 1,
            "no constituents": 1,
        },
        "skipped": [],
    }
    eta = table["jet_eta"].to_pylist()
    kept = [eta[i] for i in range(30) if i not in (3, 9, 17, 18, 20, 21, 25)]
    assert read(manifest)["jet_eta"].to_pylist() == kept


def test_a_truncated_file_is_refused_before_anything_is_read(files, tmp_path):
    files[1].write_bytes(files[1].read_bytes()[:-100])
    progress = []
    with pytest.raises(DataError, match=r"QCD_2\.parquet: not a readable Parquet file"):
        ingest("jetclass2", "pretrain", files, tmp_path / "s", lambda *x: progress.append(x))
    assert progress == []
    assert {p.name for p in tmp_path.iterdir()} == {"QCD_1.parquet", "QCD_2.parquet"}


def damage(path):
    content = bytearray(path.read_bytes())
    content[50:2000] = bytes(1950)
    path.write_bytes(content)


def test_damage_inside_a_file_is_a_data_error(files, tmp_path):
    damage(files[0])
    with pytest.raises(DataError, match=r"QCD_1\.parquet: not a readable Parquet file"):
        ingest("jetclass2", "pretrain", files, tmp_path / "s")
    assert not (tmp_path / "s").exists()


def test_bad_files_may_be_skipped_and_are_named(files, tmp_path, make_jets):
    damage(files[0])
    other = tmp_path / "notes.txt"
    other.write_text("hello")
    manifest = ingest("jetclass2", "pretrain", [other, *files], tmp_path / "s", on_bad_file="skip")
    assert manifest.rows == 40
    skipped = summary_of(manifest)["skipped"]
    assert [file["name"] for file in skipped] == ["notes.txt", "QCD_1.parquet"]
    assert all("not a readable Parquet file" in file["reason"] for file in skipped)
    with pytest.raises(DataError, match="no jets are left of 1 files: 1 skipped"):
        ingest("jetclass2", "pretrain", [other], tmp_path / "t", on_bad_file="skip")


def test_an_interrupted_ingest_goes_on(files, tmp_path, monkeypatch):
    made = []

    def watched(job, report, convert=module.convert):
        made.append(job.path.name)
        if len(made) == 2:
            raise KeyboardInterrupt
        return convert(job, report)

    monkeypatch.setattr(module, "convert", watched)
    with pytest.raises(KeyboardInterrupt):
        ingest("jetclass2", "pretrain", files, tmp_path / "s")
    (part,) = (tmp_path / ".s.parts").iterdir()
    written = part.stat().st_mtime_ns
    manifest = ingest("jetclass2", "pretrain", files, tmp_path / "s")
    assert (tmp_path / "s" / part.name).stat().st_mtime_ns == written
    monkeypatch.undo()
    straight = ingest("jetclass2", "pretrain", files, tmp_path / "t")
    assert straight.digest == manifest.digest


def test_parts_of_another_call_do_not_stay(files, tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "_join", stop)
        with pytest.raises(KeyboardInterrupt):
            ingest("jetclass2", "pretrain", files, tmp_path / "s")
    assert len(list((tmp_path / ".s.parts").iterdir())) == 2
    ingest("jetclass2", "pretrain", files[:1], tmp_path / "s")
    assert len(list((tmp_path / "s").iterdir())) == 2  # a part and the manifest


def test_files_that_give_other_columns_do_not_mix(tmp_path):
    h5py = pytest.importorskip("h5py")
    for width in (4, 5):
        with h5py.File(tmp_path / f"{width}.h5", "w") as file:
            file["data"], file["pid"] = np.full((3, 2, width), 0.5), np.zeros(3, int)
            file["data"][:, :, 4:] = 8
    paths = [tmp_path / "4.h5", tmp_path / "5.h5"]
    with pytest.raises(DataError, match=r"4\.h5 and .*5\.h5: columns \['part_charge', .* one only"):
        ingest("omnilearned", "train", paths, tmp_path / "s", of="top")
    assert (
        "part_charge" in ingest("omnilearned", "train", paths[1:], tmp_path / "s", of="top").columns
    )


def test_a_file_of_which_nothing_is_left_stays_in_the_books(files, tmp_path, make_jets):
    table = make_jets(5, range(188), seed=3)
    low = published(replaced(table, "jet_pt", [0.1] * 5), tmp_path / "low.parquet")
    manifest = ingest("jetclass2", "pretrain", [low, *files], tmp_path / "s", select=["jet_pt>.2"])
    assert manifest.rows == 80
    assert manifest.provenance["files"][0]["dropped"] == {"jet_pt > .2": 5}
    with pytest.raises(DataError, match=r"no jets are left of 1 files: 0 skipped, .*'jet_pt > .2'"):
        ingest("jetclass2", "pretrain", [low], tmp_path / "t", select=["jet_pt > .2"])


def test_wrong_calls(files, tmp_path):
    def refused(error, message, **changes):
        arguments = {
            "format": "jetclass2",
            "role": "pretrain",
            "files": files,
            "out": tmp_path / "s",
        }
        with pytest.raises(error, match=message):
            ingest(**arguments | changes)
        assert not (tmp_path / "s").exists()

    refused(DataError, "unknown format 'jetclas2'; did you mean 'jetclass2'", format="jetclas2")
    refused(DataError, "no files given", files=[])
    refused(DataError, "unknown role", role="pretraining")
    refused(DataError, "hold the same jets", files=[files[0], files[0]])
    refused(DataError, "unknown policy for bad files 'stop'", on_bad_file="stop")
    refused(DataError, "unknown policy for bad jets 'keep'", on_bad_jet="keep")
    refused(DataError, "unknown jet column 'jet_mass'", select=["jet_mass > 3"])
    refused(DataError, "knows its corpus", of="top")
    missing = [tmp_path / "nofile.parquet"]
    refused(DataError, r"nofile.parquet does not exist; check the path", files=missing)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    refused(StorageError, "is not empty", out=tmp_path / "full")
