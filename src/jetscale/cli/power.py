"""The command ``power``; parsing and printing only."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from jetscale.cli.common import PATH, cli, doing, json_option, print_json
from jetscale.cli.quantities import PLAIN, SHARE, Whole
from jetscale.cli.tables import fitted_options, run_table, source_of, table_options
from jetscale.words import duration

_LAW = "Law to assume: E,A,B,alpha,beta[,gamma], or the name of that of a pilot: overfit, auto."
_LIKE = "Laws of a pilot, a run table or a SWEEP that was run. [default: generic, or of --runs]"


def _timed(progress: Callable[[str, int, int], None]) -> Callable[[str, int, int], None]:
    """The same progress, which says after the first study how long all of a shift will take."""
    begun: list[float] = []

    def tell(what: str, done: int, total: int) -> None:
        begun.append(time.monotonic())
        if len(begun) == 2:
            hours = (begun[1] - begun[0]) * total / 3600
            doing(f"{total} studies for each shift that is tried, about {duration(hours)} a shift")
        progress(what, done, total)

    return tell


def _numbers(law: str) -> list[float]:
    try:
        return [float(number) for number in law.split(",")]
    except ValueError as error:
        raise click.UsageError(
            f"--law is {law!r}, needs 5 numbers E,A,B,alpha,beta, e.g. 0.5,20,20,0.35,0.35, or a "
            "sixth for gamma"
        ) from error


@cli.command()
@click.argument("sweep", type=PATH, required=False)
@table_options
@click.option("--law", help=_LAW)
@click.option("--like", type=PATH, help=_LIKE)
@click.option("--noise", type=SHARE, help="Spread of log loss between seeds. [default: 0.01]")
@click.option("--misfit", type=SHARE, help="Smooth deviation from the law. [default: the noise]")
@click.option("--shift", type=PLAIN, help="Power for this shift of a. [default: search for 80%]")
@click.option("--simulations", type=Whole(10), help="Made-up studies per shift, 10 at least. [32]")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the simulation.")
@fitted_options()
@json_option
def power(
    sweep: Path | None,
    runs: Path | None,
    law: str | None,
    like: Path | None,
    as_json: bool,
    **asked: Any,
) -> None:
    """What the planned grid will be able to say.

    Nothing is trained. Made-up studies on the planned cells are analysed as real ones would be:
    interval widths, the smallest shift of the exponent a of N* ~ C^a between two mixtures that is
    detected with 80% power, and which further runs help most per FLOP. With --runs the grid and
    the laws are those of a run table: what it can tell, and what more runs would add.

    \b
    Example:
      jetscale power sweeps/quickstart.py
      jetscale power sweeps/quickstart.py --like pilot.csv --shift -0.1
      jetscale power --runs runs.csv --columns params=N,examples=tokens
    """
    doing(f"analysing made-up studies like {source_of(sweep, runs)}")
    import jetscale
    from jetscale.display.console import progress_bar
    from jetscale.display.power import show_power
    from jetscale.jsonable import as_json as plain

    how = {name: asked.pop(name) for name in ("objective", "uncertainty")}
    stated = None
    if law is not None and "," not in law and not law[:1].isdigit():
        how["law"] = law
    elif law is not None:
        stated = _numbers(law)
    pilot = None
    if like is not None:
        is_sweep = like.suffix == ".py"
        pilot, _ = run_table(like if is_sweep else None, None if is_sweep else like)
    source = run_table(None, runs)[0] if sweep is None else jetscale.load_study(sweep)
    name = str(runs) if sweep is None else source.name
    given = {what: value for what, value in asked.items() if value is not None}
    given |= {"law": stated, "options": jetscale.Options(**how)}
    with progress_bar() as progress:
        found = jetscale.power(source, like=pilot, progress=_timed(progress), **given)
    if as_json:
        return print_json({"study": name} | plain(found))
    return show_power(found, name)
