"""The command `jetscale measure`, from a sweep file to tables, JSON and a figure."""

import json
import sys

import pytest

from jetscale.cli import main
from jetscale.jets.shards import write_shards

SWEEP = """
from jetscale.study import Controls, Folders, Mixture, ModelSize, Study

def study():
    root = {root!r}
    return Study(
        name="small",
        source=Folders(
            train=root + "/train", validation=root + "/validation", test=root + "/test",
            pretrain={{"qcd": root + "/qcd"}},
        ),
        mixtures=(Mixture(name="scratch"), Mixture(name="qcd", parts={{"qcd": 1}})),
        ladder=(ModelSize(width=8, layers=1, heads=1),),
        data_sizes=(20,),
        seeds=(1,),
        controls=Controls(pretraining_jets=200, validation_jets=10, test_jets=10, constituents=16),
    )
"""


@pytest.fixture
def sweep(tmp_path, make_jets, monkeypatch):
    for i, (role, jets) in enumerate([("train", 400), ("validation", 20), ("test", 20)]):
        write_shards(tmp_path / role, [make_jets(jets, range(10), i)], corpus="jetclass", role=role)
    qcd = make_jets(200, range(161, 188), 9)
    write_shards(tmp_path / "qcd", [qcd], corpus="jetclass2", role="pretrain")
    monkeypatch.setenv("JETSCALE_HOME", str(tmp_path / "runs"))
    monkeypatch.setattr("jetscale.measures.alignment.FOLDS", 2)
    monkeypatch.setattr("jetscale.measures.alignment.TREES", 5)
    file = tmp_path / "sweep.py"
    file.write_text(SWEEP.format(root=str(tmp_path)))
    return file


def call(capsys, *arguments):
    code = 0
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as stop:
        code = stop.code
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.mark.long
def test_tables_and_a_figure_in_the_results_folder(capsys, sweep, tmp_path):
    code, out, err = call(capsys, "measure", sweep)
    assert code == 0, err
    tables = out.split("figure written")[0]
    assert max(map(len, tables.splitlines())) <= 100
    for text in ("Diversity: labels", "Alignment with the downstream jets", "Vendi", "qcd"):
        assert text in out
    assert "collinear takes three" in out
    assert "no pretrained trunk of qcd yet" in out
    assert "measuring mixtures: 4/4" in err
    assert (tmp_path / "runs" / "small" / "mixtures.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.long
def test_json_and_a_figure_of_choice(capsys, sweep, tmp_path):
    figure = tmp_path / "points.svg"
    code, out, _ = call(capsys, "measure", sweep, "--json", "--jets", "200", "--out", figure)
    found = json.loads(out)
    assert code == 0
    assert figure.is_file()
    assert found["figure"] == str(figure)
    assert set(found) >= {"study", "downstream", "mixtures", "notes", "sentences", "axes"}
    assert list(found["mixtures"]) == ["qcd"]
    assert found["mixtures"]["qcd"]["transfer"] is None
    assert set(found["mixtures"]["qcd"]["diversity"]["labels_q1"]) == {
        "value",
        "low",
        "high",
        "p_value",
    }


def test_a_figure_of_an_unknown_kind_is_refused_before_anything_is_read(capsys, sweep, tmp_path):
    code, out, err = call(capsys, "measure", sweep, "--out", tmp_path / "a.gif")
    assert (code, out) == (2, "")
    assert "its ending is '.gif'" in err
    assert err.count("\n") == 1


@pytest.mark.slow
def test_without_scikit_learn_the_extra_is_named(capsys, sweep, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.ensemble", None)
    code, _, err = call(capsys, "measure", sweep)
    assert code == 2
    assert "pip install 'jetscale[measure]'" in err


@pytest.mark.parametrize(
    ("change", "arguments", "message"),
    [
        ('Mixture(name="qcd", parts={"qcd": 1.0}),', (), "no mixture besides scratch"),
        ("", ("--jets", "100"), "has 100 jets per sample"),
    ],
)
def test_what_cannot_be_measured_costs_no_jet(
    capsys, tmp_path, monkeypatch, change, arguments, message
):
    text = """
from jetscale.study import *
def study():
    return Study(name="s", source=Simulated(train_jets=1000),
                 mixtures=(Mixture(name="scratch"), Mixture(name="qcd", parts={"qcd": 1.0}),),
                 ladder=(ModelSize(width=8, layers=1, heads=1),), data_sizes=(50,), seeds=(1,),
                 controls=Controls(pretraining_jets=500, validation_jets=50, test_jets=50))
"""
    path = tmp_path / "s.py"
    path.write_text(text.replace(change, "") if change else text)
    monkeypatch.setenv("JETSCALE_HOME", str(tmp_path / "runs"))
    monkeypatch.setattr("jetscale.mixtures.inputs.ensure_shards", None)
    with pytest.raises(SystemExit) as stop:
        main(["measure", str(path), *arguments])
    assert stop.value.code == 2
    assert message in capsys.readouterr().err
