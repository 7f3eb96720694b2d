"""The text of a command: what it may say, and what it becomes."""

import pickle
import shlex
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jetscale.errors import StudyError
from jetscale.study import Command, Mixture
from jetscale.study.command import FIELDS
from jetscale.study.source import SWEEP_FOLDER

WHOLE = "train {train} {out} {trunk} {save_trunk}"


@pytest.mark.slow
@given(values=st.dictionaries(st.sampled_from(sorted(FIELDS)), st.text()))
@settings(max_examples=50)
def test_every_field_is_filled_in_and_stays_in_its_word(values):
    values = dict.fromkeys(FIELDS, "") | values
    told = Command(run=" ".join(f"--{name}={{{name}}}" for name in FIELDS)).words(values)
    assert told == [f"--{name}={values[name]}" for name in FIELDS]


def test_no_shell_and_no_braces_of_others():
    command = Command(run="""sh -c 'a > {{b}} $HOME' "{train}" {out} ';' """)
    words = command.words({"train": "$(rm x) *", "out": ""})
    assert words == ["sh", "-c", "a > {b} $HOME", "$(rm x) *", "", ";"]
    assert command.fields == {"train", "out"}


@pytest.mark.parametrize(
    ("run", "message"),
    [
        ("", "run is empty"),
        ("a {train} {out} '", "No closing quotation"),
        ("a {train} {out", "close it"),
        ("a {train} {out} }", "close it"),
        ("a {train} {out} {}", "unknown field ''"),
        ("a {train} {out} {sed}", "unknown field 'sed'; did you mean 'seed'?"),
        ("a {train} {out} {seed.real}", "unknown field 'seed.real'"),
        ("a {train} {out} {seed:03d}", "{seed} takes no format; write {seed} alone"),
        ("a {train} {out} {seed!r}", "{seed} takes no format"),
        ("a {out}", "has no {train}, file of the D jets; add it"),
        ("a {train}", "has no {out}, file to write the result to, JSON; add it"),
        (3, "run is 3, needs a text"),
    ],
)
def test_a_wrong_command_is_one_line(run, message):
    with pytest.raises(StudyError) as error:
        Command(run=run)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_files_and_versions_are_checked():
    with pytest.raises(StudyError, match="unknown files 'rot'; did you mean 'root'"):
        Command(run=WHOLE, files="rot")
    with pytest.raises(StudyError, match="version is 0, needs a whole number above zero"):
        Command(run=WHOLE, version=0)


def test_trunks_are_asked_for_where_a_mixture_is_pretrained(study):
    for name, rest in (("save_trunk", "{trunk}"), ("trunk", "{save_trunk}")):
        recipe = replace(study.recipe, trainer=Command(run=f"a {{train}} {{out}} {rest}"))
        text = f"mixture 'qcd' is pretrained, and the command has no {{{name}}}"
        with pytest.raises(StudyError, match=text):
            replace(study, recipe=recipe)
        alone = replace(study, recipe=recipe, mixtures=study.mixtures[:1])
        assert alone.recipe.trainer is not None


def test_a_recipe_takes_a_command_alone(study):
    with pytest.raises(StudyError, match="trainer is 'python', needs a Command or None"):
        replace(study.recipe, trainer="python")


def test_where_it_starts_is_no_part_of_it(tmp_path):
    here = Command(run=WHOLE)
    token = SWEEP_FOLDER.set(tmp_path)
    there = Command(run=WHOLE)
    SWEEP_FOLDER.reset(token)
    assert (there.folder, pickle.loads(pickle.dumps(there)).folder) == (str(tmp_path),) * 2
    assert here.folder != there.folder
    assert here == there
    assert hash(here) == hash(there)
    assert here.to_dict() == {"run": WHOLE, "version": 1, "files": "parquet"}


def test_a_command_may_pretrain_without_labels(study):
    mixture = Mixture(name="one", parts={"QCD_bb": 1.0})
    with pytest.raises(StudyError, match="nothing to tell apart"):
        replace(study, mixtures=(mixture,))
    recipe = replace(study.recipe, trainer=Command(run=WHOLE))
    assert replace(study, mixtures=(mixture,), recipe=recipe).pretrained == (mixture,)


def test_the_words_are_those_of_a_shell():
    run = "env A='b c' python -m x {train} {out}"
    told = Command(run=run).words({"train": "t", "out": "o"})
    assert told == shlex.split(run.format(train="t", out="o"))
