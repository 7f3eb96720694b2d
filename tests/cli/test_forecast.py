"""The command `jetscale forecast`, from a table to a file and its check."""

import json

import numpy as np
import pandas as pd
import pytest

from jetscale.cli import main
from jetscale.scaling.engine import laws

pytestmark = pytest.mark.slow

TRUTH = np.array([1.8, 480.0, 2100.0, 0.35, 0.37])


@pytest.fixture
def table(tmp_path, monkeypatch):
    """Writes a run table of 25 cells, with further ones where asked."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def write(*further):
        axes = np.geomspace(1e7, 1e9, 5), np.geomspace(1e8, 1e10, 5), (0, 1)
        n, d, seed = (axis.ravel() for axis in np.meshgrid(*axes, indexing="ij"))
        n, d = np.append(n, [f[0] for f in further]), np.append(d, [f[1] for f in further])
        seed = np.append(seed, np.zeros(len(further))).astype(int)
        loss = laws.loss(TRUTH, n, d) * np.exp(0.003 * np.random.default_rng(1).normal(size=len(n)))
        columns = {"mixture": "m", "params": n, "examples": d, "seed": seed, "loss": loss}
        path = tmp_path / "runs.csv"
        pd.DataFrame(columns).to_csv(path, index=False)
        return str(path)

    return write


def call(*arguments):
    with pytest.raises(SystemExit) as end:
        main(["forecast", *arguments])
    assert end.value.code == 0


@pytest.mark.long
def test_register_then_check(table, tmp_path, capsys):
    file = str(tmp_path / "forecast.json")
    call("--runs", table(), "--at", "1e10:1e11,3e9:1e11", "--register", file)
    out = capsys.readouterr().out
    assert "Forecast of cells not run yet" in out
    assert " 100  " in out, "100 times the compute of the largest run"
    assert file in out
    stored = json.loads((tmp_path / "forecast.json").read_text())
    assert [cell["params"] for cell in stored["cells"]] == [1e10, 3e9]
    call("--runs", table(), "--check", file)
    assert "None of the 2 cells forecast has been run." in capsys.readouterr().out
    later = table((1e10, 1e11), (3e9, 1e11))
    call("--runs", later, "--check", file, "--json")
    found = json.loads(capsys.readouterr().out)
    assert [one["inside"] for one in found["cells"]] == [True, True]
    assert found["text"].startswith("Forecast of 20")
    call("--runs", later, "--check", file)
    assert "2 of 2 cells inside" in capsys.readouterr().out


def test_part_of_the_runs(table, tmp_path, capsys):
    file = tmp_path / "forecast.json"
    asked = ["--up-to", "6e18", "--at", "1e10:1e11", "--register", str(file)]
    call("--runs", table(), *asked)
    stored = json.loads(file.read_text())
    assert stored["largest_flops"] <= 6e18 * 1.001
    assert stored["runs"] < 50
    assert "Forecast" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ([], "either --register FILE or --check FILE"),
        (["--register", "new.json"], "--runs has no plan: name the cells"),
        (["--register", "new.json", "--at", "1e7"], "--at has '1e7', needs params:examples"),
        (["--register", "new.json", "--at", "1e7:-3"], "needs numbers above zero"),
        (["--register", "new.json", "--at", "1e7:1e8"], "has been run"),
        (["--register", "new.json", "--at", "1e9:1e12", "--up-to", "1"], "no run is that small"),
        (["--register", "there.json", "--at", "1e9:1e12"], "exists: a forecast is made once"),
        (["--check", "there.json"], "no registered forecast"),
        (["--check", "absent.json"], "absent.json: no such file"),
    ],
)
def test_what_cannot_be_forecast_is_refused(table, tmp_path, monkeypatch, capsys, asked, why):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.json").write_text("{}")
    with pytest.raises(SystemExit) as end:
        main(["forecast", "--runs", table(), *asked])
    assert end.value.code == 2
    assert why in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "new.json").exists()
