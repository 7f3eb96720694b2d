"""Speed and content of the jet simulation, class by class.

Claim: at least 140 accepted jets per CPU second and core, averaged over the ten JetClass classes,
with soft drop and tau1 to tau4. Usage (about 3 minutes per worker on one core):

    python benchmarks/simulation.py --jets 10000 --workers 1

"Accepted" jets pass the selection and have a label; "kept" ones are left after all classes were
thinned to one pT spectrum. CPU seconds are those of the worker processes, start of Pythia included,
import of packages and the shared overlay pool excluded. Masses are medians in GeV.
"""

import argparse
import platform
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jetscale.jets.production import Production, produce
from jetscale.jets.schema import JETCLASS, PARTS

HEAD = (
    "| class | accepted / CPU s | kept / CPU s | accepted / jet | kept / accepted | mass "
    "| soft drop | constituents | pT |"
)


def mass(table: pa.Table) -> np.ndarray:
    pt, eta, energy = (
        table[name].to_numpy().astype(float) for name in ("jet_pt", "jet_eta", "jet_energy")
    )
    return np.sqrt(np.maximum(energy**2 - (pt * np.cosh(eta)) ** 2, 0))


def row(name: str, source: dict[str, Any], table: pa.Table) -> str:
    seconds, accepted = source["cpu_seconds"], source["accepted"]
    return (
        f"| {name} | {accepted / seconds:.0f} | {source['kept'] / seconds:.0f} "
        f"| {accepted / source['jets']:.2f} | {source['kept'] / accepted:.2f} "
        f"| {np.median(mass(table)):.1f} | {np.median(table['jet_sdmass'].to_numpy()):.1f} "
        f"| {table['jet_nparticles'].to_numpy().mean():.1f} "
        f"| {table['jet_pt'].to_numpy().mean():.0f} |"
    )


def rows(job: Production) -> Iterator[tuple[str, dict[str, Any], pa.Table]]:
    table = pa.concat_tables(list(job.tables()))
    sources = job.provenance()["sources"]
    for name, source in sources.items():
        chosen = table
        if job.part is None:
            chosen = table.filter(pc.equal(table["jet_label"], JETCLASS.index(name)))
        yield name, source, chosen


def main() -> None:
    parser = argparse.ArgumentParser(description="Speed and content of the jet simulation.")
    parser.add_argument("--jets", type=int, default=10_000, help="jets of the ten classes together")
    parser.add_argument("--part-jets", type=int, default=1000, help="jets of each part")
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    start = time.monotonic()
    job = produce(
        corpus="jetclass", role="test", jets=options.jets, seed=1, workers=options.workers
    )
    found = list(rows(job))
    wall = time.monotonic() - start
    told = job.provenance()
    versions = ", ".join(f"{name} {number}" for name, number in told["versions"].items())
    print(f"{told['date']}, {platform.machine()}, Python {platform.python_version()}, {versions}\n")
    print(HEAD + "\n" + "|---" * HEAD.count(" | ") + "|---|")
    for item in found:
        print(row(*item))
    for part in PARTS:
        job = produce(
            corpus="jetclass2", part=part, role="test", jets=options.part_jets, seed=1,
            workers=options.workers,
        )  # fmt: skip
        for item in rows(job):
            print(row(*item), flush=True)
    for what in ("accepted", "kept"):
        rates = [source[what] / source["cpu_seconds"] for _, source, _ in found]
        total = sum(s[what] for _, s, _ in found) / sum(s["cpu_seconds"] for _, s, _ in found)
        print(
            f"\n{what} per CPU s: mean of the ten classes {np.mean(rates):.0f}, pooled {total:.0f}"
        )
    print(
        f"\n{options.jets} jets of ten classes: {told['cpu_seconds']:.0f} CPU s "
        f"(overlay {told['overlay_seconds']:.1f}), {wall:.0f} s with {options.workers} worker(s)"
    )


if __name__ == "__main__":
    main()
