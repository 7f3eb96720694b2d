import sys
from pathlib import Path

import pytest

from jetscale.errors import StudyError
from jetscale.study import Folders, Recipe
from jetscale.study.load import load_study


@pytest.fixture(autouse=True)
def path_of_imports(monkeypatch):
    """What a sweep file adds to the places of imports goes with the test."""
    monkeypatch.setattr(sys, "path", list(sys.path))


SWEEP = """
from jetscale.study import *
def study():
    return Study(name="s", source=Simulated(train_jets=10), mixtures=(Mixture(name="scratch"),),
                 ladder=(ModelSize(width=8, layers=1, heads=1),), data_sizes=(5,), seeds=(1,),
                 controls=Controls(pretraining_jets=5, validation_jets=5, test_jets=5{extra}))
"""


def test_a_sweep_file_gives_its_study(tmp_path):
    path = tmp_path / "s.py"
    path.write_text(SWEEP.format(extra=""))
    assert load_study(path).name == "s"


def test_a_run_table_is_not_executed(tmp_path):
    path = tmp_path / "runs.csv"
    path.write_text("mixture,params\n")
    with pytest.raises(StudyError, match=r"not a Python file; fit, compare, .* by --runs"):
        load_study(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            SWEEP.format(extra=", epoch=3"),
            r"unknown setting of a recipe 'epoch'; did you mean 'epochs'",
        ),
        (SWEEP.format(extra=", epochs=0"), r"epochs is 0"),
        ("x = 1", r"no function 'study'"),
        ("def study(): return 3", r"study\(\) returned int, needs a Study"),
        ("def study(: pass", r"SyntaxError"),
        (
            "from jetscale.study import *\ndef study(): return Data(constituents=32)",
            r"s\.py:2: Data lacks pretraining_jets; write Data\(pretraining_jets=\.\.\., \.\.\.\)",
        ),
        (
            "from jetscale.study import Condition",
            r"unknown name of jetscale\.study 'Condition'; did you mean 'Conditions'",
        ),
        ("import does_not_exist", r"ModuleNotFoundError: No module named 'does_not_exist'"),
        ("def study(): return {}['rate']", r"KeyError: 'rate'"),
        ("def study(): raise SystemExit(3)", r"SystemExit: 3"),
    ],
)
def test_a_bad_sweep_file_is_one_line(tmp_path, text, message):
    path = tmp_path / "s.py"
    path.write_text(text)
    with pytest.raises(StudyError, match=message) as caught:
        load_study(path)
    assert str(caught.value).startswith(str(path))


def test_a_missing_sweep_file_is_answered_with_the_nearest(tmp_path, monkeypatch):
    (tmp_path / "quickstart.py").write_text("def study(): ...")
    (tmp_path / "quickstart2.py").write_text("# no study")
    with pytest.raises(StudyError, match=r"did you mean '.*quickstart.py'"):
        load_study(tmp_path / "quikstart.py")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StudyError, match=r"no sweep file .*nowhere"):
        load_study(tmp_path / "nowhere" / "quikstart.py")
    (tmp_path / "sweeps").mkdir()
    (tmp_path / "sweeps" / "mine.py").write_text("def study(): ...")
    with pytest.raises(StudyError, match=r"did you mean 'sweeps/mine.py'"):
        load_study(Path("sweep/mine.py"))


def test_a_sweep_file_can_give_the_conditions_of_simulated_jets(tmp_path):
    path, with_pileup = tmp_path / "s.py", "train_jets=10, pretraining=Conditions(pileup=5)"
    path.write_text(SWEEP.replace("train_jets=10", with_pileup).format(extra=""))
    assert load_study(path).source.pretraining.pileup == 5


def test_an_error_names_the_line_of_the_sweep_file(tmp_path):
    path = tmp_path / "s.py"
    path.write_text("def rate():\n    return [][1]\n\n\ndef study():\n    return rate()\n")
    with pytest.raises(StudyError, match=r"s.py:2: IndexError: list index out of range"):
        load_study(path)
    path.write_text("x = 1\ny = (\n")
    with pytest.raises(StudyError, match=r"s.py:2: SyntaxError"):
        load_study(path)


def test_a_module_beside_the_sweep_file_can_be_used(tmp_path):
    (tmp_path / "beside_the_sweep.py").write_text("EPOCHS = 7\n")
    path = tmp_path / "s.py"
    text = "from beside_the_sweep import EPOCHS\n" + SWEEP.format(extra=", epochs=EPOCHS")
    path.write_text(text)
    assert load_study(path).recipe.schedule.epochs == 7


def test_relative_folders_are_beside_the_sweep_file_or_else_where_one_works(tmp_path, monkeypatch):
    text = SWEEP.replace("Simulated(train_jets=10)", "Folders(train='a', validation='b', test='c')")
    (tmp_path / "sweeps").mkdir()
    (tmp_path / "sweeps" / "s.py").write_text(text.format(extra=""))
    for folder in ("sweeps/a", "a", "b"):
        (tmp_path / folder).mkdir()
    monkeypatch.chdir(tmp_path)
    source = load_study("sweeps/s.py").source
    assert source.train == str(tmp_path / "sweeps" / "a")  # both are there: beside the file
    assert source.validation == str(tmp_path / "b")  # only in the working directory
    assert source.test == str(tmp_path / "sweeps" / "c")  # neither
    assert Folders(train="a", validation="b", test="c").train == str(tmp_path / "a")


def test_what_a_sweep_file_prints_is_not_in_the_results(tmp_path, capsys):
    path = tmp_path / "s.py"
    path.write_text("print('hello')\n" + SWEEP.format(extra=""))
    load_study(path)
    out, err = capsys.readouterr()
    assert (out, err) == ("", "hello\n")


def test_sweep_files_of_version_0_1_still_load(former_study):
    assert isinstance(former_study.recipe, Recipe)
    assert former_study.recipe.data.pretraining_jets == 50


def test_sweep_files_of_today_name_the_groups(tmp_path):
    path = tmp_path / "s.py"
    old = "controls=Controls(pretraining_jets=5, validation_jets=5, test_jets=5{extra})"
    new = (
        "recipe=Recipe(data=Data(pretraining_jets=5), "
        "evaluation=Evaluation(validation_jets=5, test_jets=5){extra})"
    )
    path.write_text(SWEEP.replace(old, new).format(extra=", optimiser=Optimiser(clip=2)"))
    assert load_study(path).recipe.optimiser.clip == 2.0
    path.write_text(SWEEP.replace(old, new).format(extra=", optimiser=Optimiser(clp=2)"))
    with pytest.raises(StudyError, match=r"unknown Optimiser field 'clp'; did you mean 'clip'"):
        load_study(path)


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("def study(:\n", 1, "def study(:"),
        ("def study():\n    return (1, 2)[5]\n", 2, "return (1, 2)[5]"),
        ("def study():\n    return (\n        1 +\n        foo)\n", 4, "foo)"),
        (
            "from jetscale.study import ModelSize\n\ndef study():\n"
            "    return tuple(\n        ModelSize(width=w, layers=1, heads=1)\n"
            "        for w in (4, 0))\n",
            5,
            "ModelSize(width=w, layers=1, heads=1)",
        ),
    ],
)
def test_a_mistake_is_told_with_the_line_and_what_it_says(tmp_path, text, line, said):
    path = tmp_path / "s.py"
    path.write_text(text)
    with pytest.raises(StudyError) as caught:
        load_study(path)
    assert str(caught.value).startswith(f"{path}:{line}: ")
    assert caught.value.__notes__ == [f"{line:>5} | {said}"]


def test_a_mistake_in_a_module_beside_the_sweep_is_told_there(tmp_path, monkeypatch):
    (tmp_path / "sizes_of_mine.py").write_text("def sizes():\n    return {}['small']\n")
    path = tmp_path / "s.py"
    path.write_text("from sizes_of_mine import sizes\ndef study():\n    return sizes()\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StudyError, match=r"^sizes_of_mine\.py:2: KeyError: 'small'"):
        load_study("s.py")
    sys.modules.pop("sizes_of_mine")


def test_a_mistake_has_its_line_from_the_folder_of_the_file_too(tmp_path, monkeypatch):
    (tmp_path / "s.py").write_text(SWEEP.format(extra="").replace("width=8", "width=0"))
    monkeypatch.chdir(tmp_path)
    for path in (Path("s.py"), Path("./s.py"), tmp_path / "s.py"):
        with pytest.raises(StudyError, match=r"s\.py:5: model size: width is 0") as caught:
            load_study(path)
        assert "ladder=(ModelSize(width=0" in caught.value.__notes__[0]
