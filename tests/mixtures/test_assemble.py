import hashlib
import json
import shutil
from collections import Counter
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from jetscale.errors import DataError
from jetscale.jets.schema import JETCLASS, JETCLASS2, PARTS
from jetscale.jets.shards import write_shards
from jetscale.mixtures import assemble, shuffle, stream
from jetscale.mixtures.assemble import prepare_in_process
from jetscale.mixtures.standardise import standardise
from jetscale.mixtures.stream import Source, StreamPlan, open_stream


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(shuffle, "ROWS_PER_BLOCK", 128)


def make(plan, root):
    return open_stream(prepare_in_process([plan], root)[plan.name])


def jets_of(ragged):
    """Each jet as bytes with its label, so that jets can be counted and looked up."""
    spans = zip(ragged.offsets, ragged.offsets[1:], ragged.labels, strict=False)
    return [(int(label), ragged.values[a:b].tobytes()) for a, b, label in spans]


def test_a_stream_holds_distinct_jets_of_its_source_standardised(train_plan, folders, tmp_path):
    made = make(train_plan, tmp_path)
    source = standardise(pq.read_table(folders["train"] / "shard-00000.parquet"), "kin", 16)
    found, known = jets_of(made.read()), jets_of(source)
    assert len(found) == len(set(found)) == 500
    assert set(found) <= set(known)
    assert made.features[0] == "part_pt_log"
    assert len(made.features) == 7
    assert [block.rows for block in made.blocks] == [128, 128, 128, 116]
    assert found != [jet for jet in known if jet in set(found)]  # not in source order


def test_a_mixture_has_exact_quotas_and_only_the_classes_of_each_part(mixture_plan, tmp_path):
    made = make(mixture_plan, tmp_path)
    names = [made.labels[label] for label in made.read().labels]
    counts = Counter(next(p.name for p in PARTS.values() if n in p.labels) for n in names)
    assert counts == {"qcd": 200, "res2p": 30, "res34p": 170} == made.recipe["quotas"]


def test_labels_are_numbered_within_the_stream(mixture_plan, tmp_path):
    qcd = replace(
        mixture_plan,
        sources={"qcd": mixture_plan.sources["qcd"]},
        labels=PARTS["qcd"].labels,
        rows=300,
    )
    made = make(qcd, tmp_path)
    raw = pq.read_table(qcd.sources["qcd"].folder / "shard-00000.parquet", columns=["jet_label"])
    expected = np.bincount(raw["jet_label"].to_numpy() - 161, minlength=27)
    assert np.array_equal(np.bincount(made.read().labels, minlength=27), expected)


def test_labels_chosen_within_a_folder_may_skip_classes(train_plan, tmp_path):
    two = ("Hbb", "Tbqq")
    source = replace(train_plan.sources["train"], labels=two)
    made = make(replace(train_plan, sources={"train": source}, labels=two, rows=90), tmp_path)
    assert set(made.read().labels) == {0, 1}


def test_sizes_are_nested_in_the_pool_and_seeds_differ(train_plan, tmp_path):
    whole, part, other = (
        jets_of(make(replace(train_plan, rows=rows, seed=seed), tmp_path).read())
        for rows, seed in ((500, 7), (200, 7), (500, 8))
    )
    assert whole[:200] == part
    assert set(whole) != set(other)


@pytest.mark.slow
def test_shards_are_read_across_files_and_row_groups(train_plan, folders, tmp_path, monkeypatch):
    from jetscale.jets.shards import writer as shards

    table = pq.read_table(folders["train"] / "shard-00000.parquet")
    monkeypatch.setattr(shards, "ROWS_PER_GROUP", 50)
    monkeypatch.setattr(shards, "ROWS_PER_SHARD", 150)
    write_shards(tmp_path / "pieces", [table], corpus="jetclass", role="train")
    source = replace(train_plan.sources["train"], folder=tmp_path / "pieces")
    pieces = make(replace(train_plan, sources={"train": source}), tmp_path / "a")
    assert pieces.digest == make(train_plan, tmp_path / "b").digest


@pytest.mark.slow
def test_streams_are_reused_and_damaged_ones_are_made_again(train_plan, tmp_path):
    folder = prepare_in_process([train_plan], tmp_path)["train"]
    before = (folder / "stream.json").stat().st_mtime_ns
    assert prepare_in_process([train_plan], tmp_path) == {"train": folder}
    assert (folder / "stream.json").stat().st_mtime_ns == before
    whole = {path.name: path.read_bytes() for path in folder.iterdir()}
    block, index = folder / "block-00001.arrow", folder / "stream.json"
    middle = len(whole[block.name]) // 2
    other = json.loads(whole[index.name]) | {"plan": "0" * 16}
    for path, content in (
        (block, None),
        (block, whole[block.name][:-1]),
        (block, whole[block.name][:middle] + b"?" + whole[block.name][middle + 1 :]),
        (index, b""),
        (index, json.dumps(other).encode()),
    ):
        path.unlink()
        if content is not None:
            path.write_bytes(content)
        assert prepare_in_process([train_plan], tmp_path) == {"train": folder}
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == whole
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]


def test_the_identity_is_the_recipe_and_not_the_place(train_plan, tmp_path):
    source = train_plan.sources["train"]
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in source.folder.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    moved = replace(train_plan, sources={"train": replace(source, folder=copy, weight=3.0)})
    first, second = (prepare_in_process([p], tmp_path / "s")["train"] for p in (train_plan, moved))
    assert first == second
    assert (
        prepare_in_process([replace(train_plan, constituents=15)], tmp_path / "s")["train"] != first
    )


@pytest.mark.slow
def test_two_runs_write_the_same_bytes(mixture_plan, train_plan, tmp_path):
    plans, progress = [mixture_plan, train_plan], []
    for root in ("a", "b"):
        prepare_in_process(plans, tmp_path / root, lambda *x: progress.append(x))
    files = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*.*"))
    assert len(files) == 2 + 4 + 4
    assert all(
        (tmp_path / "a" / f).read_bytes() == (tmp_path / "b" / f).read_bytes() for f in files
    )
    assert progress[-1] == (900, 900)


def test_too_many_rows_leave_nothing_behind(train_plan, tmp_path):
    with pytest.raises(
        DataError, match=r"'train': needs 701 distinct jets of 'train', which has 700"
    ):
        prepare_in_process([replace(train_plan, rows=701)], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_sources_that_overlap_or_differ_in_role_are_refused(
    mixture_plan, folders, make_jets, tmp_path
):
    sources = dict(mixture_plan.sources)
    again = replace(sources["res2p"], labels=JETCLASS2[:3])
    with pytest.raises(DataError, match="the same jets twice"):
        make(replace(mixture_plan, sources=sources | {"more": again}), tmp_path)
    write_shards(tmp_path / "v", [make_jets(9, [0])], corpus="jetclass2", role="validation")
    other = Source(folder=tmp_path / "v", labels=JETCLASS2, weight=1.0)
    with pytest.raises(DataError, match=r"role of 'qcd' is 'pretrain', of 'v' 'validation'"):
        make(replace(mixture_plan, sources={"qcd": sources["qcd"], "v": other}), tmp_path)


def test_two_roles_with_the_same_shards_are_refused(train_plan, folders, tmp_path):
    table = pq.read_table(folders["train"] / "shard-00000.parquet")
    write_shards(tmp_path / "test", [table], corpus="jetclass", role="test")
    test = replace(train_plan.sources["train"], folder=tmp_path / "test")
    plans = [train_plan, replace(train_plan, name="test", sources={"test": test})]
    with pytest.raises(DataError, match="roles must not share jets"):
        prepare_in_process(plans, tmp_path / "s")


def test_a_class_the_corpus_lacks_is_refused(mixture_plan, folders, tmp_path):
    wrong = Source(folder=folders["train"], labels=PARTS["qcd"].labels, weight=1.0)
    with pytest.raises(DataError, match=r"wants class 'QCD_bbccss', which corpus 'jetclass'"):
        make(replace(mixture_plan, sources={"qcd": wrong}), tmp_path)


def test_columns_the_features_need_but_the_shards_lack(train_plan, make_jets, tmp_path):
    table = make_jets(20, [0]).drop_columns(["part_d0val", "part_isMuon"])
    write_shards(tmp_path / "lean", [table], corpus="jetclass", role="train")
    source = Source(folder=tmp_path / "lean", labels=JETCLASS, weight=1.0)
    plan = StreamPlan(
        name="lean",
        sources={"train": source},
        rows=20,
        labels=JETCLASS,
        features="full",
        constituents=8,
        seed=1,
    )
    with pytest.raises(
        DataError, match=r"lean lacks columns part_isMuon, part_d0val, .* use the features 'kin'"
    ):
        make(plan, tmp_path)
    assert make(replace(plan, features="kin"), tmp_path).rows == 20


def test_altered_labels_of_the_right_size_are_noticed(make_jets, mixture_plan, tmp_path):
    table = make_jets(200, [161, 0])
    manifest = write_shards(tmp_path / "p", [table], corpus="jetclass2", role="pretrain")
    swapped = pc.if_else(pc.equal(table["jet_label"], 0), 161, 161).cast(pa.int32())
    index = table.column_names.index("jet_label")
    write_shards(
        tmp_path / "q",
        [table.set_column(index, "jet_label", swapped)],
        corpus="jetclass2",
        role="pretrain",
    )
    content = (tmp_path / "q" / "shard-00000.parquet").read_bytes()
    size = manifest.shards[0].size
    (tmp_path / "p" / "shard-00000.parquet").write_bytes(content)
    text = (tmp_path / "p" / "manifest.json").read_text().replace(f"{size}", f"{len(content)}")
    text = text.replace(manifest.shards[0].sha256, hashlib.sha256(content).hexdigest())
    (tmp_path / "p" / "manifest.json").write_text(text)
    source = Source(folder=tmp_path / "p", labels=PARTS["qcd"].labels, weight=1.0)
    plan = replace(mixture_plan, sources={"qcd": source}, rows=10)
    with pytest.raises(DataError, match=r"expected \d+ jets of .* found 200 among 200"):
        make(plan, tmp_path)


@pytest.fixture
def copied(train_plan, tmp_path):
    """A plan that reads a copy of the training shards, and the file of the one shard."""
    source = train_plan.sources["train"]
    shutil.copytree(source.folder, tmp_path / "copy")
    plan = replace(train_plan, sources={"train": replace(source, folder=tmp_path / "copy")})
    return plan, tmp_path / "copy" / "shard-00000.parquet"


@pytest.mark.parametrize("place", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_one_flipped_bit_of_a_shard_makes_no_stream(copied, tmp_path, place):
    plan, path = copied
    content = bytearray(path.read_bytes())
    content[round(place * (len(content) - 1))] ^= 16
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"shard-00000\.parquet(: expected sha256| is damaged: )"):
        make(plan, tmp_path / "streams")
    assert list((tmp_path / "streams").glob("*")) == []


def test_a_shard_used_by_several_streams_is_hashed_once(train_plan, tmp_path, monkeypatch):
    hashed = []
    monkeypatch.setattr(shuffle, "check_shard", lambda manifest, shard: hashed.append(shard.file))
    plans = [train_plan, replace(train_plan, name="again", seed=9)]
    prepare_in_process(plans, tmp_path)
    prepare_in_process(plans, tmp_path)
    assert hashed == ["shard-00000.parquet"]


def test_a_damaged_footer_is_a_data_error_that_names_the_file(copied, tmp_path):
    plan, path = copied
    content = bytearray(path.read_bytes())
    content[-200:-8] = bytes(192)
    path.write_bytes(content)
    manifest = json.loads((path.parent / "manifest.json").read_text())
    manifest["shards"][0]["sha256"] = hashlib.sha256(content).hexdigest()
    (path.parent / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(DataError, match=r"shard-00000\.parquet is damaged: ") as caught:
        make(plan, tmp_path / "streams")
    assert "\n" not in str(caught.value)
    assert list((tmp_path / "streams").glob("*")) == []


def test_a_source_too_light_for_a_jet_gives_none_and_needs_no_folder(mixture_plan, tmp_path):
    light = replace(mixture_plan.sources["res2p"], weight=1e-9, folder=tmp_path / "absent")
    plan = replace(mixture_plan, sources=mixture_plan.sources | {"res2p": light})
    made = make(plan, tmp_path)
    assert plan.quotas == made.recipe["quotas"] == {"qcd": 216, "res34p": 184}
    assert set(made.recipe["sources"]) == {"qcd", "res34p"}
    assert made.read().labels.min() >= 15
    without = {name: plan.sources[name] for name in plan.quotas}
    assert make(replace(plan, sources=without), tmp_path).folder == made.folder


def test_scaling_is_part_of_the_recipe_only_when_set(train_plan, tmp_path):
    plain, scaled = (
        make(replace(train_plan, scale_pt=scale), tmp_path / "s") for scale in (None, 500.0)
    )
    assert "scale_pt" not in plain.recipe
    assert scaled.recipe["scale_pt"] == 500
    assert plain.folder != scaled.folder
    assert plain.digest != scaled.digest
    assert np.array_equal(plain.read().values[:, 2:], scaled.read().values[:, 2:])


def test_progress_counts_reading_and_writing_as_halves(train_plan, tmp_path):
    seen = []
    prepare_in_process([train_plan], tmp_path, lambda *x: seen.append(x))
    assert [done for done, _ in seen] == [250, 314, 378, 442, 500]
    assert {total for _, total in seen} == {500}
    assert [path.name for path in tmp_path.glob("*/scratch")] == []


def test_recipe_holds_no_path(train_plan, tmp_path):
    recipe = assemble.recipe_of(train_plan, assemble.open_pools(train_plan))
    assert str(train_plan.sources["train"].folder) not in str(recipe)
    assert recipe["format"] == stream.FORMAT
