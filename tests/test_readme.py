"""The README tells the truth: its commands parse, its files exist, its Python runs."""

import re

import numpy as np
import pandas as pd
import pytest
from fixtures.commands import ROOT, blocks_of, commands_of, parsed

from jetscale.scaling.engine import laws

JS = re.compile(r"\bjs\.(\w+)")
TEXT = (ROOT / "README.md").read_text()
BLOCKS = blocks_of(TEXT)
COMMANDS = commands_of(TEXT)
JETSCALE = [command for command in COMMANDS if command.startswith("jetscale ")]


def test_nothing_is_left_to_fill_in():
    assert "@@" not in TEXT
    assert "quickstart.png" in TEXT


def test_the_readme_has_commands():
    assert "make demo" in COMMANDS
    assert len(JETSCALE) >= 10


@pytest.mark.parametrize("command", JETSCALE)
def test_every_command_parses(command):
    sweep = parsed(command).params.get("sweep")
    assert sweep is None or (ROOT / sweep).is_file()


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("make ")])
def test_every_make_target_exists(command):
    assert re.search(rf"^{command.split()[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("target", re.findall(r"\]\(([^)#:]+)[)#]", TEXT))
def test_every_link_leads_to_a_file(target):
    assert (ROOT / target).exists()


def test_the_names_of_the_front_door_exist():
    import jetscale

    names = {name for kind, body in BLOCKS if kind == "python" for name in JS.findall(body)}
    assert len(names) >= 4
    assert all(callable(getattr(jetscale, name)) for name in {*names, *JS.findall(TEXT)})


@pytest.mark.slow
def test_the_analysis_in_the_readme_runs(tmp_path, monkeypatch, capsys):
    theta = np.array([0.5, 20.0, 30.0, 0.45, 0.42])
    rows = [
        (name, n, d, float(height * laws.loss(theta, n, d)))
        for name, height in (("a", 1.0), ("b", 0.9))
        for n in (1e3, 1e4, 1e5)
        for d in (1e3, 1e4, 1e5)
    ]
    frame = pd.DataFrame(rows, columns=["mixture", "params", "examples", "loss"])
    frame.to_csv(tmp_path / "runs.csv", index=False)
    monkeypatch.chdir(tmp_path)
    exec(next(body for kind, body in BLOCKS if kind == "python" and "js.fit(" in body), {})
    assert re.match(r"b [\d.]+ \[[\d.]+, [\d.]+\] ", capsys.readouterr().out)
