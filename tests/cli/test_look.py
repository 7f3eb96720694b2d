"""The run table and the labels on the command line."""

import json

import pandas as pd
import pytest
from fixtures.former import FORMER

from jetscale.cli import main
from jetscale.jets.schema import JETCLASS2, PARTS


def said(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        main([*arguments])
    return ended.value.code, capsys.readouterr()


def test_labels_are_listed_and_counted(capsys):
    code, out = said(capsys, "labels", "X_bb,QCD_bc*")
    assert code == 0
    assert out.out.splitlines()[0] == "X_bb,QCD_bc*: 7 labels"
    assert out.out.split()[3:] == ["X_bb", *(n for n in JETCLASS2 if n.startswith("QCD_bc"))]
    code, out = said(capsys, "labels", "qcd", "--json")
    assert json.loads(out.out)["labels"] == list(PARTS["qcd"].labels)


def test_all_labels_without_a_pattern_and_none_for_a_typo(capsys):
    _, out = said(capsys, "labels")
    assert out.out.startswith(f"*: {len(JETCLASS2)} labels")
    code, out = said(capsys, "labels", "X_bbb")
    assert code == 2
    assert "did you mean" in out.err


def test_the_run_table_is_what_runs_reads(former_home, capsys, tmp_path, monkeypatch):
    sweep, home = FORMER / "tiny.py", former_home.path
    monkeypatch.setenv("JETSCALE_HOME", str(home))
    table = tmp_path / "runs.csv"
    code, out = said(capsys, "runs", str(sweep), "--csv", str(table))
    assert code == 0
    frame = pd.read_csv(table)
    assert f"{len(frame)} runs written" in out.out
    assert {"mixture", "params", "examples", "seed", "loss", "flops"} <= set(frame)
    _, out = said(capsys, "runs", str(sweep), "--json")
    assert len(json.loads(out.out)["runs"]) == len(frame)
    _, out = said(capsys, "runs", str(sweep))
    assert out.out.count("\n") > len(frame.head(40))
