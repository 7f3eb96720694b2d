"""The analysis commands: fit, compare, allocate, report; parsing and printing only."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from jetscale.cli_base import PATH, cli, home, json_option, print_json, warn

F = TypeVar("F", bound=Callable[..., Any])


def _analysis(command: F) -> F:
    """SWEEP or --runs, and --json."""
    command = json_option(command)
    command = click.option(
        "--runs", type=PATH, help="Any run table (CSV): mixture, params, examples, loss[, flops]."
    )(command)
    return click.argument("sweep", type=PATH, required=False)(command)


def _table(sweep: Path | None, runs: Path | None) -> tuple[Any, list[str]]:
    """The run table of a sweep or of a CSV file, and warnings, which go to standard error too."""
    from jetscale.scaling import read_runs
    from jetscale.sweep.results import results
    from jetscale.sweep.tracking import default_uri
    from jetscale.sweepfile import load_study

    if (sweep is None) == (runs is None):
        raise click.UsageError("give either a SWEEP file or --runs FILE.csv")
    if runs is not None:
        return read_runs(runs), []
    assert sweep is not None
    frame, warnings = results(load_study(sweep), home(), default_uri(home()))
    warn(warnings)
    return frame, warnings


@cli.command()
@_analysis
def fit(sweep: Path | None, runs: Path | None, as_json: bool) -> None:
    """Measured differences, law and frontier.

    What was measured comes first, then the law and the compute-optimal frontier of each mixture.

    \b
    Example:
      jetscale fit sweeps/quickstart.py
      jetscale fit --runs runs.csv --json
    """
    from jetscale import display_scaling, scaling

    frame, _ = _table(sweep, runs)
    summary = scaling.summarise_fit(frame)
    if as_json:
        print_json({"mixtures": {}} | summary.to_dict())
    else:
        display_scaling.show_summary(summary)


@cli.command()
@_analysis
def compare(sweep: Path | None, runs: Path | None, as_json: bool) -> None:
    """Tell whether two mixtures scale differently.

    Paired losses, differences of exponents, a test.

    \b
    Example:
      jetscale compare sweeps/quickstart.py
    """
    from jetscale import display_scaling, scaling

    frame, _ = _table(sweep, runs)
    summary = scaling.summarise_comparison(frame)
    if as_json:
        print_json({"pairs": []} | summary.to_dict())
    else:
        display_scaling.show_summary(summary)


@cli.command()
@_analysis
@click.option("--budget", type=float, required=True, help="FLOPs of one training run, e.g. 1e13.")
@click.option("--mixture", help="Answer for this mixture alone.")
def allocate(
    sweep: Path | None, runs: Path | None, as_json: bool, budget: float, mixture: str | None
) -> None:
    """Spend a budget: size, data, mixture, loss.

    How many parameters, how many jets, which mixture, what loss, how sure.

    \b
    Example:
      jetscale allocate sweeps/quickstart.py --budget 1e11
    """
    from jetscale import display_scaling, scaling

    frame, _ = _table(sweep, runs)
    scaling.check_question(budget, mixture, frame["mixture"])
    allocation = scaling.allocate(scaling.fit(frame), budget, mixture)
    if as_json:
        print_json(allocation.to_dict())
    else:
        display_scaling.show_allocation(allocation)


@cli.command()
@_analysis
@click.option("--out", type=PATH, required=True, help="HTML file to write.")
def report(sweep: Path | None, runs: Path | None, as_json: bool, out: Path) -> None:
    """Write everything into one HTML file that opens offline.

    \b
    Example:
      jetscale report sweeps/quickstart.py --out report.html
    """
    from jetscale.report import write_report

    frame, warnings = _table(sweep, runs)
    write_report(
        frame,
        out,
        title=sweep.stem if sweep else str(runs),
        held_fixed=frame["controls"].iloc[0] if "controls" in frame else None,
        warnings=warnings,
    )
    if as_json:
        print_json({"report": str(out)})
    else:
        click.echo(f"report written to {out}")
