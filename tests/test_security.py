"""What comes from disk, tables or servers is data: it runs, opens and hides nothing."""

import ast
import hashlib
import json
import os
import pickle
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from fixtures.faults import PATIENCE

from jetscale.cli import main
from jetscale.display import console
from jetscale.errors import DataError, JetscaleError, StorageError, StudyError, SweepError
from jetscale.jets.shards import open_shards, write_shards
from jetscale.mixtures.assemble import prepare_in_process
from jetscale.mixtures.stream import INDEX, open_stream
from jetscale.scaling import read_runs, validate
from jetscale.store.checkpoints import FORMAT, Checkpoint, load_trunk
from jetscale.store.home import Home
from jetscale.store.local import is_file_name, is_inside, locked
from jetscale.study import Mixture
from jetscale.tracking import ui
from jetscale.tracking.address import hide_password
from jetscale.tracking.mirror import Mirror

SOURCE = Path(__file__).parents[1] / "src"
OUTSIDE = (
    "../outside",
    "/etc/hostname",
    "a/b",
    "..",
    ".",
    "",
    "C:evil",
    "a\\b",
    "a\0b",
    "x" * 5000,
)
SHORT = [ascii(name[:20]) for name in OUTSIDE]
BELOW = [name for name in OUTSIDE if name != "a/b"]  # a shard may lie in a folder of the manifest's


# Nothing is run that was read


def calls() -> dict[str, list[str]]:
    """Every call in the source by the dotted name of what is called, with its arguments."""
    found: dict[str, list[str]] = {}
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                told = f"{path.stem}: {ast.unparse(node)}"
                found.setdefault(ast.unparse(node.func), []).append(told)
    return found


@pytest.mark.slow
def test_nothing_is_unpickled_or_evaluated():
    found = calls()
    names = "eval exec compile __import__ os.system os.popen marshal.loads shelve.open joblib.load"
    names += " pickle.load pickle.Unpickler cloudpickle.loads yaml.load pd.read_pickle"
    assert not set(names.split()) & set(found)
    # only of what was pickled in the same line, to see whether it can travel
    assert found["pickle.loads"] == ["executor: pickle.loads(pickle.dumps(error))"]
    assert all("weights_only=True" in told for told in found["torch.load"])
    assert all("allow_pickle=False" in told for told in found["np.load"])
    assert not [told for each in found.values() for told in each if "shell=True" in told]


class Trap:
    """What runs a command when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


def test_a_pickle_in_the_place_of_a_file_is_not_run(tmp_path, capsys):
    marker = tmp_path / "it-ran"
    held = {"identity": "k", "format": FORMAT, "number": 1, "state": Trap(marker)}
    torch.save(held, tmp_path / "torch.pt")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Trap(marker)))
    for path in (tmp_path / "torch.pt", tmp_path / "plain.pt"):
        kept, content = Checkpoint(tmp_path / "k.pt"), path.read_bytes()
        kept.files[0].write_bytes(hashlib.sha256(content).digest() + content)
        assert kept.load("k") is None
        with pytest.raises(JetscaleError, match="missing or damaged"):
            load_trunk(path, {})
    array = np.array([Trap(marker)], dtype=object)
    np.savez(tmp_path / "jets.npz", X=array, y=np.zeros(1))
    arguments = ["ingest", tmp_path / "jets.npz", "--format", "quarkgluon", "--role", "train"]
    arguments = [str(a) for a in (*arguments, "--out", tmp_path / "out")]
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert not marker.exists()
    pickle.loads((tmp_path / "plain.pt").read_bytes())  # the trap is one
    assert marker.is_dir()


# Names lead nowhere


@pytest.mark.parametrize(
    "name", [name for name in OUTSIDE if name != "a/b"], ids=lambda name: ascii(name[:20])
)
def test_a_manifest_names_files_of_its_own_folder_alone(tmp_path, make_jets, name):
    folder = tmp_path / "shards"
    write_shards(folder, [make_jets(20, range(10), 1)], corpus="jetclass", role="train")
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / manifest["shards"][0]["file"]).rename(tmp_path / "outside")
    manifest["shards"][0]["file"] = name
    for version in (manifest["format"], 1):  # the first one looks into its shards for columns
        (folder / "manifest.json").write_text(json.dumps(manifest | {"format": version}))
        with pytest.raises(DataError, match="is no name of a file in this folder") as caught:
            open_shards(folder)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", OUTSIDE, ids=SHORT)
def test_a_stream_names_files_of_its_own_folder_alone(train_plan, tmp_path, name):
    folder = prepare_in_process([train_plan], tmp_path)["train"]
    index = json.loads((folder / INDEX).read_text())
    (folder / index["blocks"][0]["file"]).rename(tmp_path / "outside")
    index["blocks"][0]["file"] = name
    (folder / INDEX).write_text(json.dumps(index))
    with pytest.raises(DataError, match="is no name of a file in this folder"):
        open_stream(folder)


@pytest.mark.parametrize(
    "name", [*OUTSIDE, "=cmd|' /C calc'!A0", "+1", "-1", "@x", "a\x1b[2J", "ä"]
)
def test_names_of_studies_and_mixtures_are_safe_as_paths_and_in_spreadsheets(name):
    with pytest.raises(StudyError, match=r"name .*(use letters, digits|at most 100)"):
        Mixture(name=name)


def test_names_of_our_own_files_are_good():
    assert is_inside("part-0123/shard-00000.parquet")
    assert all(map(is_file_name, ("shard-00000.parquet", "block-00000.arrow", "jets of 2026")))


def test_a_lock_follows_no_link_and_empties_nothing(tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("words")
    (tmp_path / "run.lock").symlink_to(precious)
    with (
        pytest.raises(StorageError, match="it is a link to another place"),
        locked(tmp_path / "run.lock"),
    ):
        pass
    assert precious.read_text() == "words"


@pytest.mark.integration
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_a_database_of_somebody_else_leads_no_file_out_of_the_folder(tmp_path):
    home = Home(tmp_path / "runs")
    home.path.mkdir()
    mirror = Mirror(f"sqlite:///{home.database}", "tiny", home)
    parent = mirror.parent("identity", {})
    mirror.attach(parent, {"report.html": "x"})
    info = mirror.client.get_run(parent).info
    info._artifact_uri = "mlflow-artifacts:/../../stolen"
    mirror.client.get_run = lambda _: type("Run", (), {"info": info})()
    with pytest.raises(SweepError, match="keeps files of tiny outside"):
        mirror.attach(parent, {"report.html": "x"})
    assert not (tmp_path / "stolen").exists()


# Tables of others


def table_with(tmp_path: Path, **columns: str) -> Path:
    row = {"mixture": "a", "params": "10", "examples": "10", "loss": "1"} | columns
    path = tmp_path / "runs.csv"
    path.write_text(",".join(row) + "\n" + ",".join(row.values()) + "\n")
    return path


@pytest.mark.parametrize("column", ["params", "examples", "loss", "seed"])
@pytest.mark.parametrize(
    "value",
    [
        *("1e400", "-1e400", "nan", "NaN", "inf", "0x10", "9" * 400, "1" + "0" * 5000),
        *("[[[[1]]]]", "=1+1", "@SUM(A1)", "1_0", "\u0661", "-0.0"),
    ],
    ids=lambda value: ascii(value[:20]),
)
def test_hostile_numbers_are_one_short_line(tmp_path, column, value, capsys):
    path = table_with(tmp_path, **{column: value})
    try:
        clean = read_runs(path)
    except JetscaleError as error:
        said = str(error)
        assert "\n" not in said
        assert len(said) < 400 + len(str(path))
    else:  # what is a number to everybody else, too
        assert float(clean[column].iloc[0]) == float(value)
        assert np.isfinite(clean[column].iloc[0])


@pytest.mark.slow
@pytest.mark.parametrize(
    "value",
    [10**5000, -(10**5000), 10**400, float("nan"), [1], {}, None],
    ids=["huge", "minus huge", "large", "nan", "list", "dict", "none"],
)
def test_hostile_values_of_a_frame_are_one_line(value):
    frame = pd.DataFrame({"mixture": ["a"], "examples": [10], "loss": [1.0]})
    frame["params"] = pd.Series([value], dtype=object)
    with pytest.raises(JetscaleError) as caught:
        validate(frame)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.slow
@pytest.mark.parametrize("needed", [True, False])
def test_a_hundred_thousand_columns_are_read_or_refused(tmp_path, needed):
    names = [f"column{i}" for i in range(100_000)]
    names += ["mixture", "params", "examples", "loss"] if needed else []
    path = tmp_path / "wide.csv"
    values = ["1"] * len(names)
    path.write_text(",".join(names) + "\n" + ",".join(values) + "\n")
    if needed:
        assert read_runs(path).shape == (1, 6)
        return
    with pytest.raises(JetscaleError, match=r"missing column 'params'.*99980 more") as caught:
        read_runs(path)
    assert len(str(caught.value)) < 1000


# Nothing is hidden from a reader


@pytest.mark.slow
def test_names_cannot_steer_a_terminal(tmp_path, capsys):
    names = ["a\x1b[2J", "b\x1b]0;title\x07", "c\x9b31m", "d\u202egnp", "[bold]e[/bold]"]
    rows = [
        f"{name},{n},{d},{1 + 10 / n**0.3 + 10 / d**0.3 + i / 100}"
        for i, name in enumerate(names)
        for n in (10, 100, 1000)
        for d in (100, 1000, 10000)
    ]
    path = tmp_path / "runs.csv"
    path.write_text("\n".join(["mixture,params,examples,loss", *rows]), encoding="utf-8")
    with pytest.raises(SystemExit) as stop:
        main(["fit", "--runs", str(path)])
    said = capsys.readouterr()
    assert stop.value.code == 0
    assert not set("\x1b\x07\x9b\u202e") & set(said.out + said.err)
    assert r"a\x1b[2J" in said.out
    assert "[bold]e[/bold]" in said.out
    with pytest.raises(SystemExit) as stop:
        main(["allocate", "--runs", str(path), "--budget", "1e6", "--mixture", "\x1b[2J"])
    assert stop.value.code == 2
    assert "\x1b" not in capsys.readouterr().err


def test_titles_and_lines_cannot_steer_a_terminal(capsys):
    console.show_table("\x1b[2J title", ("\x1b[31mcolumn",), [["\x1b[2J cell"]])
    console.say("\x1b[2J line")
    console.note("\x1b[2J remark")
    out = capsys.readouterr().out
    assert "\x1b[2J" not in out
    assert out.count(r"\x1b[2J") == 4


@pytest.mark.parametrize(
    ("address", "secret"),
    [
        ("http://me:s3cret@host:5000/x", "s3cret"),
        ("http://me:p@s3cret@host:5000/x", "s3cret"),
        ("http://me:s3/cret@host/x", "cret"),
        ("http://me:s3?cret@host/x", "cret"),
        ("https://s3cret@host/x", "s3cret"),
        ("postgresql+psycopg2://me:s3cret@db/m", "s3cret"),
        ("postgresql://db/m?user=me&password=s3cret", "s3cret"),
        ("postgresql://db/m?sslpassword=s3cret&x=1", "s3cret"),
        ("https://host/x?access_token=s3cret", "s3cret"),
        ("mssql://db?AccountKey=s3cret;x", "s3cret"),
    ],
)
def test_no_address_is_shown_with_its_secret(address, secret):
    shown = hide_password(f"no answer from '{address}' in time")
    assert secret not in shown
    assert shown.startswith("no answer from '")
    assert shown.endswith(" in time")


def test_the_ui_is_on_loopback_in_this_process_and_says_no_password(tmp_path, monkeypatch, capsys):
    ran = {}
    monkeypatch.setattr("uvicorn.run", lambda app, **options: ran.update(options, app=app))
    monkeypatch.setattr(ui, "addresses", lambda uri, port: {})
    monkeypatch.setattr(ui.os, "environ", dict(os.environ) | {"MLFLOW_HOST": "0.0.0.0"})
    monkeypatch.setitem(sys.modules, "mlflow.server", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "mlflow.server.fastapi_app", SimpleNamespace(app="server"))
    ui.serve("postgresql://me:s3cret@db/mlflow", Home(tmp_path), 50_123)
    assert (ran["app"], ran["host"], ran["port"]) == ("server", "127.0.0.1", 50_123)
    assert "s3cret" not in capsys.readouterr().out


# Bombs


@pytest.mark.slow
def test_a_zip_bomb_in_an_archive_is_refused_before_it_is_unpacked(tmp_path):
    """Arrays are read by batches; one whose rows hold no jets is refused by its shape alone."""
    path = tmp_path / "bomb.npz"
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000, 7)}"
    header += b" " * (118 - len(header) - 1) + b"\n"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("X", "y"):
            start = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
            archive.writestr(f"{name}.npy", start + bytes(10_000_000))
    code = "import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (6 << 30,) * 2); "
    code += "from jetscale.cli import main; main(sys.argv[1:])"
    arguments = ["ingest", path, "--format", "quarkgluon", "--role", "train"]
    command = [sys.executable, "-c", code, *map(str, (*arguments, "--out", tmp_path / "out"))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 2, signal.Signals(-done.returncode) if done.returncode < 0 else done
    assert done.stderr.count("\n") == 2  # what it does, and why it does not
    assert not (tmp_path / "out").exists()
