import numpy as np
import pytest

from jetscale.errors import DataError, StudyError
from jetscale.jets.shards import write_shards
from jetscale.measures.sample import read_samples, read_stream
from jetscale.mixtures.assemble import prepare_in_process
from jetscale.mixtures.inputs import stream_plans
from jetscale.mixtures.standardise import standardise
from jetscale.mixtures.stream import open_stream
from jetscale.study import Mixture


def names(sample):
    return set(sample.table["jet_pt"].to_pylist())  # one value per jet of a folder


def test_all_samples_have_the_same_size_and_the_downstream_ones_share_no_jet(study, shards):
    found = read_samples(study, shards, 230)
    assert found.jets == 230
    samples = [found.reference, found.downstream, *found.mixtures.values()]
    assert {sample.table.num_rows for sample in samples} == {230}
    assert not names(found.reference) & names(found.downstream)
    assert list(found.mixtures) == ["near", "both"]


def test_sizes_are_limited_by_pretraining_and_by_half_the_downstream_pool(
    study, shards, as_folders
):
    assert read_samples(study, shards, 10_000).jets == 240
    assert read_samples(as_folders(400), shards, 10_000).jets == 250


def test_quotas_are_those_of_the_mixture(study, shards):
    labels = read_samples(study, shards, 240).mixtures["both"].table["jet_label"].to_numpy()
    assert (labels < 15).sum() == 180
    assert (labels >= 161).sum() == 60


def test_label_counts_are_those_of_the_whole_stream(study, shards):
    found = read_samples(study, shards, 200)
    both = found.mixtures["both"].label_counts
    assert sum(both.values()) == 240
    assert sum(n for label, n in both.items() if label.startswith("QCD")) == 60
    assert sum(found.downstream.label_counts.values()) == 40


def test_a_sample_is_part_of_what_is_pretrained_on(study, shards, tmp_path):
    plans = [p for p in stream_plans(study, shards) if p.name in ("pretrain-both", "validation")]
    streams = prepare_in_process(plans, tmp_path)
    stream = open_stream(streams["pretrain-both"]).read()
    sample = read_samples(study, shards, 200).mixtures["both"].table
    mine = standardise(sample, study.recipe.data.features, study.recipe.data.constituents)
    ours = {jet.tobytes() for jet in np.split(mine.values, mine.offsets[1:-1])}
    trained = {jet.tobytes() for jet in np.split(stream.values, stream.offsets[1:-1])}
    assert ours <= trained

    validation = open_stream(streams["validation"]).read()
    table = read_stream(study, shards, "validation", 1000)
    again = standardise(table, study.recipe.data.features, study.recipe.data.constituents)
    assert (again.values == validation.values).all()
    assert (again.labels == validation.labels).all()


def test_a_column_that_one_part_lacks_is_absent_from_the_mixture(
    study, shards, tmp_path, make_jets
):
    poor = make_jets(300, range(15), 5).drop_columns(["jet_tau4"])
    write_shards(tmp_path / "poor", [poor], corpus="jetclass2", role="pretrain")
    found = read_samples(study, shards | {"pretrain-res2p": tmp_path / "poor"}, 200)
    assert "jet_tau4" not in found.mixtures["both"].table.column_names
    assert "jet_tau4" in found.mixtures["near"].table.column_names


def test_the_same_sample_every_time(study, shards):
    first, second = (read_samples(study, shards, 200) for _ in range(2))
    assert first.mixtures["both"].table.equals(second.mixtures["both"].table)
    assert first.reference.table.equals(second.reference.table)


def test_nothing_to_measure(study, shards):
    object.__setattr__(study, "mixtures", (Mixture(name="scratch"),))
    with pytest.raises(StudyError, match="no mixture besides scratch"):
        read_samples(study, shards, 200)


def test_too_few_jets_are_refused(study, shards, as_folders):
    with pytest.raises(StudyError, match="has 50 jets per sample"):
        read_samples(as_folders(50), shards, 200)


def test_a_damaged_shard_is_named(study, shards, tmp_path):
    broken = tmp_path / "broken"
    broken.mkdir()
    for file in shards["train"].iterdir():
        content = file.read_bytes()
        damaged = file.suffix == ".parquet"
        (broken / file.name).write_bytes(b"\0" * len(content) if damaged else content)
    with pytest.raises(DataError, match="damaged"):
        read_samples(study, shards | {"train": broken}, 200)
