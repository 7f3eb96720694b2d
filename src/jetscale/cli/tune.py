"""The tune command: parsing and printing only."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jetscale.cli.common import (
    ahead_of,
    cli,
    doing,
    home,
    json_option,
    machine_options,
    print_json,
    sweep_argument,
    warn,
)
from jetscale.cli.quantities import COUNT
from jetscale.store.storage import LocalStorage

if TYPE_CHECKING:
    from jetscale.machines import Machines
    from jetscale.study import Study
    from jetscale.study.search import Search

HOW = ("grid", "random", "optuna")
_HOW = "Beside the grid, points that change everything at once."
_POINTS = "How many of them, for every mixture the same."
_RATES = "Factors on the study's peak rates. [default: 0.25,0.5,1,2,4]"
_PRETRAINING = "Factors on those of pretraining. [default: as --rates]"
_TRY = "Also try other values of a setting, e.g. weight_decay=0,0.1; may be repeated."
_WIDTHS = "Widths of the ladder. [default: smallest, middle, largest]"
_SIZES = "Data sizes of the study. [default: smallest, middle, largest]"


def _numbers(context: click.Context, option: click.Parameter, text: str | None) -> list[float]:
    """The numbers of a comma-separated option."""
    try:
        values = [float(part) for part in (text or "").split(",") if part.strip()]
    except ValueError as error:
        name = option.opts[0]
        raise click.UsageError(f"{name} is {text!r}, needs numbers such as 0.5,1,2") from error
    whole = option.name in ("widths", "data_sizes")
    if whole and any(value != int(value) for value in values):
        raise click.UsageError(f"{option.opts[0]} is {text!r}, needs whole numbers")
    return [int(value) for value in values] if whole else values


def _settings(context: click.Context, option: click.Parameter, texts: tuple[str, ...]) -> Any:
    """Settings to values: ``weight_decay=0,0.1`` as {"weight_decay": (0.0, 0.1)}."""
    tried: dict[str, tuple[float, ...]] = {}
    for text in texts:
        name, equals, values = text.partition("=")
        try:
            numbers = [float(value) for value in values.split(",")]
        except ValueError:
            numbers = []
        if not (name and equals and numbers):
            raise click.UsageError(f"--try is {text!r}, needs NAME=VALUE,VALUE")
        tried[name.strip()] = tuple(int(n) if n == int(n) and n >= 1 else n for n in numbers)
    return tried


@cli.command()
@sweep_argument
@click.option("--rates", callback=_numbers, help=_RATES)
@click.option("--pretraining-rates", callback=_numbers, help=_PRETRAINING)
@click.option("--try", "tried", multiple=True, callback=_settings, help=_TRY)
@click.option("--widths", callback=_numbers, help=_WIDTHS)
@click.option("--data-sizes", callback=_numbers, help=_SIZES)
@click.option("--seeds", type=COUNT, default=2, show_default=True)
@click.option(
    "--search", "how", type=click.Choice(HOW), default=HOW[0], show_default=True, help=_HOW
)
@click.option("--points", type=COUNT, default=12, show_default=True, help=_POINTS)
@machine_options
@click.option("--status", "only_status", is_flag=True, help="Only say how far the search is.")
@json_option
def tune(
    sweep: Path,
    how: str,
    points: int,
    machines: "Machines",
    only_status: bool,
    as_json: bool,
    **asked: Any,
) -> None:
    """Find the learning rates, alike for every mixture.

    The same rates are tried for scratch, for fine-tuning and for pretraining, at several widths and
    data sizes, on validation jets. What is found is a law of width and steps, written beside SWEEP
    as a recipe file, and shown on a page, tune.html, in the results folder. A second call trains
    only what is missing. No run is stopped early: its rate falls to zero at its own end, so losses
    on the way cannot be compared.

    \b
    Example:
      jetscale tune sweeps/quickstart.py
      jetscale tune sweeps/quickstart.py --rates 0.25,0.5,1,2,4,8 --try weight_decay=0,0.1
      jetscale tune sweeps/quickstart.py --search optuna --try warmup=0.05,0.1,0.2 --points 16
    """
    doing(f"reading {sweep}, and what is done already")
    from jetscale.display.console import progress_bar, show_outcome
    from jetscale.display.tuning import show_tuning, show_written
    from jetscale.report import search_page
    from jetscale.study.load import load_study
    from jetscale.study.search import make_search
    from jetscale.study.tuned import recipe_path
    from jetscale.sweep.launch import run_study
    from jetscale.sweep.runs import attach
    from jetscale.sweep.tune import extend_search, load_search
    from jetscale.tracking.address import tracking_uri
    from jetscale.tuning import tuned

    study, uri = load_study(sweep), tracking_uri(home())
    search = make_search(study, **{name: value for name, value in asked.items() if value})
    if only_status:
        return _status(study, search, as_json)

    def train(search: "Search") -> None:
        """Train what is missing of a search; leave where Ray lost a trial."""
        ahead_of(study, machines, search)
        how: dict[str, Any] = {"tracking": uri, "machines": machines, "search": search}
        with progress_bar() as progress:
            outcome = run_study(study, home(), progress=progress, **how)
        if outcome.failures or not as_json:
            show_outcome(outcome, f"{study.name}, search", str(sweep), uri)
        if outcome.failures:
            sys.exit(1)

    train(search)
    if how != "grid":
        space = {"rate": search.rates, "pretraining_rate": search.pretraining_rates}
        space |= asked["tried"]
        search = extend_search(study, search, space, how, points, home(), train)
    found, path = tuned(study, search, load_search(study, search, home())), recipe_path(sweep)
    digest = found.write(path)
    folder = home().study(study)
    LocalStorage(folder.path).write(folder.search.name, found.table.to_csv(index=False).encode())
    page = search_page(found, str(sweep))
    page.write(folder.page)
    _, shown = folder.put(folder.search), folder.put(folder.page)
    if problem := attach(study, home(), uri, page.texts(), search=search):
        warn([problem])
    if as_json:
        told = {"recipe_file": str(path), "digest": digest, "page": shown, "tuning": found}
        return print_json(told)
    show_tuning(found)
    return show_written(found, str(sweep), path, shown)


def _status(study: "Study", search: "Search", as_json: bool) -> None:
    """Print how far a search is."""
    from jetscale.display.console import show_status
    from jetscale.planning.search import plan_search
    from jetscale.store.records import RecordStore, Status

    runs = [tried.run for tried in plan_search(study, search)]
    rows = RecordStore.open(study, home(), runs).status(runs)
    found = Status(study=f"{study.name}, search", runs=tuple(rows))
    return print_json(found) if as_json else show_status(found)
