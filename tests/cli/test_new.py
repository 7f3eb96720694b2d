"""`jetscale new`: the file it writes is a study that can be planned."""

import pytest

from jetscale.cli import main
from jetscale.planning.overview import overview
from jetscale.study.load import load_study


def new(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        main(["new", *arguments])
    return ended.value.code, capsys.readouterr()


def test_the_file_is_a_study_of_its_name(capsys, tmp_path):
    path = tmp_path / "mine.py"
    code, said = new(capsys, str(path))
    assert code == 0
    assert f"jetscale plan {path}" in said.out.replace("\n", "")
    text = path.read_text()
    assert text.startswith('"""mine: ')
    assert "NAME" not in text
    study = load_study(path)
    assert study.name == "mine"
    plan = overview(study)
    assert plan["finetuning_runs"] == 48
    assert [line.split(":")[0] for line in plan["warnings"]] == ["learning rates were not searched"]


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("2nd.py", "names no study"),
        ("a b", "names no study"),
        ("no/mine.py", "there is no folder no"),
        ("/proc/mine.py", "cannot be written"),
    ],
)
def test_names_that_cannot_be(capsys, tmp_path, monkeypatch, name, fault):
    monkeypatch.chdir(tmp_path)
    code, said = new(capsys, name)
    assert code == 2
    assert fault in said.err
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(capsys, tmp_path):
    (tmp_path / "mine.py").write_text("x")
    code, said = new(capsys, str(tmp_path / "mine"))
    assert (code, (tmp_path / "mine.py").read_text()) == (2, "x")
    assert "exists" in said.err
