"""The command line: what it prints, and one line with exit code 2 for every mistake."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from jetscale.cli import cli, main
from jetscale.jets.shards import write_shards

ROOT = Path(__file__).parents[2]
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


def test_a_mistake_in_a_sweep_file_shows_its_line(capsys, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("def study():\n    return undefined\n")
    code, out, err = call(capsys, "plan", path)
    assert (code, out) == (2, "")
    told = f"jetscale: {path}:2: NameError: name 'undefined' is not defined\n"
    assert err.endswith(f"{told}    2 | return undefined\n")


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_every_command_has_help_with_an_example(capsys, name):
    code, out, _ = call(capsys, name, "--help")
    assert code == 0
    assert "Example" in out
    assert f"jetscale {name}" in out


def test_help_lists_the_commands_of_the_contract(capsys):
    code, out, _ = call(capsys, "--help")
    contract = "simulate ingest inspect measure plan run work status fit compare allocate report"
    assert code == 0
    assert all(name in out for name in contract.split())


def test_without_arguments_the_help_is_shown(capsys):
    code, out, err = call(capsys)
    assert (code, err) == (0, "")
    assert out == call(capsys, "--help")[1]
    assert out.count("\n") > 15


def test_the_plan_of_the_quickstart(capsys):
    code, out, _ = call(capsys, "plan", QUICKSTART, "--json")
    plan = json.loads(out)
    assert code == 0
    assert plan["finetuning_runs"] == 150
    assert plan["pretraining_runs"] == 20
    assert plan["recipe"]["optimiser.rates.scratch.learning_rate"] > 0
    params = [row["params"] for row in plan["rows"]]
    assert max(params) >= 20 * min(params)
    assert max(plan["data_sizes"]) >= 16 * min(plan["data_sizes"])


@pytest.mark.slow
def test_the_plan_as_tables_fits_a_terminal(capsys):
    code, out, _ = call(capsys, "plan", QUICKSTART, "--slots", "2", "--full")
    assert code == 0
    assert "Recipe: held fixed for all mixtures" in out
    short = call(capsys, "plan", QUICKSTART, "--slots", "2")[1]
    assert "Recipe" not in short
    first, last = short.split("\nRuns")[0], " ".join(short.split("warning: ")[-1].split())
    assert re.search(r"about \d+ min on 2 cores", " ".join(first.split()))
    assert re.search(r"About \d+ min on 2 cores: [\d.]+ min to simulate 58,000 jets, ", last)
    assert max(map(len, out.splitlines())) <= 80


def test_status_before_the_first_run(capsys):
    code, out, _ = call(capsys, "status", QUICKSTART, "--json")
    status = json.loads(out)
    assert code == 0
    assert (status["done"], status["missing"]) == (0, 170)
    assert status["runs"][0]["why"] == "not started"


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
        (
            ["simulate", "--corpus", "jetclass2", "--jets", "5", "--out", "x"],
            "'jetclass2' needs a part: give --part qcd, res2p or res34p",
        ),
        (["inspect", "nowhere"], "or restore it: results made from it are found by its content"),
        (["measure", QUICKSTART, "--out", "x.gif"], "its ending is '.gif'"),
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
    assert "is a file, not a folder; choose another" in refused(capsys, "run", QUICKSTART)


@pytest.fixture
def shards(tmp_path, make_jets):
    write_shards(tmp_path / "jets", [make_jets(50, range(10))], corpus="jetclass", role="train")
    return tmp_path / "jets"


def test_inspect_counts_a_sound_folder(capsys, shards):
    code, out, _ = call(capsys, "inspect", shards, "--json")
    report = json.loads(out)
    assert code == 0
    assert report["rows"] == sum(report["label_counts"].values()) == 50
    code, out, _ = call(capsys, "inspect", shards)
    assert code == 0
    assert "all hashes match" in out


def test_inspect_refuses_a_truncated_shard(capsys, shards):
    path = shards / "shard-00000.parquet"
    path.write_bytes(path.read_bytes()[:-100])
    assert "shard-00000.parquet: expected" in refused(capsys, "inspect", shards)


def test_inspect_refuses_an_altered_shard(capsys, shards):
    path = shards / "shard-00000.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert "sha256" in refused(capsys, "inspect", shards)


def test_simulate_does_not_overwrite(capsys, shards):
    arguments = ["--corpus", "jetclass", "--jets", "10", "--out", shards]
    assert "is not empty; choose another folder" in refused(capsys, "simulate", *arguments)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk takes root")
def test_a_full_disk_leaves_nothing_behind(capsys, tmp_path, real_data):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("a small disk cannot be mounted here")
    try:
        example = real_data / "JetClassII_example.parquet"
        options = ["--format", "jetclass2", "--role", "pretrain", "--out", disk / "jets"]
        code, out, err = call(capsys, "ingest", *options, example)
        message = err.splitlines()[-1]  # after the progress
        assert (code, out) == (2, "")
        assert message.endswith("the disk is full; free some space and run again")
        assert list(disk.iterdir()) == []
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


LONG = "x" * 300


@pytest.mark.parametrize(
    "arguments",
    [
        ("plan", LONG),
        ("status", LONG),
        ("inspect", LONG),
        ("inspect", f"{LONG}/a"),
        ("fit", "--runs", LONG),
        ("simulate", "--corpus", "jetclass", "--jets", "1", "--out", LONG),
        ("ingest", "--format", "jetclass", "--role", "train", "--out", LONG, QUICKSTART),
        ("ingest", "--format", "jetclass", "--role", "train", "--out", "new", LONG),
    ],
)
def test_a_name_that_no_file_can_have_is_one_line(capsys, tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    assert "ile name too long" in refused(capsys, *arguments)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "error", [OSError("odd"), FileNotFoundError(2, "No such file", "a"), RuntimeError("bug")]
)
def test_an_error_that_only_a_bug_can_cause_stays_a_traceback(monkeypatch, shards, error):
    def fail(*arguments, **options):
        raise error

    monkeypatch.setattr("jetscale.display.console.show_shards", fail)
    with pytest.raises(type(error)):
        main(["inspect", str(shards)])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["runs.csv", "/dev/null"])
def test_a_file_is_no_results_folder(capsys, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs.csv").write_text("a,b")
    monkeypatch.setenv("JETSCALE_HOME", name)
    for command in ("status", "fit", "run"):
        assert "is a file, not a folder" in refused(capsys, command, QUICKSTART)


@pytest.mark.slow
def test_status_names_a_damaged_record(capsys, tmp_path):
    _, out, _ = call(capsys, "status", QUICKSTART, "--json")
    run = json.loads(out)["runs"][0]
    path = tmp_path / "runs" / "quickstart" / "records" / f"{run['key']}.json"
    path.parent.mkdir(parents=True)
    path.write_text('{"schema": 2}')
    code, out, _ = call(capsys, "status", QUICKSTART, "--json")
    status = json.loads(out)
    assert (code, status["damaged"], status["missing"]) == (0, 1, 169)
    assert status["runs"][0]["why"].startswith(f"{path}: field ")
    assert "damaged" in call(capsys, "status", QUICKSTART)[1]
