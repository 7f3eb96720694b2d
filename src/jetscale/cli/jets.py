"""The commands about jets: simulate, ingest, inspect; parsing and printing only."""

import os
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click

from jetscale.cli.common import PATH, cli, home, json_option, print_json


@cli.command()
@click.option("--corpus", required=True, help="jetclass (ten classes) or jetclass2 (188 classes).")
@click.option("--part", help="For jetclass2: qcd, res2p, res34p or labels, e.g. 'X_bb,X_cc'.")
@click.option("--jets", type=click.IntRange(min=1), required=True, help="Jets in all.")
@click.option("--out", type=PATH, required=True, help="New shard folder.")
@click.option("--role", help="pretrain, train, validation or test. [default: by corpus]")
@click.option("--seed", type=click.IntRange(min=1), default=1, show_default=True)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    help="Processes. [default: all cores; RAY_ADDRESS: all of a cluster]",
)
@click.option(
    "--window",
    default="jetclass",
    show_default=True,
    help="jetclass (pT 500 to 1000 GeV) or jetclass2 (200 to 2500 GeV).",
)
@click.option("--pileup", type=float, default=0.0, show_default=True, help="Mean extra collisions.")
def simulate(
    corpus: str,
    part: str | None,
    jets: int,
    out: Path,
    role: str | None,
    seed: int,
    workers: int | None,
    window: str,
    pileup: float,
) -> None:
    """Make jets with Pythia 8 and write a shard folder.

    Every core simulates; RAY_ADDRESS uses those of a cluster.

    \b
    Example:
      jetscale simulate --corpus jetclass --jets 20000 --out jets/train --role train
      jetscale simulate --corpus jetclass2 --part 'X_YY_*tau*' --jets 5000 --out jets/tau
    """
    from jetscale.compute.connect import executor
    from jetscale.display.console import progress_bar
    from jetscale.jets.generator.conditions import Conditions
    from jetscale.jets.production.production import simulate_shards
    from jetscale.sweep.stop import stopping

    with stopping(), progress_bar() as progress, executor(None, home().path, workers) as chosen:
        manifest = simulate_shards(
            out,
            chosen,
            corpus=corpus,
            part=part,
            role=role or ("pretrain" if part else "train"),
            jets=jets,
            seed=seed,
            conditions=Conditions(window=window, pileup=pileup),
            progress=lambda done, total: progress("simulating jets", done, total),
        )
    click.echo(f"{manifest.rows} jets in {out}; look with: jetscale inspect {out}")


@cli.command()
@click.option(
    "--format",
    "format_name",
    required=True,
    help="jetclass, jetclass2, toptagging, quarkgluon, jetnet, aspenopenjets, omnilearned, or "
    "arrays for own jets in Parquet, ROOT, HDF5 or npz.",
)
@click.option("--of", help="For omnilearned: the set the files are of, e.g. jetclass2 or top.")
@click.option(
    "--columns",
    help="For arrays: what its columns are, e.g. 'px=X[0],py=X[1],pz=X[2],energy=X[3],label=y'.",
)
@click.option("--classes", help="For arrays: names of labels 0, 1, ..., e.g. background,signal.")
@click.option("--corpus", help="For arrays: a name for all jets of their kind. [default: own]")
@click.option("--role", required=True, help="pretrain, train, validation or test.")
@click.option("--out", type=PATH, required=True, help="New shard folder.")
@click.option(
    "--select",
    multiple=True,
    help="Keep jets that pass, e.g. '200 < jet_pt < 2500'; may be given several times.",
)
@click.option(
    "--on-bad-file",
    default="fail",
    show_default=True,
    help="Truncated, damaged or foreign files: fail or skip.",
)
@click.option(
    "--on-bad-jet",
    default="drop",
    show_default=True,
    help="Non-finite, unphysical, empty or wrongly labelled jets: drop or fail.",
)
@click.option(
    "--max-bad",
    type=float,
    default=0.01,
    show_default=True,
    help="Largest share of such jets in a file; one with more is a bad file.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    help="Files at the same time. [default: as many as cores and files]",
)
@json_option
@click.argument("files", type=PATH, nargs=-1, required=True)
def ingest(
    format_name: str,
    role: str,
    out: Path,
    files: tuple[Path, ...],
    columns: str | None,
    classes: str | None,
    workers: int | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Turn published files, or own jets, into a shard folder.

    Tells what was left out and why. An interrupted call goes on when made again. Several files are
    read at the same time; RAY_ADDRESS reads them on all nodes of a cluster.

    \b
    Example:
      jetscale ingest --format arrays --role train --out jets/mine --classes background,signal \\
        --columns px=px,py=py,pz=pz,energy=E,label=is_signal mine.parquet
      jetscale ingest --format jetclass2 --role pretrain --out jets/res2p \\
        --select '200 < jet_pt < 2500' --select '20 < jet_sdmass < 500' Res2P_*.parquet
    """
    from jetscale.display.jets import show_ingest
    from jetscale.jets.ingest.formats.own import columns_of
    from jetscale.jets.ingest.ingest import summary_of

    options["columns"] = columns_of(columns) if columns else {}
    options["classes"] = [name.strip() for name in classes.split(",")] if classes else ()
    workers = workers or min(os.cpu_count() or 1, len(files))
    manifest = _ingested(workers, format_name, role, files, out, options)
    if as_json:
        print_json(summary_of(manifest))
    else:
        show_ingest(summary_of(manifest), str(out))


def _ingested(
    workers: int,
    format_name: str,
    role: str,
    files: Sequence[Path],
    out: Path,
    options: dict[str, Any],
) -> Any:
    """In this process, or in as many as ``workers`` here or on the cluster of RAY_ADDRESS."""
    from jetscale.compute.connect import executor
    from jetscale.display.console import progress_bar
    from jetscale.executor import in_process
    from jetscale.jets.ingest.ingest import ingest as read_files
    from jetscale.sweep.stop import stopping

    with (
        stopping(),
        progress_bar() as bar,
        nullcontext(in_process) if workers == 1 else executor(None, home().path, workers) as chosen,
    ):
        return read_files(
            format_name,
            role,
            files,
            out,
            lambda done, total: bar("reading jets", done, total),
            executor=chosen,
            **options,
        )


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
    from jetscale.display.console import show_shards
    from jetscale.jets.shards.verify import verify

    report = verify(folder)
    if as_json:
        print_json(report.to_dict())
    else:
        show_shards(report)
