"""Speed, profile and content of the jet simulation; prints Markdown.

Claim: at least 250 accepted jets per CPU second and core, averaged over the ten JetClass classes,
with soft drop and tau1 to tau4. Usage (all sections take about 10 minutes on one free core):

    python benchmarks/simulation.py [speed] [profile] [labels] [windows] [pileup]

"Accepted" jets pass the selection and have a label; "kept" ones are left after all classes were
thinned to one pT spectrum. CPU seconds are those of the work on chunks, start of Pythia included,
import of packages and the shared overlay pool excluded. Masses are medians in GeV.
"""

import argparse
import os
import platform
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jetscale.executor import in_process
from jetscale.jets.detector import recluster
from jetscale.jets.generator import pythia as simulate
from jetscale.jets.generator.conditions import DEFAULT, WINDOWS, Conditions
from jetscale.jets.generator.seeds import chunk_seed
from jetscale.jets.production import chunks
from jetscale.jets.production.production import Production
from jetscale.jets.schema import JETCLASS, JETCLASS2, PARTS

SELECTIONS = ("X_bb,X_cc", "X_YY_bbb", "X_YY_bcsq,X_YY_*tauhv", "X_tau*", "QCD_bb*")
NEUTRAL = ("part_isPhoton", "part_isNeutralHadron")


def line(*runs: object) -> str:
    return "| " + " | ".join(map(str, runs)) + " |"


def head(*names: str) -> str:
    return line(*names) + "\n" + "|---" * len(names) + "|"


def mass(table: pa.Table) -> np.ndarray:
    pt, eta, energy = (
        table[name].to_numpy().astype(float) for name in ("jet_pt", "jet_eta", "jet_energy")
    )
    return np.asarray(np.sqrt(np.maximum(energy**2 - (pt * np.cosh(eta)) ** 2, 0)))


def row(name: str, source: dict[str, Any], table: pa.Table) -> str:
    seconds, accepted = source["cpu_seconds"], source["accepted"]
    return line(
        name,
        f"{accepted / seconds:.0f}",
        f"{source['kept'] / seconds:.0f}",
        f"{accepted / source['jets']:.2f}",
        f"{source['kept'] / accepted:.2f}",
        f"{np.median(mass(table)):.1f}",
        f"{np.median(table['jet_sdmass'].to_numpy()):.1f}",
        f"{table['jet_nparticles'].to_numpy().mean():.1f}",
        f"{table['jet_pt'].to_numpy().mean():.0f}",
    )


def rows(job: Production) -> Iterator[tuple[str, dict[str, Any], pa.Table]]:
    table = pa.concat_tables(list(job.tables(in_process)))
    for name, source in job.provenance()["sources"].items():
        chosen = table
        if job.part is None:
            chosen = table.filter(pc.equal(table["jet_label"], JETCLASS.index(name)))
        yield name, source, chosen


def part_job(part: str, jets: int, conditions: Conditions = DEFAULT) -> Production:
    return Production(
        corpus="jetclass2",
        part=part,
        role="test",
        jets=jets,
        seed=1,
        conditions=conditions,
    )


def speed(jets: int) -> None:
    """Ten classes together, then the parts and some selections."""
    start = time.monotonic()
    job = Production(corpus="jetclass", role="test", jets=jets, seed=1)
    found = list(rows(job))
    wall, told = time.monotonic() - start, job.provenance()
    columns = "accepted / CPU s,kept / CPU s,accepted / jet,kept / accepted,mass,soft drop,"
    print(head("class", *(columns + "constituents,pT").split(",")))
    for item in found:
        print(row(*item))
    for part in (*PARTS, *SELECTIONS):
        for item in rows(part_job(part, jets // 10 if part in PARTS else jets // 20)):
            print(row(*item), flush=True)
    for what in ("accepted", "kept"):
        rates = [source[what] / source["cpu_seconds"] for _, source, _ in found]
        total = sum(s[what] for _, s, _ in found) / sum(s["cpu_seconds"] for _, s, _ in found)
        mean = np.mean(rates)
        print(f"\n{what} per CPU s: mean of the ten classes {mean:.0f}, pooled {total:.0f}")
    seconds = told["cpu_seconds"]
    print(f"\n{jets} jets of ten classes: {seconds:.0f} CPU s, {wall:.0f} s with one worker")


def make_pool(window: str = "jetclass") -> simulate.SoftPool:
    return chunks.make_overlay(1, "test", WINDOWS[window])[0]


def chunk(source: str, number: int, events: int, conditions: Conditions) -> chunks.Chunk:
    seed = chunk_seed(1, "test", source, number)
    return chunks.Chunk(source=source, seed=seed, events=events, conditions=conditions)


class Clock:
    """CPU seconds by stage, for functions that are replaced by timed ones."""

    def __init__(self) -> None:
        self.spent: defaultdict[str, float] = defaultdict(float)

    def watch(self, owner: Any, name: str, stage: str) -> None:
        work = getattr(owner, name)

        def timed(*args: Any, **kwargs: Any) -> Any:
            start = time.process_time()
            try:
                return work(*args, **kwargs)
            finally:
                self.spent[stage] += time.process_time() - start

        setattr(owner, name, timed)


def profile(jets: int) -> None:
    """Share of CPU time per stage, for the ten classes and the parts."""
    clock, pool = Clock(), make_pool()
    for owner, name, stage in (
        (chunks, "make_generators", "start of Pythia"),
        (simulate.Generator, "events", "events"),
        (simulate, "draw_events", "gun"),
        (simulate.EventRecord, "from_batch", "read-out"),
        (simulate.Generator, "particles", "particles, overlay"),
        (chunks, "overlay", "particles, overlay"),
        (chunks, "detect", "detector"),
        (recluster, "find_jets", "clustering"),
        (chunks, "label_jets", "labels"),
        (recluster, "soft_drop_masses", "soft drop"),
        (recluster, "subjettiness", "N-subjettiness"),
        (recluster, "constituent_columns", "columns"),
        (chunks, "to_table", "columns"),
    ):
        clock.watch(owner, name, stage)
    stages = ["start of Pythia", "Pythia", "gun", "read-out", "particles, overlay", "detector"]
    stages += ["clustering", "labels", "soft drop", "N-subjettiness", "columns", "rest"]
    print(head("class", "jets", *stages))
    shares = []
    for name in (*JETCLASS, *PARTS):
        clock.spent.clear()
        harvest = chunks.simulate_chunk(chunk(name, 0, jets // 20, DEFAULT), pool)
        spent = dict(clock.spent)
        spent["rest"] = harvest.cpu_seconds - sum(
            value for stage, value in spent.items() if stage not in ("gun", "read-out")
        )
        inner = spent.get("gun", 0.0) + spent["read-out"]
        spent["Pythia"] = spent.pop("events") - inner
        share = [spent.get(stage, 0.0) / harvest.cpu_seconds for stage in stages]
        shares.append(share)
        print(line(name, len(harvest.table), *(f"{100 * s:.0f} %" for s in share)), flush=True)
    mean = np.mean(shares[: len(JETCLASS)], axis=0)
    print(line("mean of classes", "", *(f"{100 * s:.1f} %" for s in mean)))


def labels(jets: int) -> None:
    """Which labels occur, and the shares of QCD labels by jet pT."""
    wide = Conditions("jetclass2")
    pool = make_pool("jetclass2")
    for part, number in (("res2p", 2), ("res34p", 8)):
        table = pa.concat_tables(
            chunks.simulate_chunk(chunk(part, n, jets // 5, wide), pool).table
            for n in range(number)
        )
        counts = Counter(table["jet_label"].to_pylist())
        names = PARTS[part].labels
        missing = [name for name in names if not counts[JETCLASS2.index(name)]]
        rarest = sorted(names, key=lambda name: counts[JETCLASS2.index(name)])[:5]
        rare = ", ".join(f"{name} {counts[JETCLASS2.index(name)]}" for name in rarest)
        print(
            f"{part}: {len(counts)} of {len(names)} labels in {len(table)} jets, "
            f"missing {missing or 'none'}; rarest: {rare}\n"
        )
    table = pa.concat_tables(
        chunks.simulate_chunk(chunk("qcd", n, jets // 5, wide), pool).table for n in range(4)
    )
    label, pt = table["jet_label"].to_numpy(), table["jet_pt"].to_numpy()
    shown = ("QCD_light", "QCD_ss", "QCD_s", "QCD_cc", "QCD_c", "QCD_bb", "QCD_b")
    print(head("QCD jets, pT", "jets", *shown))
    for low, high in ((200, 412), (412, 847), (847, 1455), (1455, 2500), (200, 2500)):
        inside = (pt > low) & (pt < high)
        share = [np.mean(label[inside] == JETCLASS2.index(name)) for name in shown]
        print(line(f"{low}-{high}", int(inside.sum()), *(f"{100 * s:.1f} %" for s in share)))


def windows(jets: int) -> None:
    """Speed and yield in the wide window, by part."""
    conditions, pool = Conditions("jetclass2"), make_pool("jetclass2")
    edges = WINDOWS["jetclass2"].edges
    print(head("part, wide window", "accepted / CPU s", "yield", *(f"{e:.0f}" for e in edges[:-1])))
    for part in PARTS:
        found = chunks.simulate_chunk(chunk(part, 50, jets // 5, conditions), pool)
        per_bin = np.histogram(found.table["jet_pt"].to_numpy(), edges)[0]
        filled = per_bin / found.counts["events"] * len(per_bin)
        rate = found.counts["accepted"] / found.cpu_seconds
        print(line(part, f"{rate:.0f}", f"{filled.min():.2f}", *(f"{f:.2f}" for f in filled)))
    print("\nColumns: jets per event in a pT bin over its share; the least is the yield.")


def pileup(jets: int) -> None:
    """What pile-up adds to H -> bb jets after charged hadron subtraction."""
    pool = make_pool()
    names = ("jets", "charged", "neutral", "mass", "soft drop", "accepted / CPU s")
    print(head("mean pile-up", *names))
    for mean in (0.0, 10.0, 50.0):
        order = chunk("Hbb", 90, jets // 20, Conditions(pileup=mean))
        found = chunks.simulate_chunk(order, pool)
        table = found.table
        flags = [table[name].combine_chunks().flatten() for name in NEUTRAL]
        neutral = sum(pc.sum(flag).as_py() for flag in flags) / len(table)
        total = table["jet_nparticles"].to_numpy().mean()
        print(
            line(
                f"{mean:.0f}",
                len(table),
                f"{total - neutral:.1f}",
                f"{neutral:.1f}",
                f"{np.median(mass(table)):.1f}",
                f"{np.median(table['jet_sdmass'].to_numpy()):.1f}",
                f"{len(table) / found.cpu_seconds:.0f}",
            )
        )


SECTIONS = {f.__name__: f for f in (speed, labels, windows, pileup, profile)}


def main() -> None:
    parser = argparse.ArgumentParser(description="Speed and content of the jet simulation.")
    parser.add_argument("sections", nargs="*", choices=[*SECTIONS, []], help="default: all")
    parser.add_argument("--jets", type=int, default=10_000, help="scale of all sections")
    options = parser.parse_args()
    job = Production(corpus="jetclass", role="test", jets=1, seed=1)
    told = job.provenance()
    versions = ", ".join(f"{name} {number}" for name, number in told["versions"].items())
    print(f"{told['date']}, {platform.machine()}, Python {platform.python_version()}, {versions}")
    # timed functions stay replaced, so the profile comes last
    for name in SECTIONS:
        if not options.sections or name in options.sections:
            load = os.getloadavg()[0]
            print(f"\n## {name}\n\nLoad average at the start: {load:.1f}.\n", flush=True)
            SECTIONS[name](options.jets)


if __name__ == "__main__":
    main()
