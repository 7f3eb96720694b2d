from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jetscale.errors import DataError, StorageError
from jetscale.jets.ingest import ingest as module
from jetscale.jets.ingest.formats import base
from jetscale.jets.ingest.formats.files import Format
from jetscale.jets.ingest.ingest import ingest, summary_of
from jetscale.jets.schema import JET_COLUMNS, PART_COLUMNS
from jetscale.jets.shards import verify
from jetscale.jets.shards.columns import conform
from jetscale.jets.shards.manifest import check_roles, sha256_of

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
    manifest = ingest("jetclass2", "pretrain", [path], tmp_path / "s", max_bad=1)
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
        "unlabelled": False,
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
    assert "files of JetClass-II are Parquet or ROOT, this is a text file" in skipped[0]["reason"]
    assert "not a readable Parquet file" in skipped[1]["reason"]
    with pytest.raises(DataError, match=r"no jets are left of 1 file.s.: 1 skipped"):
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
    with pytest.raises(
        DataError, match=r"no jets are left of 1 file.s.: 0 skipped; .*'jet_pt > .2'"
    ):
        ingest("jetclass2", "pretrain", [low], tmp_path / "t", select=["jet_pt > .2"])


def folder(path):
    path.mkdir()
    return path


def test_a_file_given_twice_is_refused_before_anything_is_read(files, tmp_path, monkeypatch):
    link, roundabout = tmp_path / "link.parquet", folder(tmp_path / "x") / ".." / files[0].name
    link.symlink_to(files[0])
    monkeypatch.setattr(module, "convert", lambda *_: pytest.fail("read"))
    monkeypatch.setattr(Format, "count", lambda *_: pytest.fail("opened"))
    for again in (files[0], link, roundabout):
        with pytest.raises(DataError, match="are the same file; give each file once"):
            ingest("jetclass2", "pretrain", [*files, again], tmp_path / "s")


def test_a_copy_of_a_file_is_refused(files, tmp_path):
    copy = tmp_path / "copy.parquet"
    copy.write_bytes(files[0].read_bytes())
    with pytest.raises(DataError, match=r"copy\.parquet and .*QCD_1\.parquet hold the same jets"):
        ingest("jetclass2", "pretrain", [*files, copy], tmp_path / "s")


def test_a_place_that_cannot_be_looked_at_is_one_line(files, tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(tmp_path), "is_dir", refuse)
    with pytest.raises(DataError, match=r"QCD_1\.parquet: no permission to look there"):
        ingest("jetclass2", "pretrain", files, tmp_path / "s")


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("empty", "empty is the current folder; choose the name of a new folder"),
        (".", r"\. is the current folder"),
        ("../link", "link is a link; choose the name of a new folder"),
        ("../dangling", "dangling is a link"),
        ("../QCD_1.parquet", "is a file; choose the name of a new folder"),
        ("..", "is not empty"),
    ],
)
def test_places_for_no_folder_are_refused_first(files, tmp_path, monkeypatch, out, message):
    (tmp_path / "link").symlink_to(folder(tmp_path / "other"))
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    monkeypatch.chdir(folder(tmp_path / "empty"))
    monkeypatch.setattr(Format, "count", lambda *_: pytest.fail("opened"))
    before = sorted(tmp_path.iterdir())
    out = tmp_path / "empty" if out == "empty" else Path(out)
    with pytest.raises(StorageError, match=message):
        ingest("jetclass2", "pretrain", files, out)
    assert sorted(tmp_path.iterdir()) == before


def test_an_empty_folder_is_filled(files, tmp_path):
    assert ingest("jetclass2", "pretrain", files, folder(tmp_path / "s")).rows == 80


def test_stray_files_among_the_parts_go(files, tmp_path):
    parts = folder(tmp_path / ".s.parts")
    (parts / "notes.txt").write_text("hello")
    (parts / "link").symlink_to(files[0])
    (folder(parts / "part-old") / "shard").touch()
    ingest("jetclass2", "pretrain", files, tmp_path / "s")
    assert {p.name[:4] for p in (tmp_path / "s").iterdir()} == {"mani", "part"}
    assert len(list((tmp_path / "s").iterdir())) == 3
    assert files[0].exists()


def test_what_cannot_be_removed_is_one_line(files, tmp_path, monkeypatch):
    (folder(tmp_path / ".s.parts") / "notes.txt").write_text("hello")

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(tmp_path), "unlink", refuse)
    with pytest.raises(StorageError, match=r"cannot write .*\.s\.parts: no permission"):
        module._clear(tmp_path / ".s.parts", set())


def test_of_two_equal_calls_the_second_is_refused(files, tmp_path):
    refused = []

    def meanwhile(*_):
        if not refused:
            with pytest.raises(StorageError, match="s is being made by another `jetscale ingest`;"):
                ingest("jetclass2", "pretrain", files, tmp_path / "s")
            refused.append(True)

    manifest = ingest("jetclass2", "pretrain", files, tmp_path / "s", meanwhile)
    assert refused
    assert verify(tmp_path / "s").manifest == manifest
    assert {p.name for p in tmp_path.iterdir()} == {"s", *(f.name for f in files)}


def test_a_call_that_comes_when_another_has_just_ended_is_refused(files, tmp_path, monkeypatch):
    def late(format, path, count=Format.count):
        if not (tmp_path / "s").exists():
            monkeypatch.undo()
            ingest("jetclass2", "pretrain", files, tmp_path / "s")
        return count(format, path)

    monkeypatch.setattr(Format, "count", late)
    with pytest.raises(StorageError, match="s is not empty"):
        ingest("jetclass2", "pretrain", files, tmp_path / "s")
    assert {p.name for p in tmp_path.iterdir()} == {"s", *(f.name for f in files)}


def test_nothing_stays_of_a_call_that_made_no_part(files, tmp_path):
    damage(files[0])
    with pytest.raises(DataError, match="not a readable"):
        ingest("jetclass2", "pretrain", files, tmp_path / "s")
    assert {p.name for p in tmp_path.iterdir()} == {f.name for f in files}


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
    refused(DataError, "unknown policy for bad files 'stop'", on_bad_file="stop")
    refused(DataError, "unknown policy for bad jets 'keep'", on_bad_jet="keep")
    refused(DataError, "unknown jet column 'jet_mass'", select=["jet_mass > 3"])
    refused(DataError, "knows its corpus", of="top")
    for rows in ("0.6", "0.6:0.2", "0:2", "nan:1", "a:b"):
        refused(DataError, f"rows is '{rows}'; needs two rising fractions of each file", rows=rows)
    missing = [tmp_path / "nofile.parquet"]
    refused(DataError, r"nofile.parquet does not exist; check the path", files=missing)
    refused(DataError, r"s0 is a folder; give the files in it", files=[folder(tmp_path / "s0")])
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    refused(StorageError, "is not empty", out=tmp_path / "full")


@pytest.mark.slow
def test_a_file_is_split_into_roles_by_rows(files, tmp_path, monkeypatch):
    monkeypatch.setattr(base, "ROWS_PER_BATCH", 7)
    made, progress = {}, []
    for role, rows in (("train", "0:0.55"), ("validation", "0.55:0.8"), ("test", "0.8:1")):
        made[role] = ingest(
            "jetclass2", role, files, tmp_path / role, lambda *x: progress.append(x), rows=rows
        )
        assert progress[-1] == (made[role].rows, made[role].rows)
    assert [manifest.rows for manifest in made.values()] == [44, 20, 16]
    assert made["test"].provenance["share"] == [0.8, 1.0]
    parts = [read(manifest).to_pylist() for manifest in made.values()]
    tables = [pq.read_table(path).drop_columns(["genjet_pt"]) for path in files]
    for i, table in enumerate(tables):  # each file in its own order
        cuts = zip(parts, (22, 10, 8), strict=True)
        rows = [row for part, n in cuts for row in part[i * n : (i + 1) * n]]
        assert rows == conform(table).to_pylist()
    check_roles(made.values())
    late = ingest("jetclass2", "test", files, tmp_path / "late", rows="0.5:1")
    message = (
        r"train \(train\) and .*late \(test\) were read from the same file QCD_1\.parquet; .*--"
    )
    with pytest.raises(DataError, match=message):
        check_roles([made["train"], late])


def test_cuts_do_not_split_a_file(files, tmp_path):
    cuts = {"train": ["jet_pt < 1"], "test": ["jet_pt > 1"]}
    made = [ingest("jetclass2", r, files, tmp_path / r, select=cut) for r, cut in cuts.items()]
    with pytest.raises(DataError, match=r"same file QCD_1\.parquet; .*: take other files, or disj"):
        check_roles(made)
