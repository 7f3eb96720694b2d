import re
from pathlib import Path

import pytest

from golden import texts
from jetscale.display import console


@pytest.fixture(autouse=True)
def width(monkeypatch):
    monkeypatch.setattr(console._terminal, "width", texts.WIDTH)


@pytest.mark.long
@pytest.mark.parametrize("name", texts.TEXTS)
def test_results_print_what_they_did(name):
    changed = texts.difference(name, texts.text(name))
    assert not changed, f"meant? then `python -m golden.texts --write` in tests/\n{changed}"


@pytest.mark.parametrize("name", texts.TEXTS)
def test_no_line_is_wider_than_the_terminal(name):
    kept = (texts.FOLDER / f"{name}.txt").read_text()
    assert max(map(len, kept.splitlines())) <= texts.WIDTH
    assert not [line for line in kept.splitlines() if line != line.rstrip()]


REFERENCE = (Path(__file__).parents[2] / "docs" / "api.md").read_text()
DOCUMENTED = dict(re.findall(r"^\| `([\w.]+)` \|[^|]+\| `([^`]+)` \|$", REFERENCE, re.MULTILINE))


@pytest.mark.slow
@pytest.mark.parametrize("name", texts.TEXTS)
def test_the_columns_of_a_result_stand_in_the_reference(name):
    frame = texts.result(name).to_frame()
    assert list(frame.columns) == DOCUMENTED[name].split()
    empty = {column for column in frame if frame[column].isna().all()}
    assert empty <= {"hours", "recipe"}  # that of a run without seconds, of rates not searched


@pytest.mark.slow
def test_the_columns_of_a_prediction_stand_in_the_reference():
    frame = texts.laws().predict([1e4, 1e6], 1e5)
    assert list(frame.columns) == DOCUMENTED["laws.predict"].split()
    assert {"measure", "tune", "status"} < DOCUMENTED.keys()


def test_a_text_that_changed_is_shown_and_written(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(texts, "FOLDER", tmp_path)
    monkeypatch.setattr(texts, "result", lambda name: texts.TEXTS[name]())
    monkeypatch.setattr(texts, "TEXTS", {"fit": lambda: "a\nb"})
    texts.main(["--write"])
    assert (tmp_path / "fit.txt").read_text() == "a\nb\n"
    monkeypatch.setattr(texts, "TEXTS", {"fit": lambda: "a\nc"})
    capsys.readouterr()
    texts.main([])
    assert {"-b", "+c"} <= set(capsys.readouterr().out.splitlines())
    assert (tmp_path / "fit.txt").read_text() == "a\nb\n"
