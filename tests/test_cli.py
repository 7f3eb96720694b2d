"""The command line: what it prints, and one line with exit code 2 for every mistake."""

import json
from pathlib import Path

import pytest

from jetscale.cli import cli, main

ROOT = Path(__file__).parents[1]
QUICKSTART = str(ROOT / "sweeps" / "quickstart.py")


@pytest.fixture(autouse=True)
def own_home(monkeypatch, tmp_path):
    monkeypatch.setenv("JETSCALE_HOME", str(tmp_path / "runs"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def call(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return stop.value.code, captured.out, captured.err


def refused(capsys, *arguments):
    code, out, err = call(capsys, *arguments)
    assert code == 2, err
    assert out == ""
    assert err.startswith("jetscale: ")
    assert err.count("\n") == 1
    return err


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_every_command_has_help_with_an_example(capsys, name):
    code, out, _ = call(capsys, name, "--help")
    assert code == 0
    assert "Example" in out or name == "measure"
    assert f"jetscale {name}" in out


def test_help_lists_the_commands_of_the_contract(capsys):
    code, out, _ = call(capsys, "--help")
    contract = "simulate ingest inspect measure plan run status fit compare allocate report"
    assert code == 0
    assert all(name in out for name in contract.split())


def test_the_plan_of_the_quickstart(capsys):
    code, out, _ = call(capsys, "plan", QUICKSTART, "--json")
    plan = json.loads(out)
    assert code == 0
    assert plan["finetuning_cells"] == 120
    assert plan["pretraining_cells"] == 16
    assert plan["held_fixed"]["learning_rate"] > 0
    params = [row["params"] for row in plan["rows"]]
    assert max(params) >= 20 * min(params)
    assert max(plan["data_sizes"]) >= 16 * min(plan["data_sizes"])


def test_the_plan_as_tables_fits_a_terminal(capsys):
    code, out, _ = call(capsys, "plan", QUICKSTART)
    assert code == 0
    assert "Held fixed for all mixtures" in out
    assert max(map(len, out.splitlines())) <= 80


def test_status_before_the_first_run(capsys):
    code, out, _ = call(capsys, "status", QUICKSTART, "--json")
    status = json.loads(out)
    assert code == 0
    assert (status["done"], status["missing"]) == (0, 136)
    assert status["cells"][0]["why"] == "not started"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fti"], "unknown command 'fti'; did you mean 'fit'?"),
        (["plan"], "Missing argument 'SWEEP'"),
        (["plan", ROOT / "sweeps" / "quikstart.py"], "did you mean '"),
        (
            ["simulate", "--corpus", "jetclas", "--jets", "5", "--out", "x"],
            "did you mean 'jetclass'",
        ),
        (["simulate", "--corpus", "jetclass", "--jets", "0", "--out", "x"], "'--jets'"),
        (["measure", QUICKSTART], "not there yet"),
        (["inspect", "nowhere"], "shard folder nowhere does not exist"),
        (["fit"], "give either a SWEEP file or --runs FILE.csv"),
        (["fit", QUICKSTART], "has no finished runs"),
        (["fit", "--runs", "nowhere.csv"], "nowhere.csv"),
        (["plan", QUICKSTART, "--jsn"], "--jsn"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(capsys, arguments, message):
    assert message in refused(capsys, *arguments)


def test_an_unwritable_results_folder(capsys, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("JETSCALE_HOME", str(tmp_path / "file"))
    assert "cannot write" in refused(capsys, "run", QUICKSTART)
