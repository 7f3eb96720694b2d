import json

import pytest

from jetscale.errors import DataError, StudyError
from jetscale.jets.schema import JETS
from jetscale.jets.shards import write_shards
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
