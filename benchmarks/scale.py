"""Memory and speed of preparing and reading a long stream: ``python benchmarks/scale.py``.

Makes shards of made-up jets of 1 to 4 constituents with the project's own writer, prepares a stream
of all of them through Ray Data and in one process, and reads it block by block, each step in a
process of its own. Meanwhile the memory of that process and all its children is sampled: the sum of
their proportional sets (pages shared by n processes count 1/n in each, files that are mapped count
too) and the largest resident set of a single one. Rows per second are wall time, Ray's start
left out. Takes some minutes and 3 GB of disk; results are in ``scale.md``.
"""

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa

from jetscale.jets.schema import JETCLASS
from jetscale.jets.shards import write_shards
from jetscale.mixtures.assemble import prepare_in_process
from jetscale.mixtures.stream import Source, StreamPlan, open_stream

SIZES = (1_000_000, 2_500_000, 5_000_000)
STEPS = ("shards", "prepare on Ray", "prepare here", "read")
INTERVAL = 0.2  # seconds between samples
OBJECT_STORE = 1_000_000_000  # as in a sweep; the most it may grow to


def tables(rows: int, most: int = 4) -> Iterator[pa.Table]:
    """Made-up jets of 1 to ``most`` constituents with the columns of kin features."""
    for first in range(0, rows, 50_000):
        random = np.random.default_rng(first)
        n = min(50_000, rows - first)
        lengths = random.integers(1, most + 1, n)
        offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))
        names = ("part_px", "part_py", "part_energy", "part_deta", "part_dphi")
        total = int(lengths.sum())
        columns = {
            name: pa.ListArray.from_arrays(offsets, random.normal(size=total).astype(np.float32))
            for name in names
        }
        columns |= {
            name: pa.array(random.uniform(500, 1000, n).astype(np.float32))
            for name in ("jet_pt", "jet_energy")
        }
        columns["jet_nparticles"] = pa.array(lengths.astype(np.int32))
        columns["jet_label"] = pa.array(random.integers(0, 10, n).astype(np.int32))
        yield pa.table(columns)


def plan_of(folder: Path, rows: int) -> StreamPlan:
    return StreamPlan(
        name="long",
        sources={"train": Source(folder=folder / "shards", labels=JETCLASS, weight=1.0)},
        rows=rows,
        labels=JETCLASS,
        features="kin",
        constituents=128,
        seed=1,
    )


def do(step: str, rows: int, folder: Path) -> dict[str, object]:
    """One step in this process; its seconds, and what it made."""
    plan = plan_of(folder, rows)
    if step == "shards":
        begin = time.perf_counter()
        write_shards(folder / "shards", tables(rows), corpus="jetclass", role="train")
        return {"seconds": time.perf_counter() - begin}
    if step == "read":
        begin = time.perf_counter()
        stream = open_stream(next((folder / "here").iterdir()))
        found = sum(len(block) for block in stream.iter_blocks())
        return {"seconds": time.perf_counter() - begin, "rows": found}
    if step == "prepare on Ray":
        start_ray()
        from jetscale.compute.streams import prepare
    begin = time.perf_counter()
    if step == "prepare on Ray":
        made = prepare([plan], folder / "ray")["long"]
    else:
        made = prepare_in_process([plan], folder / "here")["long"]
    return {"seconds": time.perf_counter() - begin, "digest": open_stream(made).digest}


def start_ray() -> None:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray

    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        object_store_memory=OBJECT_STORE,
        log_to_driver=False,
        logging_level="CRITICAL",
    )


def tree(root: int) -> list[int]:
    """A process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(int(entry.name))
    found = [root]
    for process in found:
        found += children.get(process, [])
    return found


def memory(process: int) -> tuple[int, int]:
    """Proportional set now and largest resident set so far; zeros for a process that is gone."""
    try:
        now = Path(f"/proc/{process}/smaps_rollup").read_text()
        ever = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0, 0
    found = (re.search(r"^Pss: +(\d+)", now, re.M), re.search(r"^VmHWM:\s+(\d+)", ever, re.M))
    proportional, resident = (int(match[1]) * 1024 if match else 0 for match in found)
    return proportional, resident


def measured(step: str, rows: int, folder: Path) -> dict[str, float]:
    """Do a step in a process of its own and watch it."""
    command = [sys.executable, __file__, str(folder), "--step", step, "--rows", str(rows)]
    begin = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    total, largest = 0, 0
    while child.poll() is None:
        sets = [memory(process) for process in tree(child.pid)]
        total = max(total, sum(pss for pss, _ in sets))
        largest = max(largest, *(rss for _, rss in sets))
        time.sleep(INTERVAL)
    if child.returncode or child.stdout is None:
        raise SystemExit(f"{step} of {rows} rows failed")
    result: dict[str, float] = json.loads(child.stdout.read().splitlines()[-1])
    wall = time.perf_counter() - begin
    return result | {"total": total, "largest": largest, "wall": wall}


def main() -> None:
    """Print the table, or do one step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, help="where to work; a temporary folder")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    parser.add_argument("--rows", type=int, nargs="+", default=list(SIZES))
    options = parser.parse_args()
    if options.step:
        print(json.dumps(do(options.step, options.rows[0], options.folder)))
        return
    import ray

    print(f"{date.today()}, ray {ray.__version__}, pyarrow {pa.__version__}, numpy", end=" ")
    print(
        f"{np.__version__}, Python {platform.python_version()}, {os.cpu_count()} cores, load",
        end=" ",
    )
    print(f"{os.getloadavg()[0]:.1f} at the start\n")
    print("| rows | step | rows/s | peak, all processes (MB) | largest process (MB) |")
    print("|---|---|---|---|---|")
    for rows in options.rows:
        with tempfile.TemporaryDirectory(dir=options.folder) as name:
            digests = set()
            for step in STEPS:
                found = measured(step, rows, Path(name))
                digests.add(found.get("digest"))
                sizes = f"{found['total'] / 1e6:.0f} | {found['largest'] / 1e6:.0f}"
                speed = f"{rows / found['seconds']:,.0f}"
                print(f"| {rows:,} | {step} | {speed} | {sizes} |", flush=True)
            if len(digests - {None}) != 1:
                raise SystemExit(f"Ray and one process gave different streams: {digests}")


if __name__ == "__main__":
    main()
