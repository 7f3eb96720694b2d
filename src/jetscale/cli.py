"""The `jetscale` command: parsing and printing only.

A user's mistake ends in one line on standard error and exit code 2. Reports print tables that fit a
terminal, or JSON with ``--json``. SWEEP is a Python file with a function ``study()``; results go
under ``$JETSCALE_HOME`` (default ``./runs``).
"""

import os
import sys
from pathlib import Path
from typing import NoReturn

import click

from jetscale.cli_base import PATH, cli, home, json_option, print_json, sweep_argument
from jetscale.errors import JetscaleError, StudyError

__all__ = ["cli", "main", "run_script"]

# ------------------------------------------------------------------ jets


@cli.command()
@click.option("--corpus", required=True, help="jetclass (ten classes) or jetclass2 (188 classes).")
@click.option("--part", help="For jetclass2: qcd, res2p or res34p.")
@click.option("--jets", type=click.IntRange(min=1), required=True, help="Jets in all.")
@click.option("--out", type=PATH, required=True, help="New shard folder.")
@click.option("--role", help="pretrain, train, validation or test. [default: by corpus]")
@click.option("--seed", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--workers", type=click.IntRange(min=1), help="Processes. [default: all cores]")
def simulate(
    corpus: str,
    part: str | None,
    jets: int,
    out: Path,
    role: str | None,
    seed: int,
    workers: int | None,
) -> None:
    """Make jets with Pythia 8 and write a shard folder.

    \b
    Example:
      jetscale simulate --corpus jetclass --jets 20000 --out jets/train --role train
    """
    from jetscale.display import progress_bar
    from jetscale.jets.simulation import simulate_shards

    with progress_bar() as progress:
        manifest = simulate_shards(
            out,
            corpus=corpus,
            part=part,
            role=role or ("pretrain" if part else "train"),
            jets=jets,
            seed=seed,
            workers=workers or os.cpu_count() or 1,
            progress=lambda done, total: progress("simulating jets", done, total),
        )
    click.echo(f"{manifest.rows} jets in {out}; look with: jetscale inspect {out}")


@cli.command()
@click.option("--format", "format_name", required=True, help="Layout of the files: jetclass2.")
@click.option("--role", required=True, help="pretrain, train, validation or test.")
@click.option("--out", type=PATH, required=True, help="New shard folder.")
@click.argument("files", type=PATH, nargs=-1, required=True)
def ingest(format_name: str, role: str, out: Path, files: tuple[Path, ...]) -> None:
    """Turn published files into a shard folder.

    \b
    Example:
      jetscale ingest --format jetclass2 --role pretrain --out jets/res2p Res2P_*.parquet
    """
    from jetscale.display import progress_bar
    from jetscale.jets.ingest import ingest as read_files

    with progress_bar() as progress:
        manifest = read_files(
            format_name,
            role,
            files,
            out,
            progress=lambda done, total: progress("reading files", done, total),
        )
    click.echo(f"{manifest.rows} jets in {out}; look with: jetscale inspect {out}")


@cli.command()
@click.argument("folder", type=PATH)
@json_option
def inspect(folder: Path, as_json: bool) -> None:
    """Verify a shard folder.

    Shows counts per class and ranges; exit code 2 on damage.

    \b
    Example:
      jetscale inspect jets/train
    """
    from jetscale.display import show_shards
    from jetscale.jets.verify import verify

    report = verify(folder)
    if as_json:
        print_json(report.to_dict())
    else:
        show_shards(report)


# ------------------------------------------------------------------ sweeps


@cli.command()
@sweep_argument
@json_option
def measure(sweep: Path, as_json: bool) -> NoReturn:
    """Diversity and alignment (not there yet).

    \b
    Example:
      jetscale measure sweeps/quickstart.py
    """
    from jetscale.sweepfile import load_study

    study = load_study(sweep)
    names = ", ".join(mixture.name for mixture in study.mixtures)
    raise StudyError(
        f"study {study.name!r}: measures of diversity and alignment are not there yet for its "
        f"mixtures ({names}); `jetscale compare` shows what their losses say"
    )


@cli.command()
@sweep_argument
@json_option
def plan(sweep: Path, as_json: bool) -> None:
    """What a sweep trains and costs.

    Cells, sizes, FLOPs, steps, estimated hours and what is held fixed.

    \b
    Example:
      jetscale plan sweeps/quickstart.py
    """
    from jetscale.display import show_plan
    from jetscale.overview import overview
    from jetscale.sweepfile import load_study

    summary = overview(load_study(sweep))
    if as_json:
        print_json(summary)
    else:
        show_plan(summary)


@cli.command()
@sweep_argument
@click.option("--address", help="Ray cluster to join, e.g. auto. [default: this machine]")
def run(sweep: Path, address: str | None) -> None:
    """Prepare the jets, pretrain, fine-tune.

    A second call does only what is missing.

    \b
    Example:
      jetscale run sweeps/quickstart.py
    """
    from jetscale.display import progress_bar, show_outcome
    from jetscale.sweep.launch import run_study
    from jetscale.sweep.tracking import default_uri
    from jetscale.sweepfile import load_study

    study, uri = load_study(sweep), default_uri(home())
    with progress_bar() as progress:
        outcome = run_study(study, home(), tracking=uri, address=address, progress=progress)
    show_outcome(outcome, study.name, str(sweep), uri)
    if outcome.problems or outcome.done < outcome.planned:
        sys.exit(1)


def run_script(file: str) -> None:
    """What ``python sweeps/NAME.py [--address ADDRESS]`` does: the same as ``jetscale run``."""
    main(["run", file, *sys.argv[1:]])


@cli.command()
@sweep_argument
@json_option
def status(sweep: Path, as_json: bool) -> None:
    """Done, running, failed and missing cells, and why.

    \b
    Example:
      jetscale status sweeps/quickstart.py --json
    """
    from jetscale.display import show_status
    from jetscale.plan import cells
    from jetscale.sweep.records import RecordStore, study_folder, summarise
    from jetscale.sweepfile import load_study

    study = load_study(sweep)
    summary = summarise(RecordStore(study_folder(study, home())).status(cells(study)))
    if as_json:
        print_json(summary)
    else:
        show_status(summary, study.name)


@cli.command()
@click.option("--port", type=click.IntRange(1, 65535), default=5000, show_default=True)
def ui(port: int) -> None:
    """Open the MLflow UI on this machine.

    \b
    Example:
      jetscale ui --port 5001
    """
    from jetscale.sweep.tracking import default_uri
    from jetscale.sweep.ui import serve

    sys.exit(serve(default_uri(home()), port))


import jetscale.cli_analysis  # noqa: E402, F401  its commands come last in --help


def main(arguments: list[str] | None = None) -> None:
    """Entry point: one line and exit code 2 for a user's mistake."""
    try:
        code = cli.main(args=arguments, prog_name="jetscale", standalone_mode=False)
    except (click.ClickException, JetscaleError) as error:
        message = error.format_message() if isinstance(error, click.ClickException) else str(error)
        click.echo(f"jetscale: {' '.join(message.split())}", err=True)
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        click.echo("jetscale: stopped; finished work is kept, run again to go on", err=True)
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    sys.exit(code if isinstance(code, int) else 0)
