import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jetscale.errors import DataError
from jetscale.jets.shards import write_shards
from jetscale.jets.shards.columns import conform
from jetscale.jets.shards.manifest import check_shard, open_shards, sha256_of
from jetscale.jets.shards.verify import verify


@pytest.fixture
def folder(tmp_path, make_jets):
    write_shards(tmp_path / "s", [make_jets(100)], corpus="jetclass", role="train")
    return tmp_path / "s"


def forge(folder, table):
    """Replace the shard and its size and hash in the manifest, but not its counts."""
    path = folder / "shard-00000.parquet"
    pq.write_table(table, path)
    content = json.loads((folder / "manifest.json").read_text())
    content["shards"][0] |= {"size": path.stat().st_size, "sha256": sha256_of(path)}
    (folder / "manifest.json").write_text(json.dumps(content))


def changed(folder, name, values):
    table = pq.read_table(folder / "shard-00000.parquet")
    index = table.column_names.index(name)
    return table.set_column(index, table.schema.field(name), pa.array(values, table[name].type))


def test_a_sound_folder_reports_counts_and_ranges(folder):
    report = verify(folder)
    table = pq.read_table(folder / "shard-00000.parquet")
    for name in ("jet_pt", "jet_eta", "jet_sdmass", "jet_nparticles"):
        values = table[name].to_numpy().astype(float)
        expected = {"min": values.min(), "mean": values.mean(), "max": values.max()}
        assert report.ranges[name] == pytest.approx(expected)
    assert sum(report.manifest.label_counts.values()) == 100
    as_json = json.loads(json.dumps(report.to_dict()))
    assert as_json["rows"] == 100
    assert as_json["role"] == "train"
    assert set(as_json["columns"]) == set(table.column_names)
    assert "folder" not in as_json


def test_ranges_run_over_all_row_groups(tmp_path, make_jets, monkeypatch):
    monkeypatch.setattr("jetscale.jets.shards.writer.ROWS_PER_GROUP", 30)
    monkeypatch.setattr("jetscale.jets.shards.writer.ROWS_PER_SHARD", 60)
    table = make_jets(100)
    write_shards(tmp_path / "s", [table], corpus="jetclass", role="train")
    values = table["jet_pt"].to_numpy()
    assert verify(tmp_path / "s").ranges["jet_pt"] == pytest.approx(
        {"min": values.min(), "mean": values.mean(), "max": values.max()}
    )


@pytest.mark.parametrize("place", [0, 500, -500, -1])
def test_one_flipped_bit_is_found(folder, place):
    path = folder / "shard-00000.parquet"
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"shard-00000\.parquet: expected sha256 \w+, found \w+"):
        verify(folder)


def test_a_shard_that_cannot_be_read_is_named(folder):
    manifest = open_shards(folder)
    path = manifest.path(manifest.shards[0])
    path.unlink()
    with pytest.raises(DataError, match=r"shard-00000\.parquet: cannot be read: No such file"):
        check_shard(manifest, manifest.shards[0])


def test_labels_that_are_not_those_of_the_manifest(folder):
    forge(folder, changed(folder, "jet_label", [0] * 100))
    with pytest.raises(DataError, match=r"expected jets .* found \{'QCD': 100\}"):
        verify(folder)


def test_rows_that_are_not_those_of_the_manifest(folder):
    forge(folder, pq.read_table(folder / "shard-00000.parquet").slice(0, 99))
    with pytest.raises(DataError, match=r"shard-00000\.parquet: expected jets"):
        verify(folder)


def test_non_finite_constituents(folder):
    lists = pq.read_table(folder / "shard-00000.parquet")["part_dzval"].to_pylist()
    lists[40][0] = np.nan
    forge(folder, changed(folder, "part_dzval", lists))
    with pytest.raises(DataError, match=r"shard-00000\.parquet: row 40: part_dzval holds nan"):
        verify(folder)


def test_impossible_values(folder):
    forge(folder, changed(folder, "jet_eta", [-50.0] + [1.0] * 99))
    with pytest.raises(DataError, match=r"jet_eta runs from -50 to 1, expected -10 to"):
        verify(folder)


def test_columns_that_are_not_those_of_the_manifest(folder):
    forge(folder, pq.read_table(folder / "shard-00000.parquet").drop_columns(["jet_tau4"]))
    with pytest.raises(DataError, match=r"columns \['jet_tau4'\] are only in the shard or in the"):
        verify(folder)


def test_columns_of_another_type_are_named_with_the_file(folder):
    table = conform(pq.read_table(folder / "shard-00000.parquet"))
    index = table.column_names.index("jet_pt")
    forge(folder, table.set_column(index, "jet_pt", pa.array(["x"] * 100)))
    with pytest.raises(DataError, match=r"shard-00000\.parquet: column 'jet_pt' is string"):
        verify(folder)
