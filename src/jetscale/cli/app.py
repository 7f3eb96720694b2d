"""The `jetscale` command: parsing and printing; a user's mistake is one line and exit code 2."""

import errno
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

import jetscale.cli.jets  # its commands come first in --help
from jetscale.cli.common import (
    ahead_of,
    cli,
    device_option,
    doing,
    home,
    json_option,
    machine_options,
    print_json,
    sweep_argument,
    warn,
)
from jetscale.cli.quantities import COUNT
from jetscale.errors import JetscaleError
from jetscale.words import printable

if TYPE_CHECKING:
    from jetscale.machines import Machines

__all__ = ["cli", "main", "run_script"]

import jetscale.cli.measure  # its command stands before those of a sweep
import jetscale.cli.new
import jetscale.cli.tune  # before the sweep that it is for

_SLOTS = "Workers that fit at the same time. [default: cores of this machine]"
_NO_SUCH_NAME = (  # what a name that a person gave can lead to
    *(errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EISDIR),
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT),
)


@cli.command()
@sweep_argument
@click.option("--slots", type=COUNT, help=_SLOTS)
@click.option("--full", is_flag=True, help="Also what is held fixed.")
@json_option
def plan(sweep: Path, slots: int | None, full: bool, as_json: bool) -> None:
    """What a sweep trains and costs.

    Runs, sizes, FLOPs, steps and minutes on this machine; --full: what is held fixed, too.

    \b
    Example:
      jetscale plan sweeps/quickstart.py
    """
    doing(f"planning {sweep}")
    from jetscale import studies
    from jetscale.display.console import show_plan

    found = studies.plan(sweep, slots)
    return print_json(found) if as_json else show_plan(found, full)


import jetscale.cli.power  # noqa: E402  after the plan, before the sweep


@cli.command()
@sweep_argument
@machine_options
def run(sweep: Path, machines: "Machines") -> None:
    """Prepare the jets, pretrain, fine-tune.

    A second call does only what is missing.

    \b
    Example:
      jetscale run sweeps/quickstart.py
    """
    doing(f"reading {sweep}, and what is done already")
    from jetscale.display.console import progress_bar, show_outcome
    from jetscale.study.load import load_study
    from jetscale.sweep.launch import run_study
    from jetscale.tracking.address import tracking_uri

    study, uri = load_study(sweep), tracking_uri(home())
    ahead_of(study, machines)
    with progress_bar() as progress:
        outcome = run_study(study, home(), tracking=uri, machines=machines, progress=progress)
    show_outcome(outcome, study.name, str(sweep), uri)
    if outcome.failures or outcome.done < outcome.planned:
        sys.exit(1)


@cli.command()
@sweep_argument
@device_option
def work(sweep: Path, device: str | None) -> None:
    """Train runs that nobody is at, without Ray.

    Start it as often as there are cores or GPUs, at any time and on any machine that sees the
    results folder: a Slurm array, HTCondor jobs. Each claims one run after another, and ends when
    nothing is left for it.

    \b
    Example:
      jetscale work sweeps/quickstart.py
    """
    doing(f"reading {sweep}, and what is done already")
    from jetscale.display.console import progress_bar, say
    from jetscale.study.load import load_study
    from jetscale.sweep.work import work

    study = load_study(sweep)
    with progress_bar() as progress:
        worked = work(study, home(), device=device, progress=progress)
    say(
        f"study {study.name}: {worked.done} of {worked.planned} runs done, {worked.trained} trained"
        f" here, {worked.failed} failed here"
    )
    if worked.failed:
        say(f"see why: jetscale status {sweep}")
        sys.exit(1)


def run_script(file: str) -> None:
    """What ``python sweeps/NAME.py [--address ADDRESS]`` does: the same as ``jetscale run``."""
    main(["run", file, *sys.argv[1:]])


@cli.command()
@sweep_argument
@json_option
def status(sweep: Path, as_json: bool) -> None:
    """Done, running, stalled, failed and missing runs, and why.

    \b
    Example:
      jetscale status sweeps/quickstart.py --json
    """
    from jetscale import studies
    from jetscale.display.console import show_status

    found = studies.status(sweep)
    return print_json(found) if as_json else show_status(found)


import jetscale.cli.look  # noqa: E402  what there is, before what is made of it


@cli.command()
@sweep_argument
@click.option("--tracking", help="MLflow to mirror to. [default: $MLFLOW_TRACKING_URI or its own]")
@json_option
def sync(sweep: Path, tracking: str | None, as_json: bool) -> None:
    """Show MLflow the runs that it missed.

    Mirrors the finished runs of a sweep, each once, to a tracking server that was away or to
    another one. A second call adds nothing.

    \b
    Example:
      jetscale sync sweeps/quickstart.py
      jetscale sync sweeps/quickstart.py --tracking http://127.0.0.1:5000
    """
    doing(f"reading the runs of {sweep}")
    from jetscale.display.console import say
    from jetscale.study.load import load_study
    from jetscale.sweep.follow import sync_study
    from jetscale.tracking.address import hide_password, tracking_uri

    study = load_study(sweep)
    uri = (tracking or "").strip() or tracking_uri(home())
    added, kept, damaged = sync_study(study, home(), uri)
    warn(damaged)
    told = {"study": study.name, "tracking": hide_password(uri), "records": kept, "added": added}
    if as_json:
        return print_json(told)
    return say(f"study {study.name}: {added} of {kept} runs added to MLflow at {told['tracking']}")


@cli.command()
@click.option("--port", type=click.IntRange(1, 65535), default=5000, show_default=True)
def ui(port: int) -> None:
    """Serve the MLflow UI on this machine; prints the address of the runs of each study.

    \b
    Example:
      jetscale ui --port 5001
    """
    from jetscale.tracking.address import tracking_uri
    from jetscale.tracking.ui import serve

    serve(tracking_uri(home()), home(), port)


import jetscale.cli.analysis  # noqa: E402  its commands come last in --help
import jetscale.cli.forecast  # noqa: E402
import jetscale.cli.models  # noqa: E402, F401


def main(arguments: list[str] | None = None) -> None:
    """Entry point: one line and exit code 2 for a user's mistake."""
    try:
        given = sys.argv[1:] if arguments is None else arguments
        code = cli.main(args=given or ["--help"], prog_name="jetscale", standalone_mode=False)
    except (click.ClickException, JetscaleError) as error:
        message = error.format_message() if isinstance(error, click.ClickException) else str(error)
        click.echo(f"jetscale: {printable(' '.join(message.split()))}", err=True)
        for line in getattr(error, "__notes__", ()):  # what a line of the user's file says
            click.echo(printable(line), err=True)
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt) as error:
        click.echo("jetscale: stopped; finished work is kept, run again to go on", err=True)
        # click turns the interrupt into an Abort of its own
        sys.exit(128 + getattr(error.__cause__ or error, "number", signal.SIGINT))
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:
        if error.filename is None or error.errno not in _NO_SUCH_NAME:
            raise
        text = printable(f"jetscale: {error.filename}: {error.strerror}; use another name")
        click.echo(text, err=True)
        sys.exit(2)
    sys.exit(code if isinstance(code, int) else 0)
