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
@click.option(
    "--law",
    default="chinchilla",
    show_default=True,
    help="chinchilla, no-floor, repetition, transfer or pretraining.",
)
@click.option("--objective", default="huber", show_default=True, help="huber, squares or absolute.")
@click.option("--uncertainty", help="cells, wild or trunks. [default: wild up to 16 cells]")
def fit(sweep: Path | None, runs: Path | None, as_json: bool, **options: Any) -> None:
    """Measured differences, law and frontier.

    What was measured comes first, then the law and the compute-optimal frontier of each mixture.

    \b
    Example:
      jetscale fit sweeps/quickstart.py
      jetscale fit --runs runs.csv --law no-floor --json
    """
    from jetscale import display_scaling, scaling

    frame, _ = _table(sweep, runs)
    summary = scaling.summarise_fit(frame, scaling.Options(**options))
    if as_json:
        print_json({"mixtures": {}} | summary.to_dict())
    else:
        display_scaling.show_summary(summary)


@cli.command()
@_analysis
@click.option("--budget", type=float, help="FLOPs for N*, D* and compute ratios. [default: middle]")
def compare(sweep: Path | None, runs: Path | None, as_json: bool, budget: float | None) -> None:
    """Tell whether two mixtures scale differently.

    Paired losses, differences of exponents, a test, and both frontiers at a budget.

    \b
    Example:
      jetscale compare sweeps/quickstart.py --budget 1e10
    """
    from jetscale import display_scaling, scaling

    frame, _ = _table(sweep, runs)
    summary = scaling.summarise_comparison(frame, budget)
    if as_json:
        print_json({"pairs": []} | summary.to_dict())
    else:
        display_scaling.show_summary(summary)


@cli.command()
@_analysis
@click.option("--budget", type=float, help="FLOPs of one training run, e.g. 1e13.")
@click.option("--gpu-hours", type=float, help="Instead: hours of one device; needs a speed.")
@click.option("--money", type=float, help="Instead: money; needs a speed and --price-gpu-hour.")
@click.option("--device", help="Speed: H200, H100, A100, L40S, V100 or T4, at --mfu.")
@click.option("--mfu", type=float, help="Measured share of the device's peak, e.g. 0.3.")
@click.option("--rate", type=float, help="Speed: measured training FLOPs per second.")
@click.option("--price-gpu-hour", type=float, help="Money per hour of the device.")
@click.option("--price-jet", type=float, default=0.0, help="Money per simulated jet. [default: 0]")
@click.option("--ladder", is_flag=True, help="Choose among the measured model sizes.")
@click.option("--mixture", help="Answer for this mixture alone.")
def allocate(
    sweep: Path | None,
    runs: Path | None,
    as_json: bool,
    ladder: bool,
    mixture: str | None,
    **terms: Any,
) -> None:
    """Spend a budget: size, data, mixture, loss.

    How many parameters, how many jets, which mixture, what loss, how sure. The budget is that of
    one training run in FLOPs, GPU-hours or money; with --price-jet data are not free either, and
    the optimum moves.

    \b
    Example:
      jetscale allocate sweeps/quickstart.py --budget 1e11
      jetscale allocate --runs runs.csv --gpu-hours 100 --device H100 --mfu 0.3
      jetscale allocate --runs runs.csv --money 500 --price-gpu-hour 2 --price-jet 1e-6 \\
        --device H100 --mfu 0.3 --ladder
    """
    from jetscale import display_scaling, scaling

    budget = _budget(**terms)
    frame, _ = _table(sweep, runs)
    scaling.check_question(budget, mixture, frame["mixture"])
    sizes = sorted(frame["params"].unique()) if ladder else ()
    allocation = scaling.allocate(scaling.fit(frame), budget, mixture, sizes)
    if as_json:
        print_json(allocation.to_dict())
    else:
        display_scaling.show_allocation(allocation)


def _budget(
    budget: float | None,
    gpu_hours: float | None,
    money: float | None,
    device: str | None,
    mfu: float | None,
    rate: float | None,
    price_gpu_hour: float | None,
    price_jet: float,
) -> Any:
    """The budget of `allocate` from its options."""
    from jetscale import scaling

    if sum(amount is not None for amount in (budget, gpu_hours, money)) != 1:
        raise click.UsageError("give one of --budget FLOPS, --gpu-hours HOURS and --money AMOUNT")
    if money is None and (price_gpu_hour is not None or price_jet):
        raise click.UsageError("prices need a budget in --money")
    if budget is not None:
        return scaling.flops_budget(budget)
    if rate is None:
        if device is None or mfu is None:
            raise click.UsageError("give the speed: --device NAME with --mfu SHARE, or --rate")
        rate = scaling.sustained(device, mfu)
    if gpu_hours is not None:
        return scaling.gpu_hours_budget(gpu_hours, rate)
    if price_gpu_hour is None:
        raise click.UsageError("--money needs --price-gpu-hour")
    return scaling.money_budget(money or 0.0, rate, price_gpu_hour, price_jet)


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
