"""Commands that only look: the run table of a sweep, the labels that a pattern chooses."""

from pathlib import Path

import click

from jetscale.cli.common import OUT, cli, doing, home, json_option, print_json, sweep_argument, warn

_CSV = "Write it there, with every column. [default: a short table]"


@cli.command()
@sweep_argument
@click.option("--csv", "out", type=OUT, help=_CSV)
@json_option
def runs(sweep: Path, out: Path | None, as_json: bool) -> None:
    """The finished runs of a sweep, as a table.

    The file is what --runs of the other commands reads.

    \b
    Example:
      jetscale runs sweeps/quickstart.py --csv quickstart.csv
    """
    doing(f"reading the runs of {sweep}")
    from jetscale.display.console import show_runs
    from jetscale.store.local import atomic_path
    from jetscale.study.load import load_study
    from jetscale.sweep.runs import load_runs
    from jetscale.tracking.address import tracking_uri

    frame, warnings = load_runs(load_study(sweep), home(), tracking_uri(home()))
    warn(warnings)
    if out is not None:
        with atomic_path(out) as temporary:
            frame.drop(columns="recipe").to_csv(temporary, index=False)
    if as_json:
        return print_json({"runs": frame.drop(columns="recipe").to_dict("records")})
    return click.echo(f"{len(frame)} runs written to {out}") if out else show_runs(frame)


@cli.command()
@click.argument("patterns", default="*")
@json_option
def labels(patterns: str, as_json: bool) -> None:
    """The JetClass-II labels that patterns choose.

    PATTERNS is what a mixture's part may be: qcd, res2p or res34p, or labels and shell patterns
    with commas between them.

    \b
    Example:
      jetscale labels 'X_YY_*tau*'
      jetscale labels res2p
    """
    from jetscale.display.console import say
    from jetscale.jets.schema import part_named
    from jetscale.words import counted

    found = part_named(patterns).labels
    if as_json:
        return print_json({"patterns": patterns, "labels": found})
    say(f"{patterns}: {counted(len(found), 'label')}")
    return say(" ".join(found))
