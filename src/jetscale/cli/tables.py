"""What the analysis commands share: the run table, its options, and how laws are fitted."""

import shlex
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from jetscale.cli.common import PATH, F, all_of, cli, home, warn

_OBJECTIVE = "huber, squares or absolute."
_RUNS = "Any run table: mixture, params, examples, loss[, flops]; CSV, TSV, Parquet, gz."
_COLUMNS = "Its columns where names differ, e.g. params=N,examples=tokens."
_NOUN = "What one example is called, e.g. tokens. [default: as the table says]"
_METRIC = "A score in place of the loss, e.g. rejection_Hbb, auc, accuracy."
_UNCERTAINTY = "components, trunks, cells or wild. [default: what suits the table]"
_SHARED = "Common to all mixtures: some of E,A,B,alpha,beta."
_LARGE = 5_000  # runs; smaller tables are analysed before one could read about it
ANY_LAW = (
    "chinchilla, no-floor, outer-power, interaction, overfit, repetition, excess, transfer, "
    "pretraining, or auto: chosen by how well it forecasts runs left out."
)


def _kept(*declaration: str, **attributes: Any) -> Callable[[F], F]:
    """Return an option that `run_table` finds by itself: commands need not pass it on."""

    def keep(context: click.Context, option: click.Parameter, value: Any) -> None:
        context.meta[f"{__name__}.{option.name}"] = value

    return click.option(*declaration, callback=keep, expose_value=False, **attributes)


table_options = all_of(
    click.option("--runs", type=PATH, help=_RUNS),
    _kept("--columns", default="", help=_COLUMNS),
    _kept("--noun", default="", help=_NOUN),
    _kept("--metric", default="", help=_METRIC),
    _kept(
        "--source",
        type=click.Choice(["mlflow", "records"]),
        help="Where the runs of a SWEEP are read. [default: mlflow, else records]",
    ),
)


def fitted_options(laws: str = "") -> Callable[[F], F]:
    """Return --law, if ``laws`` says which there are, --objective and --uncertainty."""
    how = (
        click.option("--objective", default="huber", show_default=True, help=_OBJECTIVE),
        click.option("--uncertainty", help=_UNCERTAINTY),
    )
    law = click.option("--law", default="chinchilla", show_default=True, help=laws)
    return all_of(*((law,) if laws else ()), *how)


def _names(context: click.Context, option: click.Parameter, text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


shared_option = click.option("--shared", default="", callback=_names, help=_SHARED)


def stages(frame: Any) -> Callable[[str], None]:
    """What tells of each stage of an analysis that takes a while, on standard error."""

    def tell(stage: str) -> None:
        if len(frame) >= _LARGE:
            click.echo(f"{time.strftime('%H:%M:%S')} {stage}", err=True)

    return tell


def again(name: str, sweep: Path | None, runs: Path | None, *more: str) -> str:
    """Another command on the same table, with the options given to this one that it knows too."""
    now = click.get_current_context()
    known = {
        (option.name, option.to_info_dict().get("help")) for option in cli.commands[name].params
    }
    words = ["--runs", str(runs)] if runs else [str(sweep)]
    for option in now.command.params:
        given = now.get_parameter_source(option.name or "") is ParameterSource.COMMANDLINE
        shown = (option.name, option.to_info_dict().get("help")) in known
        if given and shown and option.name not in ("sweep", "runs", "as_json"):
            value = now.meta.get(f"{__name__}.{option.name}", now.params.get(option.name or ""))
            words += [option.opts[0], ",".join(value) if isinstance(value, tuple) else str(value)]
    return shlex.join(["jetscale", name, *words, *more])


def source_of(sweep: Path | None, runs: Path | None) -> Path:
    """The file that names the runs, one of both."""
    if (sweep is None) == (runs is None):
        raise click.UsageError("give either a SWEEP file or --runs FILE.csv")
    return sweep or runs or Path()


def run_table(sweep: Path | None, runs: Path | None) -> tuple[Any, list[str]]:
    """The run table of a sweep or of a file, and warnings, which go to standard error too."""
    from jetscale.scaling import columns, metric, read_runs, validate
    from jetscale.study.load import load_study
    from jetscale.sweep.runs import RunSource, load_runs
    from jetscale.tracking.address import tracking_uri

    source_of(sweep, runs)
    meta = click.get_current_context().meta
    given = {name: meta.get(f"{__name__}.{name}") for name in ("source", "columns", "noun")}
    score = meta.get(f"{__name__}.metric") or ""
    if runs is not None:
        if given["source"]:
            raise click.UsageError("--source goes with a SWEEP; --runs names its own file")
        asked = columns.parse_columns(given["columns"] or "")
        frame = read_runs(runs, asked, noun=given["noun"] or "", metric=score)
        warnings = list(frame.attrs["notes"])
    else:
        assert sweep is not None
        if given["columns"] or given["noun"]:
            raise click.UsageError("--columns and --noun go with --runs; a SWEEP has its own")
        source = RunSource(given["source"]) if given["source"] else None
        frame, warnings = load_runs(load_study(sweep), home(), tracking_uri(home()), source)
        notes = validate(frame, metric=score).attrs["notes"]
        frame = metric.put_in_place(frame, score)[0] if score else frame
        warnings = [*warnings, *notes]
    warn(warnings)
    return frame, warnings
