import hashlib
import json
from dataclasses import replace

import pyarrow as pa
import pytest

from jetscale.errors import DataError, StudyError
from jetscale.jets.example import Feature, make_schema
from jetscale.jets.schema import JETS
from jetscale.jets.shards import verify, write_shards
from jetscale.jets.shards.manifest import open_shards


def check(manifest, feature_set):
    JETS.check_columns(manifest.columns, feature_set, str(manifest.folder))


@pytest.fixture
def made(tmp_path, make_jets):
    """A function that writes jets of two classes without some columns."""

    def write(*absent):
        table = make_jets(10, range(2)).drop_columns(list(absent))
        return write_shards(tmp_path / "s", [table], corpus="top", role="train")

    return write


def test_columns_are_written_and_read(made):
    manifest = made("part_d0val", "jet_sdmass")
    content = json.loads((manifest.folder / "manifest.json").read_text())
    assert content["format"] == 3
    assert tuple(content["columns"]) == manifest.columns
    assert not {"part_d0val", "jet_sdmass"} & set(manifest.columns)


def test_format_1_takes_its_columns_from_a_shard(made):
    manifest = made("part_d0val")
    path = manifest.folder / "manifest.json"
    content = json.loads(path.read_text())
    del content["columns"]
    path.write_text(json.dumps(content | {"format": 1}))
    assert open_shards(manifest.folder) == manifest
    (manifest.folder / manifest.shards[0].file).write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"manifest\.json: not a manifest"):
        open_shards(manifest.folder)


def test_a_feature_set_whose_columns_are_there(made):
    manifest = made()
    for feature_set in ("kin", "kinpid", "full"):
        check(manifest, feature_set)
    with pytest.raises(StudyError, match="unknown feature set"):
        check(manifest, "everything")


@pytest.mark.parametrize(
    ("absent", "wanted", "message"),
    [
        (["part_dzval"], "full", "lacks columns part_dzval, .*use the features 'kinpid'"),
        (["part_charge", "part_d0err"], "full", "use the features 'kin'"),
        (["part_isMuon"], "kinpid", "lacks columns part_isMuon, which features 'kinpid' need"),
        (["jet_energy"], "kin", "jet_energy.*no feature set works"),
    ],
)
def test_absent_columns_are_named_with_what_would_do(made, absent, wanted, message):
    manifest = made(*absent)
    with pytest.raises(DataError, match=message) as stop:
        check(manifest, wanted)
    assert str(stop.value).startswith(f"{manifest.folder} lacks columns ")


def test_a_set_is_refused_exactly_where_a_column_is_missing(made):
    manifest = made("part_deta")
    assert "part_deta" in JETS.inputs_of("kin")
    with pytest.raises(DataError, match="part_deta"):
        check(manifest, "kin")


def own(tmp_path, make_jets, name="own", classes=("b", "a", "c")):
    tables = [make_jets(20, range(2))]
    return write_shards(tmp_path / name, tables, corpus="mysim", role="pretrain", classes=classes)


def test_a_manifest_names_the_classes(made, tmp_path, make_jets):
    manifest = own(tmp_path, make_jets)
    assert manifest.classes == ("b", "a", "c")
    assert manifest.present == ("b", "a")
    assert manifest.parts == ()
    assert open_shards(manifest.folder, corpus="mysim") == manifest
    assert made().classes == ("QCD", "top")


def test_the_digest_names_what_labels_mean_but_of_built_in_corpora(made, tmp_path, make_jets):
    first, other = own(tmp_path, make_jets), own(tmp_path, make_jets, "other", ("a", "b", "c"))
    assert first.shards[0].sha256 == other.shards[0].sha256
    assert first.digest != other.digest
    moved = first.folder.rename(tmp_path / "moved")
    assert open_shards(moved).digest == first.digest
    manifest = made()
    # what version 0.1 hashed: keys of its results must not change
    text = json.dumps(["top", "train", [shard.sha256 for shard in manifest.shards]])
    assert manifest.digest == hashlib.sha256(text.encode()).hexdigest()[:16]


def test_format_2_has_the_classes_of_its_corpus(made, tmp_path, make_jets):
    path = made().folder / "manifest.json"
    content = json.loads(path.read_text())
    del content["classes"]
    path.write_text(json.dumps(content | {"format": 2}))
    assert open_shards(path.parent).classes == ("QCD", "top")
    path = own(tmp_path, make_jets).folder / "manifest.json"
    content = json.loads(path.read_text())
    del content["classes"]
    path.write_text(json.dumps(content | {"format": 2}))
    with pytest.raises(DataError, match="unknown corpus 'mysim'"):
        open_shards(path.parent)


def test_a_manifest_says_what_an_example_of_another_field_is(tmp_path):
    schema = make_schema(noun="star", features=(Feature(name="flux", mean=1.0, scale=2.0),))
    table = pa.table({"flux": [[1.0, 2.0], [3.0]], "label": [1, 0]})
    call = {"corpus": "stars", "role": "train", "classes": ("cepheid", "lyrae")}
    manifest = write_shards(tmp_path / "s", [table], **call, schema=schema)
    again = open_shards(tmp_path / "s")
    assert again.schema == schema
    assert again.columns == ("flux", "label")
    assert verify(tmp_path / "s").ranges == {"flux": {"min": 1.0, "mean": 2.0, "max": 3.0}}
    wider = replace(schema, features=(Feature(name="flux", mean=1.0, scale=3.0),))
    assert write_shards(tmp_path / "w", [table], **call, schema=wider).digest != manifest.digest
    with pytest.raises(DataError, match="no stars to write"):
        write_shards(tmp_path / "none", [], **call, schema=schema)
