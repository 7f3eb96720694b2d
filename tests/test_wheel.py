"""The wheel holds what the program reads beside its code."""

import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def builder() -> int:
    try:
        return int(version("setuptools").split(".")[0])
    except PackageNotFoundError:
        return 0


@pytest.mark.integration
@pytest.mark.skipif(builder() < 77, reason="setuptools 77, which builds the wheel offline")
def test_templates_and_starters_are_in_the_wheel(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        (source / name).write_bytes((ROOT / name).read_bytes())
    copied = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "src", source / "src", ignore=copied)
    build = "import setuptools.build_meta as b, sys; b.build_wheel(sys.argv[1])"
    out = tmp_path / "out"
    out.mkdir()
    subprocess.run(
        [sys.executable, "-c", build, str(out)], cwd=source, check=True, capture_output=True
    )
    (wheel,) = out.glob("jetscale-*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    package = ROOT / "src" / "jetscale"
    files = (p for p in package.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
    assert {f"jetscale/{p.relative_to(package).as_posix()}" for p in files} <= held
