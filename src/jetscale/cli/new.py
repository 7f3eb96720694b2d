"""`jetscale new`: a sweep file to begin with."""

import re
from importlib.resources import files
from pathlib import Path

import click

from jetscale.cli.common import OUT, cli


@cli.command()
@click.argument("file", type=OUT)
def new(file: Path) -> None:
    """Write a sweep file to begin with.

    FILE is a new Python file, such as mine.py; its study is called mine.

    \b
    Example:
      jetscale new mine.py
    """
    path = file.with_suffix(".py")
    if not re.fullmatch(r"[A-Za-z][\w-]*", path.stem):
        raise click.UsageError(
            f"{path.name} names no study; it begins with a letter and has letters, digits, - and _"
        )
    if path.exists():
        raise click.UsageError(f"{path} exists; choose another name")
    text = files("jetscale.starters").joinpath("jets.py").read_text(encoding="utf-8")
    path.write_text(text.replace("NAME.py", str(path)).replace("NAME", path.stem), encoding="utf-8")
    click.echo(f"{path} written: change it, then look with: jetscale plan {path}")
