import json
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jetscale.errors import DataError, StorageError
from jetscale.jets import schema
from jetscale.jets.shards import check_roles, open_shards, shard_writer, verify, write_shards
from jetscale.jets.shards import writer as shards
from jetscale.jets.shards.columns import conform


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(shards, "ROWS_PER_GROUP", 20)
    monkeypatch.setattr(shards, "ROWS_PER_SHARD", 60)


@pytest.fixture
def folder(tmp_path, make_jets):
    write_shards(
        tmp_path / "s", [make_jets(100)], corpus="jetclass", role="train", provenance={"seed": 3}
    )
    return tmp_path / "s"


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("cuts", [[170], [1, 19, 20, 21, 109], [60, 60, 50], [59, 61, 50]])
def test_rows_come_back_in_order_whatever_the_tables(tmp_path, make_jets, cuts):
    table = make_jets(170)
    starts = [sum(cuts[:i]) for i in range(len(cuts))]
    pieces = (table.slice(start, n) for start, n in zip(starts, cuts, strict=True))
    manifest = write_shards(tmp_path / "s", pieces, corpus="jetclass", role="train")
    assert [shard.rows for shard in manifest.shards] == [60, 60, 50]
    files = [pq.ParquetFile(manifest.path(shard)) for shard in manifest.shards]
    assert [f.metadata.row_group(0).num_rows for f in files] == [20, 20, 20]
    read = pa.concat_tables([f.read() for f in files])
    assert read.to_pylist() == conform(table).to_pylist()


def test_the_manifest_counts_classes_and_parts(tmp_path, make_jets):
    table = make_jets(300, [0, 3, 160, 187])
    manifest = write_shards(tmp_path / "s", [table], corpus="jetclass2", role="pretrain")
    found = Counter(schema.JETCLASS2[label] for label in table["jet_label"].to_pylist())
    assert manifest.label_counts == found == manifest.shards[0].label_counts
    assert list(manifest.label_counts) == ["X_bb", "X_qq", "X_YY_qqtauhv", "QCD_light"]
    assert manifest.parts == ("res2p", "res34p", "qcd")
    assert manifest.rows == 300


def test_open_gives_back_what_was_written(folder):
    manifest = open_shards(folder, role="train", corpus="jetclass")
    assert manifest.provenance == {"seed": 3}
    assert manifest.parts == ()
    assert manifest.shards[0].file == "shard-00000.parquet"
    assert manifest.digest == open_shards(folder).digest


def test_floats_are_byte_streams_without_dictionary(folder):
    group = pq.ParquetFile(folder / "shard-00000.parquet").metadata.row_group(0)
    by_name = {group.column(i).path_in_schema: group.column(i) for i in range(group.num_columns)}
    assert "BYTE_STREAM_SPLIT" in by_name["part_px.list.element"].encodings
    assert "BYTE_STREAM_SPLIT" in by_name["jet_pt"].encodings
    assert all(c.compression == "ZSTD" and not c.has_dictionary_page for c in by_name.values())


def test_columns_may_be_absent_but_not_come_and_go(tmp_path, make_jets):
    lean = make_jets(10).drop_columns(["part_d0val"])
    manifest = write_shards(tmp_path / "lean", [lean], corpus="jetclass", role="test")
    assert manifest.columns == tuple(conform(lean).column_names)
    assert "part_d0val" not in pq.read_schema(manifest.path(manifest.shards[0])).names
    with pytest.raises(DataError, match=r"\['part_d0val'\] are in some tables only"):
        write_shards(tmp_path / "x", [lean, make_jets(10)], corpus="jetclass", role="test")
    assert not (tmp_path / "x").exists()


def test_event_ids_are_kept(tmp_path, make_jets):
    table = make_jets(4).append_column("event_id", pa.array([2**40, 2**40, 7, 8]))
    manifest = write_shards(tmp_path / "s", [table], corpus="jetclass", role="train")
    read = pq.read_table(manifest.path(manifest.shards[0]))
    assert read["event_id"].to_pylist() == [2**40, 2**40, 7, 8]


def test_provenance_may_be_completed_while_tables_are_made(tmp_path, make_jets):
    notes: dict[str, int] = {}

    def tables():
        yield make_jets(5)
        notes["events"] = 12

    manifest = write_shards(
        tmp_path / "s", tables(), corpus="jetclass", role="train", provenance=notes
    )
    assert manifest.provenance == {"events": 12}


def test_nothing_is_left_when_the_source_fails(tmp_path, make_jets):
    def tables():
        yield make_jets(5)
        raise RuntimeError("generator broke")

    with pytest.raises(RuntimeError, match="generator broke"):
        write_shards(tmp_path / "s", tables(), corpus="jetclass", role="train")
    assert list(tmp_path.iterdir()) == []


def test_wrong_calls_are_refused(tmp_path, make_jets, folder):
    with pytest.raises(DataError, match="did you mean 'train'"):
        write_shards(tmp_path / "x", [make_jets(1)], corpus="jetclass", role="trian")
    with pytest.raises(DataError, match="unknown corpus"):
        write_shards(tmp_path / "x", [make_jets(1)], corpus="jetklasse3", role="train")
    with pytest.raises(DataError, match="no jets to write"):
        write_shards(tmp_path / "x", [], corpus="jetclass", role="train")
    with pytest.raises(StorageError, match="is not empty"):
        write_shards(folder, [make_jets(1)], corpus="jetclass", role="train")
    with pytest.raises(DataError, match=r"label 10 is not in 0\.\.9"):
        write_shards(tmp_path / "x", [make_jets(1, [10])], corpus="jetclass", role="train")


def test_an_empty_folder_may_be_filled(tmp_path, make_jets):
    (tmp_path / "s").mkdir()
    with shard_writer(tmp_path / "s", corpus="jetclass", role="train") as writer:
        writer.write(make_jets(3))
    assert open_shards(tmp_path / "s").rows == 3


def test_a_folder_may_be_empty_if_that_is_wanted(tmp_path):
    with shard_writer(tmp_path / "s", corpus="top", role="train", may_be_empty=True):
        pass
    manifest = open_shards(tmp_path / "s")
    assert (manifest.rows, manifest.shards, manifest.columns) == (0, (), ())


def test_another_role_or_corpus_is_refused(folder):
    with pytest.raises(DataError, match="role is 'train', needs 'test'"):
        open_shards(folder, role="test")
    with pytest.raises(DataError, match="corpus is 'jetclass', needs 'jetclass2'"):
        open_shards(folder, corpus="jetclass2")


def test_folders_that_are_no_shard_folders(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        open_shards(tmp_path / "absent")
    with pytest.raises(DataError, match=r"has no manifest\.json"):
        open_shards(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 4}, "format 4, this version reads 1 to 3"),
        ({"columns": None}, "not a manifest"),
        ({"role": "trian"}, "unknown role 'trian'; did you mean 'train'"),
        ({"label_counts": {"Hbb": 50, "Hqq": 50}}, "unknown class 'Hqq'; did you mean 'Hqql'"),
        ({"role": ["train"]}, "not a manifest"),
        ({"rows": 99}, "says 99 rows"),
        ({"classes": ["a", "b"]}, "corpus 'jetclass' has classes of its own, QCD, Hbb"),
        ({"corpus": "no/pe"}, "corpus 'no/pe': use letters, digits"),
        ({"shards": [{"file": "a"}]}, "not a manifest"),
        ({"label_counts": None}, "not a manifest"),
        ({"surplus": 1}, "not a manifest"),
        ({"label_counts": {"Hbb": -1, "QCD": 101}}, "label_counts are {'Hbb': -1, 'QCD': 101}"),
        ({"label_counts": {"Hbb": True}}, "not a manifest: label_counts is"),
        ({"rows": "100"}, "not a manifest: rows is '100'"),
        ({"columns": "part_px"}, "not a manifest: columns is 'part_px'"),
        ({"provenance": []}, r"not a manifest: provenance is \[\]"),
        ({"shards": 3}, "not a manifest"),
    ],
)
def test_a_manifest_that_is_not_ours(folder, change, message):
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(DataError, match=message):
        open_shards(folder)


def test_a_truncated_manifest(folder):
    path = folder / "manifest.json"
    path.write_text(path.read_text()[:200])
    with pytest.raises(DataError, match=r"manifest\.json: not a manifest"):
        open_shards(folder)


def test_a_truncated_or_missing_shard_is_noticed_at_opening(folder):
    path = folder / "shard-00000.parquet"
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match=rf"expected {size} bytes, found {size - 1}"):
        open_shards(folder)
    path.unlink()
    with pytest.raises(DataError, match=r"shard-00000\.parquet: .* file is missing"):
        open_shards(folder)


@pytest.mark.slow
def test_roles_must_not_share_jets(tmp_path, make_jets):
    def made(name, role, seed, files=()):
        files = [{"sha256": digest} for digest in files]
        return write_shards(
            tmp_path / name,
            [make_jets(20, seed=seed)],
            corpus="jetclass",
            role=role,
            provenance={"files": files},
        )

    a, b = made("a", "train", 1, ["f1"]), made("b", "test", 2, ["f2"])
    check_roles([a, b, a])
    with pytest.raises(DataError, match=r"a \(train\) and .*c \(test\) hold the same jets"):
        check_roles([a, made("c", "test", 1)])
    with pytest.raises(DataError, match="roles must not share jets"):
        check_roles([b, made("d", "validation", 4, ["f2"])])


def test_the_front_of_the_room_offers_verify(folder):
    assert verify(folder).manifest == open_shards(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"file": 3}, "not a manifest: file is 3"),
        ({"file": "x" * 300}, r"shard 'x+\.\.\.x+' is no name of a file"),
        ({"file": "a\0b"}, "is no name of a file in this folder"),
        ({"size": None}, "not a manifest: size is None"),
        ({"label_counts": {"Hbb": -1}}, "label_counts are"),
        ({"sha256": ["a"]}, r"not a manifest: sha256 is \['a'\]"),
    ],
)
def test_a_shard_that_the_manifest_tells_wrong(folder, change, message):
    path = folder / "manifest.json"
    content = json.loads(path.read_text())
    content["shards"][0] |= change
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=message):
        open_shards(folder)


@pytest.mark.parametrize("content", [b"[]", b"\xff", b"[" * 100_000])
def test_a_manifest_that_is_no_json_object(folder, content):
    (folder / "manifest.json").write_bytes(content)
    with pytest.raises(DataError, match="not a manifest: not a JSON object"):
        open_shards(folder)


def test_notes_of_somebody_s_own_are_no_files(tmp_path, make_jets):
    notes: tuple = ("a.root", ["a.root"], [{"name": "a"}], 3, None)
    call = {"corpus": "jetclass", "role": "train"}
    check_roles(
        write_shards(tmp_path / str(i), [make_jets(3, seed=i)], provenance={"files": note}, **call)
        for i, note in enumerate(notes)
    )


def test_a_table_or_batch_is_taken_alone(tmp_path, make_jets):
    table = make_jets(5)
    call = {"corpus": "jetclass", "role": "train"}
    batches = table.to_batches(max_chunksize=2)
    for i, tables in enumerate((table, [table], batches[0], batches, iter(batches))):
        rows = 2 if tables is batches[0] else 5
        assert write_shards(str(tmp_path / str(i)), tables, **call).rows == rows


@pytest.mark.parametrize(
    ("tables", "options", "message"),
    [
        (None, {}, "a table is NoneType, needs an Arrow table"),
        ({"part_px": [[1.0]]}, {}, "a table is dict, needs an Arrow table"),
        ("jets", {}, "a table is str, needs an Arrow table"),
        ([None], {}, "a table is NoneType, needs an Arrow table"),
        ([], {"schema": None}, "schema is None, needs one made with make_schema"),
        ("good", {"provenance": {"a": object()}}, "provenance is not JSON: Object of type object"),
        ("good", {"provenance": {"a": float("nan")}}, "provenance is not JSON: "),
        ("good", {"provenance": 3}, "provenance is int, needs names and values"),
        ("twice", {}, "column 'jet_label' is there twice; names must differ"),
    ],
)
def test_what_are_no_tables_is_one_line(tmp_path, make_jets, tables, options, message):
    good = make_jets(3)
    named = {"good": good, "twice": good.append_column("jet_label", good["jet_label"])}
    tables = named.get(tables, tables) if isinstance(tables, str) else tables
    with pytest.raises(DataError, match=message):
        write_shards(tmp_path / "s", tables, corpus="jetclass", role="train", **options)
    assert list(tmp_path.iterdir()) == []
