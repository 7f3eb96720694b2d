"""The command ``measure``; parsing and printing only."""

from pathlib import Path

import click

from jetscale.cli.common import OUT, cli, doing, home, json_option, print_json, sweep_argument
from jetscale.cli.quantities import COUNT
from jetscale.words import counted, duration


@cli.command()
@sweep_argument
@click.option("--jets", type=COUNT, help="Jets per mixture. [default: 2000]")
@click.option("--out", type=OUT, help="Figure (.png, .svg, .pdf). [default: in results]")
@json_option
def measure(sweep: Path, jets: int | None, out: Path | None, as_json: bool) -> None:
    """Diversity and alignment of each mixture.

    Before pretraining: labels, jets and distances to the downstream task. After it: LogME and a
    linear probe of the trunks. Jets are simulated if they are not there.

    \b
    Example:
      jetscale measure sweeps/quickstart.py
    """
    doing(f"reading {sweep}")
    import jetscale
    from jetscale import measures
    from jetscale.display.console import progress_bar
    from jetscale.display.measures import show_measures
    from jetscale.jsonable import as_json as plain

    study, jets = jetscale.load_study(sweep), jets or measures.JETS
    hours = measures.expected_seconds(study, jets) / 3600
    doing(f"measuring {counted(len(study.pretrained), 'mixture')}, about {duration(hours)}")
    with progress_bar() as progress:
        found = jetscale.measure(study, jets=jets, figure=out, progress=progress)
    folder = home().study(study)
    shown = str(out or folder.shown(folder.map))
    if as_json:
        return print_json(plain(found) | {"figure": shown})
    show_measures(found)
    click.echo(f"figure written to {shown}")
