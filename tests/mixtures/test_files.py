"""Files for other programs hold the jets of a stream, bit for bit."""

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jetscale.mixtures import files
from jetscale.mixtures.files import ensure_file
from jetscale.mixtures.ragged import Ragged

NAMES = {"features": ("part_a", "b"), "classes": ("QCD", 'H "bb"')}


def made(lengths, seed=0):
    rng = np.random.default_rng(seed)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    values = rng.normal(size=(offsets[-1], 2)).astype(np.float32)
    return Ragged(values=values, offsets=offsets, labels=rng.integers(0, 2, len(lengths)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("files")


@pytest.mark.slow
@given(st.lists(st.integers(1, 5), min_size=1, max_size=20), st.integers(0, 9))
@settings(max_examples=30)
def test_a_parquet_file_holds_the_jets(folder, lengths, seed):
    jets = made(lengths, seed)
    table = pq.read_table(ensure_file(folder, "train-0", jets, kind="parquet", **NAMES))
    assert table.column_names == ["part_a", "b", "label"]
    assert json.loads(table.schema.metadata[b"classes"]) == list(NAMES["classes"])
    assert table["label"].to_pylist() == jets.labels.tolist()
    for i, name in enumerate(NAMES["features"]):
        lists = table[name].combine_chunks()
        assert lists.offsets.to_pylist() == jets.offsets.tolist()
        assert np.array_equal(lists.values.to_numpy(), jets.values[:, i])


@pytest.mark.parametrize("rows", [16_384, 3])
def test_a_root_file_holds_the_jets(tmp_path, monkeypatch, rows):
    uproot = pytest.importorskip("uproot")
    monkeypatch.setattr(files, "ROWS_PER_BLOCK", rows)
    jets = made([2, 1, 4, 1, 3, 3, 2])
    with uproot.open(ensure_file(tmp_path, "test", jets, kind="root", **NAMES)) as file:
        assert json.loads(str(file["classes"])) == list(NAMES["classes"])
        arrays = file["tree"].arrays(library="np")
    assert arrays["label"].tolist() == jets.labels.tolist()
    for i, name in enumerate(NAMES["features"]):
        assert [len(lists) for lists in arrays[name]] == jets.lengths.tolist()
        assert np.array_equal(np.concatenate(arrays[name]), jets.values[:, i])


def test_equal_jets_share_a_file_and_others_do_not(tmp_path):
    jets = made([2, 3, 1])
    path = ensure_file(tmp_path, "test", jets, kind="parquet", **NAMES)
    before = path.stat().st_mtime_ns
    assert ensure_file(tmp_path, "test", made([2, 3, 1]), kind="parquet", **NAMES) == path
    assert path.stat().st_mtime_ns == before
    others = [
        ensure_file(tmp_path, "test", jets.head(2), kind="parquet", **NAMES),
        ensure_file(tmp_path, "test", made([2, 3, 1], 1), kind="parquet", **NAMES),
        ensure_file(tmp_path, "test", jets, kind="parquet", **NAMES | {"classes": ("a", "b")}),
    ]
    assert len({path, *others}) == 4
    assert path.stat().st_mode & 0o222 == 0


def test_many_may_write_one_file_at_once(tmp_path):
    jets = made(np.full(2000, 5))
    with ThreadPoolExecutor(8) as pool:
        wanted = [
            pool.submit(ensure_file, tmp_path, "a", jets, kind="parquet", **NAMES) for _ in range(8)
        ]
        paths = {done.result() for done in wanted}
    (path,) = paths
    assert pq.read_table(path).num_rows == 2000
    assert list(tmp_path.iterdir()) == [path]
