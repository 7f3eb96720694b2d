"""Recipe files: what is written is read, and what was edited is refused."""

import errno
import json
from pathlib import Path

import pytest

from jetscale.errors import StorageError, StudyError
from jetscale.study import Controls, RateLaw, Rates, Regret, load_optimiser, load_schedule
from jetscale.study.rates import STARTS
from jetscale.study.tuned import recipe_path, write_recipe

REGRET = {"mixture": "qcd", "width": 8, "examples": 500, "regret": 0.01, "error": 0.004}


@pytest.fixture
def recipe():
    laws = {start: RateLaw(learning_rate=0.02, steps_exponent=0.4) for start in STARTS}
    rates = Rates(**laws, search="abc", arms=("scratch", "qcd"))
    plain = Controls(pretraining_jets=5, validation_jets=5, test_jets=5)
    return plain.change(rates=rates, weight_decay=0.1, epochs=3)


@pytest.fixture
def sweep(tmp_path, recipe):
    plain = recipe.to_dict()
    content = {name: plain[name] for name in ("optimiser", "schedule")}
    searched = {"digest": "abc", "mixtures": ["scratch", "qcd"]}
    write_recipe(tmp_path / "mine.recipe.json", content | {"search": searched, "regrets": [REGRET]})
    return tmp_path / "mine.py"


def test_what_is_written_is_read(sweep, recipe):
    optimiser = load_optimiser(sweep)
    assert optimiser == recipe.optimiser
    assert optimiser.rates.regrets == (Regret(**REGRET),)
    assert load_schedule(str(sweep)) == recipe.schedule
    assert load_optimiser(recipe_path(sweep)) == optimiser


def test_the_regret_of_a_run_is_that_of_the_nearest_searched_cell(sweep):
    rates = load_optimiser(sweep).rates
    assert rates.regret_at("qcd", 16, 4000).regret == 0.01
    assert rates.regret_at("scratch", 8, 500) is None


def test_regrets_are_no_part_of_the_identity(sweep, recipe):
    read = recipe.change(rates=load_optimiser(sweep).rates)
    assert read.to_dict() == recipe.to_dict()


def test_a_file_that_cannot_be_written_is_as_before(sweep, recipe, monkeypatch):
    def fill(self, text):
        Path.write_bytes(self, text[:100].encode())
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", fill)
    with pytest.raises(StorageError, match=r"mine\.recipe\.json: the disk is full"):
        write_recipe(recipe_path(sweep), {"optimiser": {}})
    assert load_optimiser(sweep) == recipe.optimiser


def test_an_edited_file_is_refused(sweep):
    path = recipe_path(sweep)
    content = json.loads(path.read_text())
    content["optimiser"]["rates"]["scratch"]["learning_rate"] = 0.5
    path.write_text(json.dumps(content))
    with pytest.raises(StudyError, match="was edited"):
        load_optimiser(sweep)


@pytest.mark.parametrize(
    ("text", "what"),
    [("{", "is not JSON"), ("[1]", "not of format 1"), ('{"format": 9}', "not of format 1")],
)
def test_what_is_no_recipe_file_is_refused(sweep, text, what):
    recipe_path(sweep).write_text(text)
    with pytest.raises(StudyError, match=what):
        load_optimiser(sweep)


def test_a_missing_file_is_made_by_tune(tmp_path):
    with pytest.raises(StudyError, match="make it with `jetscale tune`"):
        load_optimiser(tmp_path / "none.py")


def test_a_study_of_another_schedule_than_the_search_is_told(sweep, recipe):
    read = recipe.change(rates=load_optimiser(sweep).rates)
    assert read.searched_otherwise == ""
    other = read.change(epochs=8, batch_size=32, warmup=0.2)
    told = "the rates were searched with batch_size=16, epochs=3, the study has batch_size=32, "
    assert other.searched_otherwise == f"{told}epochs=8"
    assert "schedule" not in other.to_dict()["optimiser"]["rates"]
    masked = read.change(pretraining_objective="masked", min_steps=9)
    assert masked.searched_otherwise == (
        "the rates were searched with min_steps=0, pretraining_objective=None, the study has "
        "min_steps=9, pretraining_objective=masked"
    )


def test_a_file_that_does_not_say_its_schedule_is_believed(sweep, recipe):
    path = recipe_path(sweep)
    content = json.loads(path.read_text())
    del content["schedule"], content["digest"]
    write_recipe(path, content)
    read = recipe.change(rates=load_optimiser(sweep).rates, epochs=8)
    assert read.searched_otherwise == ""
