from dataclasses import replace

import pytest

from jetscale.digests import digest
from jetscale.errors import StudyError
from jetscale.planning.identity import (
    check_same_recipe,
    flatten,
    recipe_of,
    report_variation,
    study_identity,
)
from jetscale.store.record import make_table


def test_the_recipe_holds_settings_versions_and_downstream_jets(study):
    flat = flatten(recipe_of(study))
    settings = flatten(study.recipe.to_dict())
    for name, value in settings.items():
        if name != "precision":
            assert flat[name] == value, name
    assert flat["training.precision"] == "float32"
    assert flat["data.source.seed"] == 1
    versions = {name for name in flat if "version" in name}
    assert versions == {
        "data.version",
        "model.architecture_version",
        "model.objective_version",
        "training.version",
    }


def test_no_sentence_is_in_the_recipe(study):
    words = [value for value in flatten(recipe_of(study)).values() if isinstance(value, str)]
    assert words
    assert not [text for text in words if " " in text]


@pytest.mark.parametrize(
    ("target", "change"),
    [
        ("jetscale.training.VERSION", 2),
        ("jetscale.mixtures.standardise.VERSION", 2),
        ("jetscale.jets.generator.VERSION", 4),
        ("jetscale.models.transformer.Transformer.version", 2),
        ("jetscale.objectives.classify.Classify.version", 2),
    ],
)
def test_a_version_beside_the_code_makes_another_recipe(study, monkeypatch, target, change):
    before = digest(recipe_of(study)), study_identity(study)
    monkeypatch.setattr(target, change)
    after = digest(recipe_of(study)), study_identity(study)
    assert before[0] != after[0]
    assert before[1] != after[1]


def test_equal_recipes_may_be_compared(records):
    frame = make_table(records)
    check_same_recipe(frame)
    assert frame["recipe_digest"].nunique() == 1


def test_different_recipes_are_refused_side_by_side(study, records):
    other = recipe_of(replace(study, recipe=study.recipe.change(epochs=4)))
    mixed = [
        replace(record, recipe=other, recipe_digest=digest(other))
        if record.mixture == "qcd"
        else record
        for record in records
    ]
    with pytest.raises(StudyError, match=r"'qcd'.*'scratch'.*\(schedule.epochs: 4 against 2\)"):
        check_same_recipe(make_table(mixed))


def test_other_evaluation_jets_are_refused(records):
    streams = records[-1].streams | {"test": "other jets"}
    mixed = [*records[:-1], replace(records[-1], streams=streams)]
    with pytest.raises(StudyError, match=r"test: '0123' against 'other jets'"):
        check_same_recipe(make_table(mixed))


def test_devices_and_versions_that_vary_are_reported(records):
    assert report_variation(make_table(records)) == []
    mixed = [
        replace(record, device="NVIDIA H200", versions={"torch": "3", "python": "3.11"})
        if record.mixture == "qcd"
        else record
        for record in records
    ]
    device, torch = report_variation(make_table(mixed))
    assert device.startswith("device varies between runs: ")
    assert "NVIDIA H200 (qcd)" in device
    assert "cpu (scratch)" in device
    assert torch.startswith("version of torch varies between runs: ")


def test_other_jets_to_train_on_are_refused_and_a_longer_stream_is_not(records):
    def with_streams(i, **streams):
        changed = replace(records[i], streams=records[i].streams | streams)
        return make_table([*records[:i], changed, *records[i + 1 :]])

    used = [r.streams | {f"train-0:{r.examples}": f"first {r.examples}"} for r in records]
    records[:] = [replace(r, streams=s) for r, s in zip(records, used, strict=True)]
    check_same_recipe(make_table(records))
    check_same_recipe(with_streams(-1, **{"train-0": "a longer one"}))
    last = next(i for i, r in reversed([*enumerate(records)]) if r.kind == "finetune")
    name = f"train-0:{records[last].examples}"
    with pytest.raises(StudyError, match=rf"{name}: 'first \d+' against 'remade'|'remade' against"):
        check_same_recipe(with_streams(last, **{name: "remade"}))
