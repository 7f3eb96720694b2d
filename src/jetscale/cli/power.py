"""The command ``power``; parsing and printing only."""

from pathlib import Path
from typing import Any

import click

from jetscale.cli.common import PATH, cli, json_option, print_json, sweep_argument


@cli.command()
@sweep_argument
@click.option("--law", help="Law to assume: E,A,B,alpha,beta. [default: a generic one]")
@click.option(
    "--like", type=PATH, help="Instead: those of a pilot, a CSV file or a SWEEP that was run."
)
@click.option("--noise", type=float, help="Spread of log loss between seeds. [default: 0.01]")
@click.option("--misfit", type=float, help="Spread of cells about the law. [default: the noise]")
@click.option("--shift", type=float, help="Power for this shift of a. [default: search for 80%]")
@click.option("--simulations", type=int, help="Made-up studies per shift. [default: 32]")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the simulation.")
@json_option
def power(sweep: Path, law: str | None, like: Path | None, as_json: bool, **asked: Any) -> None:
    """What the planned grid will be able to say.

    Nothing is trained. Made-up studies on the planned cells are analysed as real ones would be:
    interval widths, the smallest shift of the exponent a of N* ~ C^a between two mixtures that is
    detected with 80% power, and which further runs help most per FLOP.

    \b
    Example:
      jetscale power sweeps/quickstart.py
      jetscale power sweeps/quickstart.py --like pilot.csv --shift -0.1
    """
    from jetscale import scaling
    from jetscale.cli.analysis import run_table
    from jetscale.display.console import progress_bar
    from jetscale.display.power import show_power
    from jetscale.jsonable import as_json as plain
    from jetscale.plan.overview import power_grid
    from jetscale.study.load import load_study

    try:
        stated = None if law is None else [float(number) for number in law.split(",")]
    except ValueError as error:
        raise click.UsageError(
            f"--law is {law!r}, needs 5 numbers E,A,B,alpha,beta, e.g. 0.5,20,20,0.35,0.35"
        ) from error
    study = load_study(sweep)
    grid, pilot = power_grid(study), None
    if like is not None:
        pilot, _ = run_table(*((like, None) if like.suffix == ".py" else (None, like)))
    given = {name: value for name, value in asked.items() if value is not None}
    with progress_bar() as progress:
        found = scaling.power(grid, law=stated, pilot=pilot, progress=progress, **given)
    if as_json:
        print_json({"study": study.name} | plain(found))
    else:
        show_power(found, study.name)
