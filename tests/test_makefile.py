"""`make venv` with a stub interpreter: what it refuses, installs, and when it does nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Answers version questions like the real one; `-m venv DIR` makes a folder whose pip logs its call.
STUB = f"""#!/bin/bash
case "$1 $2" in
    "-m venv") mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
    "-m pip") echo "$*" >> pip.log ;;
    *) exec {sys.executable} "$@" ;;
esac
"""

QUICK = '-m "not (slow or integration or long)"'
SLOW = '-m "slow and not (integration or long)"'
STARTS, LONG = '-m "integration and not long"', '-m "long'


class Project:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = folder / "python"
        self.python.write_text(STUB)
        self.python.chmod(0o755)
        for name in ("Makefile", "pyproject.toml"):
            (folder / name).write_text((ROOT / name).read_text())
        (folder / "constraints.txt").touch()

    def make(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        # Variables of an outer make (`make test`) would change what this one prints and builds.
        env = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
        return subprocess.run(
            ["make", *arguments, f"PYTHON={self.python}"],
            cwd=self.folder,
            env=env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def installs(self) -> list[str]:
        log = self.folder / "pip.log"
        return log.read_text().splitlines() if log.exists() else []


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


def test_installs_every_extra_but_cloud_under_the_constraints(project):
    assert project.make("venv").returncode == 0
    ours, reference = project.installs()
    assert ours.endswith("-c constraints.txt -e .[simulate,formats,measure,export,docs,dev]")
    assert reference.endswith("-c constraints.txt --no-deps weaver-core")


def test_second_make_does_nothing(project):
    project.make("venv")
    assert project.make("-q", "venv").returncode == 0
    project.make("venv")
    assert len(project.installs()) == 2  # ours, and the reference of the tests


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt"])
def test_changed_requirements_install_again(project, name):
    project.make("venv")
    stamp = (project.folder / ".venv" / ".installed").stat().st_mtime
    os.utime(project.folder / name, (stamp + 5, stamp + 5))
    project.make("venv")
    assert len(project.installs()) == 4


def test_failed_install_is_tried_again(project):
    project.python.write_text(STUB.replace('echo "$*" >> pip.log', "exit 1"))
    assert project.make("venv").returncode != 0
    assert project.make("-q", "venv").returncode == 1


def test_unsuitable_python_is_refused_with_one_line(project):
    project.python.write_text("#!/bin/bash\nexit 1\n")
    done = project.make("venv")
    assert done.returncode != 0
    ours, make = done.stderr.splitlines()
    assert "is not Python 3.11, 3.12 or 3.13" in ours
    assert make.startswith("make")
    assert not (project.folder / ".venv").exists()


@pytest.mark.parametrize(
    ("goal", "wanted", "unwanted"),
    [
        ("check", [QUICK, "ruff format --check", "mypy"], [SLOW, STARTS, LONG]),
        ("slow", [SLOW], ["ruff", QUICK, STARTS, LONG]),
        ("test", [QUICK, SLOW, STARTS, "ruff check"], [LONG]),
        ("long", [LONG, "JETSCALE_TEST_HOSTS=0"], ["ruff", QUICK, SLOW, STARTS]),
        ("hosts", ["JETSCALE_TEST_HOSTS=1", "tests/cluster/test_two_hosts.py"], [STARTS, LONG]),
        ("demo", ["jetscale run", "jetscale allocate", "--budget 1e11", "report.html"], []),
    ],
)
def test_goals_run_what_they_say(project, goal, wanted, unwanted):
    recipe = project.make("-n", goal).stdout
    assert all(text in recipe for text in wanted)
    assert not any(text in recipe for text in unwanted)


def test_what_was_checked_is_not_checked_again(project):
    recipe = project.make("-n", "--old-file=check", "--old-file=slow", "test").stdout
    assert recipe.count("pytest") == 1
    assert STARTS in recipe


def test_ci_runs_every_tier_the_longest_tests_last():
    script = ROOT / ".ci" / "run"
    subprocess.run(["bash", "-n", str(script)], check=True)
    lines = [line.strip() for line in script.read_text().splitlines()]
    assert "set -euo pipefail" in lines
    assert lines.count('make check slow long OF="and not integration"') == 2
    assert lines[-2:] == [
        "make --old-file=check --old-file=slow test || failed_again",
        'make long OF="and integration" || failed_again',
    ]
    assert script.stat().st_mode & 0o100
