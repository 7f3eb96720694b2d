"""The recipes of images install what pyproject.toml and constraints.txt say."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
NAMES = ("Dockerfile", "jetscale.def")


def lines(name):
    """The lines of a recipe without comments."""
    text = re.sub(r"(^|\s)#.*", "", (ROOT / "cluster" / name).read_text())
    return [line.strip() for line in text.splitlines() if line.strip()]


def python_of(name):
    """The Python of the base image: of python:3.12-slim or ray:2.60.0-py312."""
    (base,) = [line for line in lines(name) if line.upper().startswith("FROM")]
    found = re.search(r"python:(\d)\.(\d+)|-py(\d)(\d+)", base)
    assert found, base
    return ".".join(part for part in found.groups() if part)


def copied(name):
    """Paths of the checkout that go into the image."""
    if name == "Dockerfile":
        words = [line.split()[2:-1] for line in lines(name) if line.startswith("COPY")]
        return {path for some in words for path in some}
    text = "\n".join(lines(name))
    section = text.split("%files\n")[1].split("\n%")[0]
    return {line.split()[0] for line in section.splitlines()}


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_installs_the_tested_versions(name):
    (install,) = [line for line in lines(name) if "pip install" in line]
    assert "-c constraints.txt" in install
    extras = re.search(r"'\.\[(.*)\]'", install)
    assert extras
    assert set(extras[1].split(",")) <= PROJECT["optional-dependencies"].keys()


@pytest.mark.parametrize("name", NAMES)
def test_what_a_recipe_copies_is_there_and_is_enough_to_build(name):
    paths = copied(name)
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []
    needed = {"pyproject.toml", "constraints.txt", "src", PROJECT["readme"]}
    assert needed | set(PROJECT["license-files"]) <= paths


def test_the_recipes_have_one_python_that_the_project_takes():
    pythons = {python_of(name) for name in NAMES}
    assert len(pythons) == 1
    assert SpecifierSet(PROJECT["requires-python"]).contains(f"{pythons.pop()}.0")


def test_the_recipes_install_the_same_extras_and_settings():
    for what in (r"'\.\[.*\]'", r"RAY_USAGE_STATS_ENABLED=0 MLFLOW_DISABLE_TELEMETRY=true"):
        found = [re.findall(what, "\n".join(lines(name))) for name in NAMES]
        assert found[0] == found[1] != []
