"""The command ``forecast``; parsing and printing only."""

from pathlib import Path
from typing import Any

import click

from jetscale.cli.common import OUT, PATH, cli, doing, json_option, print_json
from jetscale.cli.quantities import COUNT, FLOPS, PLAIN
from jetscale.cli.tables import ANY_LAW, fitted_options, run_table, source_of, table_options

_REGISTER = "Write the forecast to this file, which must not exist yet."
_CHECK = "Compare the forecast in this file with the runs of today."
_UP_TO = "Fit runs of at most so many FLOPs alone. [default: all]"
_BEYOND = "Forecast planned cells of so many times the compute of every run fitted."
_AT = "Instead of planned cells: params:examples,..., e.g. 1e6:2e5,3e6:2e5."
_SEEDS = "Runs whose mean is forecast. [default: as many as the SWEEP has seeds, or 1]"


@cli.command()
@click.argument("sweep", type=PATH, required=False)
@table_options
@click.option("--register", type=OUT, help=_REGISTER)
@click.option("--check", "checked", type=PATH, help=_CHECK)
@click.option("--up-to", type=FLOPS, help=_UP_TO)
@click.option("--beyond", type=PLAIN, default=30.0, show_default=True, help=_BEYOND)
@click.option("--at", default="", help=_AT)
@click.option("--seeds", type=COUNT, help=_SEEDS)
@fitted_options(ANY_LAW)
@json_option
def forecast(
    sweep: Path | None,
    runs: Path | None,
    register: Path | None,
    checked: Path | None,
    as_json: bool,
    **asked: Any,
) -> None:
    """Forecast cells before they are run, and check it after.

    --register writes the expected losses of cells that nobody has run, with 95% intervals of the
    mean over their seeds, the date, and a digest of the runs they rest on. Commit the file, train
    the cells, then --check says what became of it. With --law auto the intervals reach over those
    of every law that these runs do not refute.

    \b
    Example:
      jetscale forecast sweeps/quickstart.py --up-to 1e9 --register forecast.json
      jetscale forecast sweeps/quickstart.py --check forecast.json
      jetscale forecast --runs runs.csv --at 1e9:2e10 --register forecast.json
    """
    doing(f"reading the runs of {source_of(sweep, runs)}")
    from jetscale.display.forecast import show_check, show_registered
    from jetscale.errors import FitError
    from jetscale.jsonable import as_json as plain
    from jetscale.scaling import validate
    from jetscale.scaling.registered import Registered, check
    from jetscale.store.local import read_json, write_json

    if (register is None) == (checked is None):
        raise click.UsageError("give either --register FILE or --check FILE")
    if checked is not None:
        if not checked.is_file():
            raise FitError(f"--check is {checked}: no such file")
        stored = read_json(checked)
        if stored is None:
            raise FitError(f"--check is {checked}, which is no JSON file of a forecast")
        registered = Registered.of(stored)
        found = check(registered, validate(run_table(sweep, runs)[0]))
        return print_json(plain(found)) if as_json else show_check(found)
    assert register is not None
    if register.exists():
        raise click.UsageError(f"--register is {register}, which exists: a forecast is made once")
    made = _made(sweep, runs, asked)
    write_json(register, plain(made))
    return print_json(plain(made)) if as_json else show_registered(made, register)


def _made(sweep: Path | None, runs: Path | None, asked: dict[str, Any]) -> Any:
    """Forecast of the cells asked for, or of the planned ones that are far enough beyond."""
    from dataclasses import replace
    from datetime import UTC, datetime

    from jetscale import __version__
    from jetscale.errors import FitError
    from jetscale.planning.overview import power_grid
    from jetscale.scaling import Options, validate
    from jetscale.scaling.engine.forms import AUTO
    from jetscale.scaling.kept import kept_fit
    from jetscale.scaling.registered import cells_ahead, register, up_to
    from jetscale.study.load import load_study

    if sweep is None and not asked["at"]:
        raise click.UsageError("--runs has no plan: name the cells, e.g. --at 1e6:2e5")
    cells = _cells(asked["at"])
    options = Options(**{name: asked[name] for name in ("law", "objective", "uncertainty")})
    everything = validate(run_table(sweep, runs)[0])
    used = everything if asked["up_to"] is None else up_to(everything, asked["up_to"])
    if used.empty:
        raise FitError(f"--up-to is {asked['up_to']:g}: no run is that small")
    used = used.drop(columns="cell")
    fits, seeds = kept_fit(used, options), asked["seeds"] or 1
    others = fits.tried.rivals if options.law == AUTO and fits.tried else ()
    if sweep is not None:
        study = load_study(sweep)
        seeds = asked["seeds"] or len(study.seeds)
        if not cells:
            grid = power_grid(study)
            planned = list(zip(grid.params.tolist(), grid.examples.tolist(), strict=True))
            cells = cells_ahead(planned, fits, everything, asked["beyond"])
    how = {"made": datetime.now(UTC).isoformat(timespec="seconds"), "version": __version__}
    rest = [kept_fit(used, replace(options, law=name)) for name in others]
    return register(fits, cells, everything, seeds=seeds, rivals=rest, **how)


def _cells(text: str) -> list[tuple[float, float]]:
    """Cells of ``params:examples,...``."""
    found = []
    for part in filter(None, text.split(",")):
        try:
            params, examples = (float(number) for number in part.split(":"))
        except ValueError as error:
            raise click.UsageError(
                f"--at has {part!r}, needs params:examples, e.g. 1e6:2e5"
            ) from error
        if not (0 < params < float("inf") and 0 < examples < float("inf")):
            raise click.UsageError(f"--at has {part!r}, needs numbers above zero, e.g. 1e6:2e5")
        found.append((params, examples))
    return found
