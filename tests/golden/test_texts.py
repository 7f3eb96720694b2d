import pytest

from golden import texts
from jetscale.display import console


@pytest.fixture(autouse=True)
def width(monkeypatch):
    monkeypatch.setattr(console._terminal, "width", texts.WIDTH)


@pytest.mark.parametrize("name", texts.TEXTS)
def test_results_print_what_they_did(name):
    changed = texts.difference(name, texts.text(name))
    assert not changed, f"meant? then `python -m golden.texts --write` in tests/\n{changed}"


@pytest.mark.parametrize("name", texts.TEXTS)
def test_no_line_is_wider_than_the_terminal(name):
    kept = (texts.FOLDER / f"{name}.txt").read_text()
    assert max(map(len, kept.splitlines())) <= texts.WIDTH
    assert not [line for line in kept.splitlines() if line != line.rstrip()]


def test_a_text_that_changed_is_shown_and_written(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(texts, "FOLDER", tmp_path)
    monkeypatch.setattr(texts, "TEXTS", {"fit": lambda: "a\nb"})
    texts.main(["--write"])
    assert (tmp_path / "fit.txt").read_text() == "a\nb\n"
    monkeypatch.setattr(texts, "TEXTS", {"fit": lambda: "a\nc"})
    capsys.readouterr()
    texts.main([])
    assert {"-b", "+c"} <= set(capsys.readouterr().out.splitlines())
    assert (tmp_path / "fit.txt").read_text() == "a\nb\n"
