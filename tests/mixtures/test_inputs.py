from dataclasses import replace

import pytest

from jetscale.errors import DataError
from jetscale.executor import in_process
from jetscale.jets.generator.conditions import Conditions
from jetscale.jets.schema import JETCLASS
from jetscale.jets.shards import write_shards
from jetscale.mixtures import inputs
from jetscale.mixtures.inputs import ensure_shards, shard_requests, stream_plans
from jetscale.planning.overview import overview
from jetscale.study import Mixture


def silent(what, done, total):
    assert done <= total


def test_every_role_and_the_largest_need_of_a_part_are_simulated(study):
    mixed = Mixture(name="mixed", parts={"qcd": 1, "res2p": 1})
    study = replace(study, mixtures=(*study.mixtures, mixed))
    requests = {r.name: r.jets for r in shard_requests(study, study.source)}
    assert requests == {
        "train": 100,
        "validation": 10,
        "test": 10,
        "pretrain-qcd": 50,
        "pretrain-res2p": 25,
    }


def test_shards_are_named_by_what_decides_them(study, tmp_path):
    folders = [r.folder(tmp_path) for r in shard_requests(study, study.source)]
    other = replace(study, source=replace(study.source, seed=2))
    others = [r.folder(tmp_path) for r in shard_requests(other, other.source)]
    assert len(set(folders) | set(others)) == 2 * len(folders)
    wider = replace(study, data_sizes=(10,), name="another")
    assert [r.folder(tmp_path) for r in shard_requests(wider, wider.source)] == folders


def test_shards_that_are_there_are_not_made_again(study, tmp_path, monkeypatch, make_jets):
    for i, request in enumerate(shard_requests(study, study.source)):
        corpus, labels = ("jetclass2", [186, 187]) if request.part else ("jetclass", range(10))
        jets = make_jets(request.jets, labels, i)
        write_shards(request.folder(tmp_path), [jets], corpus=corpus, role=request.role)
    monkeypatch.setattr(inputs, "simulate_shards", None)  # calling it would fail
    found = ensure_shards(study, tmp_path, in_process, silent)
    assert sorted(found) == ["pretrain-qcd", "test", "train", "validation"]


def test_given_folders_must_have_the_role_they_are_used_for(given, tmp_path):
    assert ensure_shards(given, tmp_path, in_process, silent)["train"] == tmp_path / "train"
    swapped = replace(given.source, train=given.source.validation, validation=given.source.train)
    with pytest.raises(DataError, match=r"role is 'validation', needs 'train'"):
        ensure_shards(replace(given, source=swapped), tmp_path, in_process, silent)


def test_roles_that_share_a_file_are_refused_by_the_plan(given, tmp_path, make_jets):
    for role, seed in (("train", 5), ("validation", 6)):
        jets = make_jets(60, range(10), seed)
        note = {"files": [{"name": "all.parquet", "sha256": "0" * 64}]}
        how = {"corpus": "jetclass", "role": role, "provenance": note}
        write_shards(tmp_path / "again" / role, [jets], **how)
    again = {role: str(tmp_path / "again" / role) for role in ("train", "validation")}
    with pytest.raises(DataError, match=r"the same file all.parquet; roles must not share jets"):
        overview(replace(given, source=replace(given.source, **again)))


def test_a_size_larger_than_the_folder_is_refused_before_anything_starts(given, tmp_path):
    with pytest.raises(DataError, match=r"takes 61 train jets, .*train has 60; lower data_sizes"):
        ensure_shards(replace(given, data_sizes=(61,)), tmp_path, in_process, silent)
    hungry = replace(given, recipe=given.recipe.change(pretraining_jets=61))
    with pytest.raises(DataError, match=r"takes 61 qcd jets, .*qcd has 60"):
        ensure_shards(hungry, tmp_path, in_process, silent)


def test_streams_of_a_study(given, tmp_path):
    study = replace(given, subsets=2)
    plans = {
        p.name: p for p in stream_plans(study, ensure_shards(study, tmp_path, in_process, silent))
    }
    assert sorted(plans) == ["pretrain-qcd", "test", "train-0", "train-1", "validation"]
    assert plans["train-0"].rows == 40
    assert plans["train-0"].seed != plans["train-1"].seed
    assert plans["test"].labels == JETCLASS
    assert plans["pretrain-qcd"].rows == 50
    assert plans["pretrain-qcd"].labels[-1] == "QCD_light"


def test_pretraining_orders_do_not_depend_on_the_mixture(given, tmp_path):
    twice = replace(given, mixtures=(*given.mixtures, Mixture(name="again", parts={"qcd": 2})))
    plans = {
        p.name: p for p in stream_plans(twice, ensure_shards(twice, tmp_path, in_process, silent))
    }
    assert plans["pretrain-qcd"].seed == plans["pretrain-again"].seed
    assert plans["pretrain-qcd"].seed != plans["train-0"].seed


def test_a_study_asks_only_for_what_its_jets_have(tmp_path, given, make_jets):
    bare = make_jets(60, range(161, 188), 9).drop_columns(["part_charge", "part_isMuon"])
    write_shards(tmp_path / "bare", [bare], corpus="jetclass2", role="pretrain")
    source = replace(given.source, pretrain={"qcd": str(tmp_path / "bare")})
    study = replace(given, source=source)
    with pytest.raises(DataError, match=r"lacks columns part_charge, .*use the features 'kin'"):
        ensure_shards(study, tmp_path, in_process, lambda *_: None)
    kin = replace(study, recipe=study.recipe.change(features="kin"))
    assert "pretrain-qcd" in ensure_shards(kin, tmp_path, in_process, lambda *_: None)


def test_conditions_name_the_folders_they_decide(study, tmp_path):
    def folders(**changes):
        source = replace(study.source, **changes)
        return {r.name: r.folder(tmp_path).name for r in shard_requests(study, source)}

    plain = folders()
    for conditions in (Conditions(window="jetclass2"), Conditions(pileup=5)):
        found = folders(pretraining=conditions)
        assert {n for n in plain if found[n] != plain[n]} == {"pretrain-qcd"}
    found = folders(downstream=Conditions(pileup=5))
    assert {n for n in plain if found[n] != plain[n]} == {"train", "validation", "test"}
