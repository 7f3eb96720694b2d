"""The commands about jets: simulate, ingest, inspect; parsing and printing only."""

from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import click

from jetscale.cli.common import PATH, cli, doing, home, json_option, print_json
from jetscale.cli.quantities import COUNT, PLAIN, SHARE
from jetscale.machines import JETS_PER_SECOND, cores
from jetscale.words import counted, duration

_WINDOWS = "jetclass (pT 500 to 1000 GeV) or jetclass2 (200 to 2500 GeV)."
_CORES = "Processes. [default: all cores; RAY_ADDRESS: all of a cluster]"
_FORMATS = (
    "jetclass, jetclass2, toptagging, quarkgluon, jetnet, aspenopenjets, omnilearned, or arrays "
    "for own jets in Parquet, ROOT, HDF5 or npz."
)
_COLUMNS = "For arrays: what its columns are, e.g. 'px=X[0],py=X[1],pz=X[2],energy=X[3],label=y'."
_SELECT = "Keep jets that pass, e.g. '200 < jet_pt < 2500'; may be given several times."
_ROWS = "Share of each file in file order, to split it into roles, e.g. 0:0.6 and 0.6:1."
_BAD_FILE = "Truncated, damaged or foreign files: fail or skip."
_BAD_JET = "Non-finite, unphysical, empty or wrongly labelled jets: drop or fail."
_MAX_BAD = "Largest share of such jets in a file; one with more is a bad file."
_FILES = "Files at the same time. [default: as many as cores and files]"


@cli.command()
@click.option("--corpus", required=True, help="jetclass (ten classes) or jetclass2 (188 classes).")
@click.option("--part", help="For jetclass2: qcd, res2p, res34p or labels, e.g. 'X_bb,X_cc'.")
@click.option("--jets", type=COUNT, required=True, help="Jets in all.")
@click.option("--out", type=PATH, required=True, help="New shard folder.")
@click.option("--role", help="pretrain, train, validation or test. [default: by corpus]")
@click.option("--seed", type=COUNT, default=1, show_default=True)
@click.option("--workers", type=COUNT, help=_CORES)
@click.option("--window", default="jetclass", show_default=True, help=_WINDOWS)
@click.option("--pileup", type=PLAIN, default=0.0, show_default=True, help="Mean extra collisions.")
def simulate(
    out: Path, part: str | None, role: str | None, workers: int | None, **asked: Any
) -> None:
    """Make jets with Pythia 8 and write a shard folder.

    Every core simulates; RAY_ADDRESS uses those of a cluster.

    \b
    Example:
      jetscale simulate --corpus jetclass --jets 20000 --out jets/train --role train
      jetscale simulate --corpus jetclass2 --part 'X_YY_*tau*' --jets 5000 --out jets/tau
    """
    jets, used = asked["jets"], workers or cores()
    hours = jets / JETS_PER_SECOND / used / 3600
    doing(f"simulating {jets:,} jets, about {duration(hours)} on {counted(used, 'core')}")
    from jetscale.compute.connect import executor
    from jetscale.display.console import progress_bar
    from jetscale.jets.generator.conditions import Conditions
    from jetscale.jets.production.production import simulate_shards
    from jetscale.sweep.stop import stopping

    role = role or ("pretrain" if part else "train")
    conditions = Conditions(window=asked.pop("window"), pileup=asked.pop("pileup"))
    with stopping(), progress_bar() as progress, executor(None, home().path, workers) as chosen:
        tell = partial(progress, "simulating jets")
        manifest = simulate_shards(
            out, chosen, part=part, role=role, conditions=conditions, progress=tell, **asked
        )
    click.echo(f"{manifest.rows} jets in {out}; look with: jetscale inspect {out}")


@cli.command()
@click.option("--format", "format_name", required=True, help=_FORMATS)
@click.option("--of", help="For omnilearned: the set the files are of, e.g. jetclass2 or top.")
@click.option("--columns", help=_COLUMNS)
@click.option("--classes", help="For arrays: names of labels 0, 1, ..., e.g. background,signal.")
@click.option("--corpus", help="For arrays: a name for all jets of their kind. [default: own]")
@click.option("--role", required=True, help="pretrain, train, validation or test.")
@click.option("--out", type=PATH, required=True, help="New shard folder.")
@click.option("--select", multiple=True, help=_SELECT)
@click.option("--rows", default="0:1", show_default=True, help=_ROWS)
@click.option("--on-bad-file", default="fail", show_default=True, help=_BAD_FILE)
@click.option("--on-bad-jet", default="drop", show_default=True, help=_BAD_JET)
@click.option("--max-bad", type=SHARE, default=0.01, show_default=True, help=_MAX_BAD)
@click.option("--workers", type=COUNT, help=_FILES)
@json_option
@click.argument("files", type=PATH, nargs=-1, required=True)
def ingest(
    format_name: str, files: tuple[Path, ...], workers: int | None, as_json: bool, **options: Any
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
    doing(f"reading {counted(len(files), 'file')}")
    from jetscale.compute.connect import executor, named_cluster
    from jetscale.display.console import progress_bar, show_ingest
    from jetscale.executor import in_process
    from jetscale.jets.ingest.formats.own import columns_of
    from jetscale.jets.ingest.ingest import ingest as read_files
    from jetscale.jets.ingest.ingest import summary_of
    from jetscale.sweep.stop import stopping

    role, out, columns, classes = map(options.pop, ("role", "out", "columns", "classes"))
    options["columns"] = columns_of(columns) if columns else {}
    options["classes"] = [name.strip() for name in classes.split(",")] if classes else ()
    if workers is None and named_cluster(None) is None:
        workers = min(cores(), len(files))
    pool = nullcontext(in_process) if workers == 1 else executor(None, home().path, workers)
    with stopping(), progress_bar() as bar, pool as chosen:
        tell = partial(bar, "reading jets")
        manifest = read_files(format_name, role, files, out, tell, executor=chosen, **options)
    summary = summary_of(manifest)
    return print_json(summary) if as_json else show_ingest(summary, str(out))


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
    doing(f"verifying {folder}")
    from jetscale.display.console import show_shards
    from jetscale.jets.shards.verify import verify

    report = verify(folder)
    return print_json(report.to_dict()) if as_json else show_shards(report)
