"""cluster/README.md: what its commands name is there."""

import re
import shlex
from pathlib import Path

import pytest
from ray.scripts.scripts import cli

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "cluster" / "README.md").read_text()
BLOCKS = re.findall(r"^( *)```\n(.*?)^\1```$", TEXT, flags=re.DOTALL | re.MULTILINE)
COMMANDS = [
    line.strip()
    for _, block in BLOCKS
    for line in block.replace("\\\n", " ").splitlines()
    if line.strip()
]


def test_there_are_commands():
    assert len(COMMANDS) > 12


@pytest.mark.parametrize("folder", ["cluster", "sweeps"])
def test_named_files_exist(folder):
    named = set(re.findall(rf"\b{folder}/\w+\.(?:yaml|sh|py)", TEXT))
    assert named
    assert [path for path in sorted(named) if not (ROOT / path).is_file()] == []


def test_every_cluster_file_is_described():
    files = {path.name for path in (ROOT / "cluster").iterdir() if path.suffix in {".yaml", ".py"}}
    assert all(f"cluster/{name}" in TEXT for name in files)


@pytest.mark.parametrize("line", [line for line in COMMANDS if line.startswith("ray ")])
def test_ray_commands_and_options_exist(line):
    _, name, *arguments = shlex.split(line, comments=True)
    command = cli.commands[name]
    arguments = arguments[: arguments.index(">")] if ">" in arguments else arguments
    context = command.make_context(name, arguments, resilient_parsing=False)
    assert context.params


def test_no_prices_and_an_honest_status():
    assert not re.search(r"[$€]\s?\d|\d\s?(?:USD|EUR|dollars)", TEXT)
    assert "Real launches" in TEXT
    assert "not tried" in " ".join(TEXT.split())
