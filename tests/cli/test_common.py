"""What commands say while they work: before their imports, and never to a program."""

import sys

import pytest

from jetscale.cli import cli, main

LOOKS = {"labels", "new", "status", "ui"}  # done, or told by itself, within a second
ARGUMENTS = {
    "simulate": ("--corpus", "jetclass", "--jets", "3000", "--out", "{new}"),
    "ingest": ("--format", "jetclass", "--role", "train", "--out", "{new}", "no.root"),
    "export": ("best", "no.py"),
    "predict": ("{model}", "{shards}"),
    "allocate": ("no.py", "--budget", "1e11"),
    "report": ("no.py", "--out", "report.html"),
    "forecast": ("no.py", "--register", "{new}"),
}


@pytest.mark.parametrize("name", sorted(set(cli.commands) - LOOKS))
def test_a_command_that_takes_a_while_says_first_what_it_does(
    name, not_told, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JETSCALE_HOME", str(tmp_path / "runs"))
    monkeypatch.setattr("jetscale.jets.production.production.simulate_shards", _stop)
    (tmp_path / "model.pt").touch()
    (tmp_path / "jets").mkdir()
    there = {"new": "new", "model": "model.pt", "shards": "jets"}
    given = [text.format(**there) for text in ARGUMENTS.get(name, ("no.py",))]
    with pytest.raises((SystemExit, Stopped)):
        main([name, *given])
    assert len(not_told) == 1
    assert not_told[0].endswith(" ...")


class Stopped(Exception):
    """What a test puts in the place of a long step."""


def _stop(*arguments, **options):
    raise Stopped


@pytest.mark.parametrize(
    ("asked", "terminal", "told"),
    [
        ((), False, 1),
        (("--json",), False, 0),
        (("--json",), True, 1),
    ],
)
def test_a_program_that_reads_is_not_told(asked, terminal, told, not_told, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal, raising=False)
    with pytest.raises(SystemExit):
        main(["plan", "no.py", *asked])
    assert len(not_told) == told


def test_simulate_says_how_long_it_takes(not_told, tmp_path, monkeypatch):
    monkeypatch.setattr("jetscale.jets.production.production.simulate_shards", _stop)
    given = ("--corpus", "jetclass", "--jets", "90k", "--out", tmp_path / "new", "--workers", "2")
    with pytest.raises(Stopped):
        main(["simulate", *map(str, given)])
    assert not_told == ["simulating 90,000 jets, about 5 min on 2 cores ..."]


@pytest.mark.parametrize(
    ("command", "option"),
    [
        ("report", "--out"),
        ("measure", "--out"),
        ("forecast", "--register"),
        ("runs", "--csv"),
    ],
)
@pytest.mark.parametrize(
    ("folder", "why"),
    [
        ("/proc", "the folder /proc cannot be written (No such file or directory); choose another"),
        ("/nowhere", "there is no folder /nowhere; make it first"),
    ],
)
def test_what_cannot_be_written_is_refused_before_the_work(
    command, option, folder, why, not_told, capsys
):
    with pytest.raises(SystemExit):
        main([command, "no.py", option, f"{folder}/new.html"])
    assert capsys.readouterr().err == f"jetscale: Invalid value for '{option}': {why}\n"
    assert not_told == []
