"""The analysis commands: fit, compare, allocate, report; parsing and printing only."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from jetscale.cli.common import PATH, cli, home, json_option, print_json, warn

F = TypeVar("F", bound=Callable[..., Any])


def _analysis(command: F) -> F:
    """SWEEP or --runs, and --json."""
    command = json_option(command)
    command = click.option(
        "--runs", type=PATH, help="Any run table (CSV): mixture, params, examples, loss[, flops]."
    )(command)
    return click.argument("sweep", type=PATH, required=False)(command)


def _fitted(command: F) -> F:
    """--law, --objective and --uncertainty: what is fitted, and how."""
    uncertainty = "components, trunks, cells or wild. [default: what suits the table]"
    objective = "huber, squares or absolute."
    law = "chinchilla, no-floor, repetition, transfer or pretraining."
    command = click.option("--uncertainty", help=uncertainty)(command)
    command = click.option("--objective", default="huber", show_default=True, help=objective)(
        command
    )
    return click.option("--law", default="chinchilla", show_default=True, help=law)(command)


def run_table(sweep: Path | None, runs: Path | None) -> tuple[Any, list[str]]:
    """The run table of a sweep or of a CSV file, and warnings, which go to standard error too."""
    from jetscale.scaling import read_runs
    from jetscale.study.load import load_study
    from jetscale.sweep.runs import load_runs
    from jetscale.tracking.address import tracking_uri

    if (sweep is None) == (runs is None):
        raise click.UsageError("give either a SWEEP file or --runs FILE.csv")
    if runs is not None:
        return read_runs(runs), []
    assert sweep is not None
    frame, warnings = load_runs(load_study(sweep), home(), tracking_uri(home()))
    warn(warnings)
    return frame, warnings


@cli.command()
@_analysis
@_fitted
@click.option("--shared", default="", help="Common to all mixtures: some of E,alpha,beta.")
def fit(sweep: Path | None, runs: Path | None, as_json: bool, shared: str, **options: Any) -> None:
    """Measured differences, law and frontier.

    What was measured comes first, then the law and the compute-optimal frontier of each mixture.

    \b
    Example:
      jetscale fit sweeps/quickstart.py
      jetscale fit --runs runs.csv --law no-floor --json
      jetscale fit --runs runs.csv --shared E,alpha
    """
    from jetscale import scaling
    from jetscale.display import laws as display_scaling

    names = tuple(name.strip() for name in shared.split(",") if name.strip())
    asked = scaling.Options(**options, shared=names)
    scaling.check_options(asked)
    frame, _ = run_table(sweep, runs)
    summary = scaling.summarise_fit(frame, asked)
    if as_json:
        print_json({"mixtures": {}} | summary.to_dict())
    else:
        display_scaling.show_summary(summary)


@cli.command()
@_analysis
@_fitted
@click.option("--budget", type=float, help="FLOPs for N*, D* and compute ratios. [default: middle]")
def compare(
    sweep: Path | None, runs: Path | None, as_json: bool, budget: float | None, **options: Any
) -> None:
    """Tell whether two mixtures scale differently.

    Paired losses, differences of exponents, tests of what the laws have in common, and both
    frontiers at a budget. The law is one of params and examples alone: chinchilla or no-floor.

    \b
    Example:
      jetscale compare sweeps/quickstart.py --budget 1e10
      jetscale compare --runs runs.csv --uncertainty trunks
    """
    from jetscale import scaling
    from jetscale.display import laws as display_scaling

    asked = scaling.Options(**options)
    scaling.check_comparison(asked, budget)
    frame, _ = run_table(sweep, runs)
    summary = scaling.summarise_comparison(frame, budget, asked)
    if as_json:
        print_json({"pairs": []} | summary.to_dict())
    else:
        display_scaling.show_summary(summary)


@cli.command()
@_analysis
@click.option("--budget", type=float, help="FLOPs of one training run, e.g. 1e13.")
@click.option("--gpu-hours", type=float, help="Instead: hours of one device.")
@click.option("--money", type=float, help="Instead: money; needs --price-gpu-hour.")
@click.option("--rate", type=float, help="FLOPs per second. [default: as the SWEEP's runs took]")
@click.option("--device", help="Or H200, H100, A100, L40S, V100 or T4, with --mfu.")
@click.option("--mfu", type=float, help="Measured share of the device's peak, e.g. 0.3.")
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
    from jetscale import scaling
    from jetscale.display import laws as display_scaling

    asked = _Terms(**terms)
    asked.check()
    frame, _ = run_table(sweep, runs)
    budget = asked.spent_on(frame)
    scaling.check_question(budget, mixture, frame["mixture"])
    sizes = sorted(frame["params"].unique()) if ladder else ()
    allocation = scaling.allocate(scaling.fit(frame), budget, mixture, sizes)
    if as_json:
        print_json(allocation.to_dict())
    else:
        display_scaling.show_allocation(allocation)


@dataclass(frozen=True, slots=True)
class _Terms:
    """What `allocate` was asked to spend, and at which speed and prices."""

    budget: float | None
    gpu_hours: float | None
    money: float | None
    rate: float | None
    device: str | None
    mfu: float | None
    price_gpu_hour: float | None
    price_jet: float

    def check(self) -> None:
        """Refuse options that do not go together or cannot be."""
        from jetscale import scaling

        asked = (self.budget, self.gpu_hours, self.money)
        if sum(amount is not None for amount in asked) != 1:
            raise click.UsageError(
                "give one of --budget FLOPS, --gpu-hours HOURS and --money AMOUNT"
            )
        if self.money is None and (self.price_gpu_hour is not None or self.price_jet):
            raise click.UsageError("prices need a budget in --money")
        if self.money is not None and self.price_gpu_hour is None:
            raise click.UsageError("--money needs --price-gpu-hour")
        by_device = self.device is not None
        if (by_device != (self.mfu is not None)) or (by_device and self.rate is not None):
            raise click.UsageError("give the speed as --rate, or as --device NAME with --mfu SHARE")
        if self.budget is not None and (by_device or self.rate is not None):
            raise click.UsageError(
                "a --budget in FLOPs needs no speed: drop --rate, --device, --mfu"
            )
        if self.budget is not None:
            scaling.flops_budget(self.budget)
        if self.device is not None:
            scaling.sustained(self.device, self.mfu or 0.0)

    def spent_on(self, frame: Any) -> Any:
        """The budget, at the speed of the runs in the frame unless one is given."""
        from jetscale import scaling

        if self.budget is not None:
            return scaling.flops_budget(self.budget)
        if self.rate is not None:
            rate, source = self.rate, "given"
        elif self.device is not None:
            rate = scaling.sustained(self.device, self.mfu or 0.0)
            source = f"{self.device} at {self.mfu:.0%} of its peak"
        else:
            rate, source = scaling.measured_rate(frame)
        if self.gpu_hours is not None:
            return scaling.gpu_hours_budget(self.gpu_hours, rate, source)
        prices = (self.price_gpu_hour or 0.0, self.price_jet)
        return scaling.money_budget(self.money or 0.0, rate, *prices, source)


@cli.command()
@_analysis
@click.option("--out", type=PATH, required=True, help="HTML file to write.")
def report(sweep: Path | None, runs: Path | None, as_json: bool, out: Path) -> None:
    """Write everything into one HTML file that opens offline.

    With SWEEP, the report and its figures are kept in MLflow too, with the study's parent run.

    \b
    Example:
      jetscale report sweeps/quickstart.py --out report.html
    """
    from jetscale.measures import load_measures
    from jetscale.plan.identity import flatten
    from jetscale.report import make_report
    from jetscale.study.load import load_study
    from jetscale.sweep.runs import attach
    from jetscale.tracking.address import tracking_uri

    if out.suffix.lower() not in (".html", ".htm") or out.is_dir():
        raise click.UsageError(f"--out is {out}, needs the name of an HTML file: report.html")
    frame, warnings = run_table(sweep, runs)
    study = load_study(sweep) if sweep else None
    made = make_report(
        frame,
        title=sweep.stem if sweep else str(runs),
        held_fixed=flatten(frame["recipe"].iloc[0]) if "recipe" in frame else None,
        warnings=warnings,
        measures=load_measures(study, home()) if study else None,
    )
    made.write(out)
    if study:  # where MLflow refuses, the file is there all the same
        problem = attach(study, home(), tracking_uri(home()), made.texts())
        warn([problem] if problem else [])
    if as_json:
        print_json({"report": str(out)})
    else:
        click.echo(f"report written to {out}")
