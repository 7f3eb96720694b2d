"""The commands about jets: what ingest tells, and where it stops."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from contextlib import nullcontext

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jetscale.cli import main
from jetscale.executor import in_process
from jetscale.jets.shards.manifest import open_shards


@pytest.fixture
def files(tmp_path, make_jets):
    paths = [tmp_path / "QCD_0.parquet", tmp_path / "QCD_1.parquet"]
    for seed, path in enumerate(paths):
        table = make_jets(50, range(188), seed)
        labels = pa.array([-1, *range(49)], pa.int32())
        index = table.column_names.index("jet_label")
        pq.write_table(table.set_column(index, "jet_label", labels), path)
    return paths


def call(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return stop.value.code, captured.out, captured.err


def ingest(capsys, tmp_path, *arguments):
    options = ["--format", "jetclass2", "--role", "pretrain", "--out", tmp_path / "s"]
    return call(capsys, "ingest", *options, "--workers", 1, *arguments)


def test_a_table_says_what_was_left_out_and_why(capsys, tmp_path, files):
    bad = tmp_path / "QCD_2.parquet"
    bad.write_bytes(files[0].read_bytes()[:-9])
    options = ["--select", "jet_pt < 140", "--on-bad-file", "skip"]
    code, out, err = ingest(capsys, tmp_path, *options, *files, bad)
    assert code == 0
    assert "reading jets: 100/100" in err
    rows = [line.split() for line in out.splitlines()]
    assert ["jet_pt", "<", "140", "20"] in rows
    assert ["label", "-1", "is", "not", "in", "0..187", "2"] in rows
    assert "skipped " in out
    assert "QCD_2.parquet: not a readable Parquet file" in out
    assert "78 of 100 jets from 2 files in" in out


def test_json_for_programs(capsys, tmp_path, files):
    code, out, _ = ingest(capsys, tmp_path, "--json", *files)
    summary = json.loads(out)
    assert code == 0
    assert summary["jets_read"] == 100
    assert summary["jets_kept"] + sum(summary["dropped"].values()) == 100
    names = {"files", "jets_read", "jets_kept", "unlabelled", "dropped", "skipped"}
    assert set(summary) == names


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--select", "jet_mass > 3"], "unknown jet column 'jet_mass'"),
        (["--on-bad-file", "stop"], "unknown policy for bad files 'stop'"),
        (["--of", "top"], "format jetclass2 knows its corpus; leave out 'top'"),
        (["--on-bad-jet", "fail"], "is not in 0..187; `--on-bad-jet drop` leaves such jets out"),
    ],
)
def test_mistakes_are_one_line(capsys, tmp_path, files, options, message):
    code, out, err = ingest(capsys, tmp_path, *options, *files)
    assert (code, out) == (2, "")
    assert message in err.splitlines()[-1]
    assert "Traceback" not in err


def test_several_files_are_read_at_the_same_time(capsys, tmp_path, files, monkeypatch):
    calls = []

    def executor(address, home, workers):
        calls.append(workers)
        return nullcontext(in_process)

    monkeypatch.setattr("jetscale.compute.connect.executor", executor)
    monkeypatch.setattr("os.cpu_count", lambda: 16)
    options = ["--format", "jetclass2", "--role", "pretrain", "--out"]
    assert call(capsys, "ingest", *options, tmp_path / "a", *files)[0] == 0
    assert call(capsys, "ingest", *options, tmp_path / "b", files[0])[0] == 0
    assert calls == [2]  # one file is read by this process


def test_own_jets_by_the_names_of_their_columns(capsys, tmp_path):
    rng = np.random.default_rng(0)
    direction = rng.normal(size=(300, 9, 3)) * [30, 30, 9] + [200, 0, 0]
    four = np.concatenate([direction, np.linalg.norm(direction, axis=2)[..., None]], axis=2)
    np.savez(tmp_path / "mine.npz", X=four, y=np.arange(300) % 2)
    columns = "px=X[0],py=X[1],pz=X[2],energy=X[3],label=y"
    options = ["--role", "train", "--workers", 1, "--out", tmp_path / "s"]
    own = [*options, "--format", "arrays", "--corpus", "top", "--classes", "QCD, top"]
    code, out, _ = call(capsys, "ingest", *own, "--columns", columns, tmp_path / "mine.npz")
    assert (code, "300 of 300 jets from 1 file in" in out) == (0, True)
    assert call(capsys, "inspect", tmp_path / "s")[0] == 0
    bare = ["--columns", columns.removesuffix(",label=y"), "--rows", "0:0.5"]
    bare += ["--role", "pretrain", "--out", tmp_path / "bare", "--workers", 1]
    code, out, _ = call(capsys, "ingest", "--format", "arrays", *bare, tmp_path / "mine.npz")
    assert (code, "150 of 150 jets from 1 file in" in out) == (0, True)
    assert "no label column: jets are unlabelled" in out
    wrong = columns.replace("y", "Y")
    code, _, err = call(capsys, "ingest", *own, "--columns", wrong, tmp_path / "mine.npz")
    assert (code, err.count("\n")) == (2, 1)
    options[-1] = tmp_path / "t"
    quarks = [*options, "--format", "quarkgluon", tmp_path / "mine.npz"]
    code, _, err = call(capsys, "ingest", *quarks)
    assert code == 2
    assert "of 300 jets are unusable, more than 1%" in err
    assert "keep the rest with --max-bad 1" in err


@pytest.mark.long
@pytest.mark.parametrize("workers", [1, 2])
def test_files_are_read_here_or_by_other_processes(capsys, tmp_path, files, monkeypatch, workers):
    """RAY_ADDRESS, set but empty, names no cluster."""
    monkeypatch.setenv("RAY_ADDRESS", "")
    options = ["--format", "jetclass2", "--role", "pretrain", "--json", "--out"]
    command = ["ingest", *options, tmp_path / "s", "--workers", workers, *files]
    code, out, err = call(capsys, *command)
    assert code == 0
    assert "reading jets: 100/100" in err
    assert json.loads(out)["files"] == 2
    code, out, _ = call(capsys, "inspect", tmp_path / "s", "--json")
    assert code == 0
    assert json.loads(out)["provenance"]["format"] == "jetclass2"
    assert multiprocessing.active_children() == []


@pytest.mark.integration
@pytest.mark.filterwarnings("default")
def test_files_are_read_on_the_cluster_of_ray_address(tmp_path, files, small_ray):
    """The same jets as in one process; the command leaves the cluster as it was."""
    address = small_ray.get_runtime_context().gcs_address
    environment = os.environ | {"RAY_ADDRESS": address, "JETSCALE_HOME": str(tmp_path)}
    options = ["--format", "jetclass2", "--role", "pretrain", "--json", "--out"]
    for name, workers in (("many", "2"), ("one", "1")):
        command = ["ingest", *options, tmp_path / name, "--workers", workers, *files]
        done = subprocess.run(
            [sys.executable, "-m", "jetscale", *command],
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
        assert json.loads(done.stdout)["dropped"] == {"label -1 is not in 0..187": 2}
    many, one = (open_shards(tmp_path / name) for name in ("many", "one"))
    assert many.digest == one.digest
    assert many.rows == 98
    assert {p.name for p in tmp_path.iterdir()} == {"many", "one", *(f.name for f in files)}
    assert small_ray.is_initialized()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_exit_code_tells_which_signal_ended_a_simulation(capsys, tmp_path, monkeypatch, number):
    def simulate_shards(*_, **__):
        os.kill(os.getpid(), number)
        time.sleep(600)

    monkeypatch.setattr("jetscale.jets.production.production.simulate_shards", simulate_shards)
    before = signal.getsignal(number)
    options = ["--corpus", "jetclass", "--jets", "10", "--out", tmp_path / "s"]
    code, out, err = call(capsys, "simulate", *options)
    assert (code, out) == (128 + number, "")
    assert err.splitlines()[-1] == "jetscale: stopped; finished work is kept, run again to go on"
    assert signal.getsignal(number) == before
