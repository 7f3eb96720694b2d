"""The analysis commands: fit, compare, allocate, report; parsing and printing only."""

from pathlib import Path
from typing import Any

import click

from jetscale.cli.common import OUT, PATH, all_of, cli, doing, home, json_option, print_json, warn
from jetscale.cli.quantities import FLOPS, HOURS, MONEY, RATE, SHARE
from jetscale.cli.tables import (
    ANY_LAW,
    again,
    fitted_options,
    run_table,
    shared_option,
    source_of,
    stages,
    table_options,
)

_UNLIKE = "Compare mixtures whose learning rates were not searched alike."
_FULL = "All tables: laws, intervals, routes, checks."
_PRICE = "Money per distinct example. [default: 0]"
_analysis = all_of(click.argument("sweep", type=PATH, required=False), table_options, json_option)


@cli.command()
@_analysis
@fitted_options(ANY_LAW)
@shared_option
@click.option("--full", is_flag=True, help=_FULL)
def fit(sweep: Path | None, runs: Path | None, as_json: bool, full: bool, **options: Any) -> None:
    """What is bought, how it scales, where to spend.

    Three answers in words; --full shows what was measured, laws, frontiers and every check.

    \b
    Example:
      jetscale fit sweeps/quickstart.py
      jetscale fit --runs runs.csv --law no-floor --json
      jetscale fit --runs runs.csv --shared E,alpha
    """
    doing(f"reading the runs of {source_of(sweep, runs)}, and fitting laws")
    from jetscale.analysis import largest_decade
    from jetscale.display.console import say
    from jetscale.scaling import Options

    asked = Options(**options)
    how: dict[str, Any] = {"options": asked, "budgets": largest_decade}
    if not (full or as_json):
        return _answer(sweep, runs, **how)
    parts = ["paired", "fits", "diagnostics", "conventions", "routes"]
    parts += ["allocations"] if as_json else []  # for the answers
    checked = _collapse(sweep) if sweep and not runs else None
    shown = {"mixtures": {}} | ({"collapse": checked} if checked else {})
    _analyse(sweep, runs, as_json, shown, parts=parts, **how)
    if checked and any(rung.breaks for rung in checked.rungs) and not as_json:
        say(f"Training curves: {checked}")
    return None


def _answer(sweep: Path | None, runs: Path | None, **how: Any) -> None:
    """Print the three answers, and what says more."""
    from jetscale.analysis import analyse
    from jetscale.answers import PARTS, three_answers
    from jetscale.display.answers import show_answers, show_next
    from jetscale.display.console import instead_of_loss, say
    from jetscale.display.laws import show_metric
    from jetscale.errors import FitError
    from jetscale.scaling.kept import kept_fit

    frame, _ = run_table(sweep, runs)
    found = analyse(frame, fit=kept_fit, progress=stages(frame), parts=PARTS, **how)
    if found.paired is None and found.fits is None:
        raise FitError("; ".join(found.reasons))
    if found.unlike:
        say(f"Beware: {found.unlike}.")
    show_answers(three_answers(found))
    if found.fits is not None:
        warn(found.fits.ignored)
    if found.metric is not None:
        with instead_of_loss(found.quantity):
            show_metric(found.metric)
    show_next(
        {
            "every table": again("fit", sweep, runs, "--full"),
            "with figures": again("report", sweep, runs, "--out", "report.html"),
            "what a larger study tells": again("power", sweep, runs),
        }
    )


def _collapse(sweep: Path) -> Any:
    """Whether the training curves of a sweep collapse; None where its record files are away."""
    from jetscale.scaling.tuning import collapse
    from jetscale.study.load import load_study
    from jetscale.sweep.runs import load_curves

    curves = load_curves(load_study(sweep), home())
    return None if curves is None else collapse(curves)


@cli.command()
@_analysis
@fitted_options("chinchilla, no-floor, outer-power or overfit; auto: the one that forecasts best.")
@click.option("--budget", type=FLOPS, help="FLOPs for N*, D* and compute ratios. [default: middle]")
@click.option("--unlike", is_flag=True, help=_UNLIKE)
def compare(
    sweep: Path | None,
    runs: Path | None,
    as_json: bool,
    budget: float | None,
    unlike: bool,
    **options: Any,
) -> None:
    """Tell whether two mixtures scale differently.

    Paired losses, differences of exponents, tests of what the laws have in common, and both
    frontiers at a budget.

    \b
    Example:
      jetscale compare sweeps/quickstart.py --budget 1e10
      jetscale compare --runs runs.csv --uncertainty trunks
    """
    doing(f"reading the runs of {source_of(sweep, runs)}, and comparing mixtures")
    from jetscale.scaling import Options, flops_budget

    asked = Options(**options)
    asked.check_comparable()
    if budget is not None:
        flops_budget(budget)  # a bad one is refused before any work
    how: dict[str, Any] = {"parts": ("paired", "comparison"), "unlike_search": unlike}
    _analyse(sweep, runs, as_json, {"pairs": []}, options=asked, budget=budget, **how)


def _analyse(
    sweep: Path | None, runs: Path | None, as_json: bool, shown: dict[str, Any], **asked: Any
) -> None:
    """Print the parts ``asked`` for: tables, or JSON that begins as ``shown``."""
    from jetscale.analysis import analyse
    from jetscale.answers import three_answers
    from jetscale.display.laws import show_analysis
    from jetscale.errors import FitError
    from jetscale.jsonable import as_json as plain
    from jetscale.scaling.kept import kept_fit

    frame, notes = run_table(sweep, runs)
    found = analyse(frame, fit=kept_fit, progress=stages(frame), **asked)
    laws = found.comparison if "comparison" in asked["parts"] else found.fits
    if found.paired is None and laws is None and not found.route_shifts:
        raise FitError("; ".join(found.reasons))
    if not as_json:
        return show_analysis(found)
    shown |= plain(laws) or {}
    if found.diagnostics is not None:
        shown |= {"diagnostics": found.diagnostics.mixtures, "conventions": found.conventions}
    if found.metric is not None:
        shown |= {"metric": found.metric}
    if "allocations" in asked["parts"]:
        shown |= {"answers": three_answers(found)}
    shown |= {"routes": found.routes, "route_shifts": found.route_shifts}
    warnings = [*notes, *shown.get("warnings", []), *found.reasons]
    print_json(shown | {"paired": found.paired, "warnings": warnings})


@cli.command()
@_analysis
@fitted_options(ANY_LAW)
@click.option("--budget", "flops", type=FLOPS, help="FLOPs of one training run, e.g. 1e13.")
@click.option("--gpu-hours", type=HOURS, help="Instead: hours of one device.")
@click.option("--money", type=MONEY, help="Instead: money; needs --price-gpu-hour.")
@click.option("--rate", type=RATE, help="FLOPs per second. [default: as the SWEEP's runs took]")
@click.option("--device", help="Or H200, H100, A100, L40S, V100 or T4, with --mfu.")
@click.option("--mfu", type=SHARE, help="Measured share of the device's peak, e.g. 0.3.")
@click.option("--price-gpu-hour", type=MONEY, help="Money per hour of the device.")
@click.option("--price-example", "--price-jet", type=MONEY, default=0.0, help=_PRICE)
@click.option("--ladder", is_flag=True, help="Choose among the measured model sizes.")
@click.option("--mixture", help="Answer for this mixture alone.")
@click.option("--route", default="law", show_default=True, help="Or isoflop or envelope.")
@click.option("--full", is_flag=True, help="Sizes nearly as good, times, floors, every warning.")
def allocate(
    sweep: Path | None,
    runs: Path | None,
    as_json: bool,
    mixture: str | None,
    route: str,
    **terms: Any,
) -> None:
    """Spend a budget: size, data, mixture, loss.

    How many parameters, how much data, which mixture, what loss, how sure. The budget is that of
    one training run in FLOPs, GPU-hours or money; --price-example makes data cost money too.

    \b
    Example:
      jetscale allocate sweeps/quickstart.py --budget 1e11
      jetscale allocate --runs runs.csv --gpu-hours 100 --device H100 --mfu 0.3
      jetscale allocate --runs runs.csv --money 500 --price-gpu-hour 2 --price-example 1e-6 \\
        --device H100 --mfu 0.3 --ladder
    """
    doing(f"reading the runs of {source_of(sweep, runs)}, and fitting laws")
    from jetscale import scaling
    from jetscale.display.laws import show_allocation
    from jetscale.jsonable import as_json as as_plain
    from jetscale.scaling.goal import answers
    from jetscale.scaling.kept import kept_fit

    fitted = {name: terms.pop(name) for name in ("law", "objective", "uncertainty")}
    ladder, full = terms.pop("ladder"), terms.pop("full")
    options = scaling.Options(**fitted)
    asked = scaling.Terms(**terms)
    frame, notes = run_table(sweep, runs)
    budget = asked.budget(frame)
    scaling.check_mixture(mixture, frame["mixture"])
    sizes = sorted(frame["params"].unique()) if ladder else ()
    stages(frame)(f"fitting laws to {len(frame):,} runs")
    laws = kept_fit(frame, options)
    how: dict[str, Any] = {"mixture": mixture, "ladder": sizes, "route": route}
    found, metric = scaling.allocate(laws, budget, **how), answers(laws)
    if as_json:
        shown = as_plain(found) | {"warnings": [*notes, *found.warnings]}
        return print_json(shown | ({"metric": metric} if metric else {}))
    warn(laws.ignored)
    return show_allocation(found, metric, full=full)


@cli.command()
@_analysis
@fitted_options(ANY_LAW)
@shared_option
@click.option("--out", type=OUT, required=True, help="HTML file to write.")
def report(sweep: Path | None, runs: Path | None, as_json: bool, out: Path, **options: Any) -> None:
    """Write everything into one HTML file that opens offline.

    With SWEEP, the report and its figures are kept in MLflow too, with the study's parent run.

    \b
    Example:
      jetscale report sweeps/quickstart.py --out report.html
    """
    if out.suffix.lower() not in (".html", ".htm") or out.is_dir():
        raise click.UsageError(f"--out is {out}, needs the name of an HTML file: report.html")
    doing(f"reading the runs of {source_of(sweep, runs)}, and analysing them for {out}")
    from jetscale.questions import report_of
    from jetscale.scaling import Options
    from jetscale.study.load import load_study
    from jetscale.sweep.runs import attach
    from jetscale.tracking.address import tracking_uri

    asked = Options(**options)
    frame, warnings = run_table(sweep, runs)
    study = load_study(sweep) if sweep else None
    how = {"title": sweep.stem if sweep else str(runs), "progress": stages(frame)}
    made = report_of(frame, study, options=asked, warnings=warnings, **how)
    made.write(out)
    if study:  # where MLflow refuses, the file is there all the same
        problem = attach(study, home(), tracking_uri(home()), made.texts(), made.answers)
        warn([problem] if problem else [])
    return print_json({"report": str(out)}) if as_json else click.echo(f"report written to {out}")
