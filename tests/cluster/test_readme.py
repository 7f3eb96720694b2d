"""cluster/README.md: what its commands name is there."""

import re
import shlex
from pathlib import Path

import pytest
from ray.scripts.scripts import cli

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "cluster" / "README.md").read_text()
BLOCKS = re.findall(r"^( *)```\n(.*?)^\1```$", TEXT, flags=re.DOTALL | re.MULTILINE)
# Tests that have the commands in their text, with another sweep.
RUN_IN = ("test_two_hosts.py", "test_mlflow_database.py", "test_array.py")
COMMANDS = [
    line.strip()
    for _, block in BLOCKS
    for line in block.replace("\\\n", " ").splitlines()
    if line.strip()
]


def test_there_are_commands():
    assert len(COMMANDS) > 12


def normal(text: str) -> str:
    """Commands without quotes and answers to questions, with one sweep and one address."""
    text = re.sub(r"sweeps/(quickstart|tiny)\.py|\{sweep\}", "SWEEP", text)
    text = re.sub(r"postgresql://\S+|\{ADDRESS\}", "ADDRESS", text)
    return " ".join(re.sub(r"""["'\\]|-y (?=cluster)""", "", text).split())


@pytest.mark.parametrize("line", [line for line in COMMANDS if "not run" not in line])
def test_a_line_that_is_not_marked_is_run_by_a_test(line):
    sources = "\n".join((ROOT / "tests" / "cluster" / name).read_text() for name in RUN_IN)
    # tests have functions for these beginnings
    shown = line.removeprefix("ray ").removeprefix("exec cluster/onprem.yaml ")
    assert normal(shown) in normal(sources)


def test_marks_of_what_was_not_run_are_honest():
    marked = [line for line in COMMANDS if "not run" in line]
    assert any("aws.yaml" in line for line in marked)
    assert any(line.startswith("kubectl apply") for line in marked)
    assert any(line.startswith("sbatch") for line in marked)


@pytest.mark.parametrize("folder", ["cluster", "sweeps"])
def test_named_files_exist(folder):
    named = set(re.findall(rf"\b{folder}/\w+\.(?:yaml|sh|py)", TEXT))
    assert named
    assert [path for path in sorted(named) if not (ROOT / path).is_file()] == []


def test_every_cluster_file_is_described():
    files = {path.name for path in (ROOT / "cluster").iterdir() if path.is_file()} - {"README.md"}
    assert {name for name in files if name not in TEXT} == set()


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
