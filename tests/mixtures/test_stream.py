import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jetscale.errors import DataError, StudyError
from jetscale.jets.schema import JETCLASS
from jetscale.mixtures import stream
from jetscale.mixtures.assemble import open_pools
from jetscale.mixtures.ragged import Ragged
from jetscale.mixtures.stream import open_stream, read_block, write_block, write_index


def ragged(lengths, n_features=2, seed=0) -> Ragged:
    rng = np.random.default_rng(seed)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    values = rng.normal(size=(offsets[-1], n_features)).astype(np.float32)
    return Ragged(values=values, offsets=offsets, labels=rng.integers(0, 3, len(lengths)))


def equal(a: Ragged, b: Ragged) -> bool:
    return all(
        np.array_equal(getattr(a, name), getattr(b, name))
        for name in ("values", "offsets", "labels")
    )


def write_stream(folder, parts, **recipe):
    folder.mkdir()
    blocks = [write_block(folder / f"block-{i:05d}.arrow", part) for i, part in enumerate(parts)]
    write_index(
        folder,
        blocks,
        recipe=recipe,
        features=("a", "b"),
        labels=("x", "y", "z"),
        constituents=9,
    )
    return open_stream(folder)


@pytest.fixture
def parts():
    return [ragged([3, 0, 9, 1], seed=1), ragged([2, 2, 7, 7], seed=2), ragged([5], seed=3)]


@pytest.fixture
def made(tmp_path, parts):
    return write_stream(tmp_path / "s", parts, seed=1)


@settings(max_examples=20)
@given(st.lists(st.integers(0, 30), min_size=1, max_size=40))
def test_a_block_comes_back_as_it_was(tmp_path_factory, lengths):
    path = tmp_path_factory.mktemp("b") / "block.arrow"
    jets = ragged(lengths, 3)
    block = write_block(path, jets)
    assert equal(read_block(path, 3), jets)
    assert block.rows == len(lengths)
    assert block.size == path.stat().st_size


@settings(max_examples=20)
@given(st.data())
def test_a_part_of_a_block_is_its_slice(tmp_path_factory, data):
    jets = ragged(data.draw(st.lists(st.integers(0, 9), min_size=1, max_size=20)), 3)
    stop = data.draw(st.integers(0, len(jets)))
    start = data.draw(st.integers(0, stop))
    path = tmp_path_factory.mktemp("b") / "block.arrow"
    write_block(path, jets)
    assert equal(read_block(path, 3, start, stop), jets.take(np.arange(start, stop)))


def test_read_gives_all_jets_in_order(made, parts):
    whole = stream.concatenate(parts)
    assert equal(made.read(), whole)
    assert made.rows == len(whole) == 9
    assert made.labels == ("x", "y", "z")
    assert made.features == ("a", "b")
    assert made.recipe == {"seed": 1}


@pytest.mark.parametrize("n", range(1, 10))
def test_sizes_are_nested_prefixes(made, n):
    assert equal(made.read(n), made.read().head(n))
    assert sum(len(block) for block in made.iter_blocks(n)) == n


@pytest.mark.parametrize("n", [0, -1, 10])
def test_a_size_outside_the_stream_is_refused(made, n):
    with pytest.raises(DataError, match=rf"stream 's' has 9 jets, {n} were asked for"):
        made.read(n)


def test_blocks_are_read_without_a_copy(made):
    assert not next(made.iter_blocks()).values.flags.owndata


def test_the_digest_names_the_content_and_not_the_recipe(tmp_path, made, parts):
    same = write_stream(tmp_path / "same", parts, seed=2)
    assert same.digest == made.digest
    assert same.plan != made.plan
    parts[1].values[3, 1] += 1
    assert write_stream(tmp_path / "other", parts, seed=1).digest != made.digest


def flip(path, content, bit):
    altered = bytearray(content)
    altered[bit // 8] ^= 1 << bit % 8
    path.write_bytes(altered)


@pytest.mark.parametrize("what", ["values", "labels", "offsets"])
@pytest.mark.parametrize("place", [0, 5, -1])
def test_a_flipped_bit_in_the_jets_is_found_by_reading(made, what, place):
    made.verify()
    path = made.folder / "block-00001.arrow"
    kind = np.int32 if what == "offsets" else None
    data = np.asarray(getattr(read_block(path, 2), what), kind).tobytes()
    content = path.read_bytes()
    flip(path, content, 8 * (content.index(data) + place % len(data)) + 2)
    stream = open_stream(made.folder)
    for use in (stream.read, stream.verify, lambda: list(stream.iter_blocks(5))):
        with pytest.raises(DataError, match=r"block-00001\.arrow is damaged: .*; delete"):
            use()
    assert len(stream.read(4)) == 4  # the blocks before it are sound


def test_no_flipped_bit_of_the_file_changes_the_jets_unnoticed(made):
    path, whole = made.folder / "block-00000.arrow", made.read()
    content, found = path.read_bytes(), 0
    for bit in range(3, 8 * len(content), 41):
        flip(path, content, bit)
        try:
            jets = made.read()
        except DataError:
            found += 1
            continue
        assert equal(jets, whole)  # padding, or a detail of the format without effect on jets
        assert [jets.labels.dtype, jets.values.dtype] == [np.int64, np.float32]
    assert found > 50


def test_a_truncated_or_missing_block_is_refused_at_opening(made):
    path = made.folder / "block-00002.arrow"
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(DataError, match=r"block-00002\.arrow is damaged: expected \d+ bytes"):
        open_stream(made.folder)
    path.unlink()
    with pytest.raises(DataError, match="the file is missing"):
        open_stream(made.folder)


def test_garbage_of_the_right_size_is_a_data_error(made):
    path = made.folder / "block-00000.arrow"
    path.write_bytes(b"x" * path.stat().st_size)
    with pytest.raises(DataError, match=r"block-00000\.arrow is damaged"):
        open_stream(made.folder).read()


def test_blocks_of_another_stream_are_noticed(made, parts):
    path = made.folder / "block-00000.arrow"
    write_block(path, parts[1])
    with pytest.raises(DataError, match=r"expected \d+ bytes|expected sha256"):
        open_stream(made.folder).read()


def test_a_folder_without_index_is_no_stream(tmp_path):
    with pytest.raises(DataError, match="no stream at"):
        open_stream(tmp_path)


BLOCK = {"file": "block-00000.arrow", "rows": 1, "size": 1, "sha256": ""}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 99}, "format 99"),
        ({"blocks": [{}]}, "TypeError"),
        ({"rows": None}, "damaged"),
        ({"rows": "9"}, "TypeError: rows is '9'"),
        ({"labels": "ab"}, "TypeError: labels is 'ab'"),
        ({"blocks": [BLOCK | {"file": 3}]}, "TypeError: file is 3"),
        ({"blocks": [BLOCK | {"file": "x" * 300}]}, "is no name of a file in this folder"),
    ],
)
def test_a_foreign_index_is_refused(made, change, message):
    path = made.folder / "stream.json"
    content = json.loads(path.read_text()) | change
    if content["rows"] is None:
        del content["rows"]
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=message):
        open_stream(made.folder)


def test_plans_are_checked(train_plan):
    source = train_plan.sources["train"]
    for weight in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(StudyError, match=f"weight is {weight}, needs > 0"):
            replace(train_plan, sources={"train": replace(source, weight=weight)})
    with pytest.raises(StudyError, match=r"'train': class 'Hbbb' is not in the stream"):
        replace(train_plan, sources={"train": replace(source, labels=("Hbbb",))})
    with pytest.raises(StudyError, match="'QCD' is not in the stream"):
        replace(train_plan, labels=JETCLASS[1:])
    for scale in (0.0, -500.0, np.inf):
        with pytest.raises(StudyError, match=f"scale_pt is {scale}, needs > 0 and finite, or None"):
            replace(train_plan, scale_pt=scale)
    with pytest.raises(StudyError, match="rows above zero"):
        replace(train_plan, rows=0)
    with pytest.raises(StudyError, match="unknown feature set 'kinpdi'; did you mean 'kinpid'"):
        open_pools(replace(train_plan, features="kinpdi"))
