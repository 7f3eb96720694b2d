"""Two ways to put the jets of a stream in order on Ray: ``python benchmarks/shuffle.py``.

Both read the shards and standardise the jets with Ray Data (``read_parquet``, ``map_batches``) and
use the drawn position of each jet as the key. ``files`` is what `jetscale.compute.streams` does:
sorted runs on disk, and tasks that collect the jets of each block from them. ``sort`` and
``groups`` leave the order to Ray Data: ``sort`` by position with the edges of the blocks as
boundaries, or ``groupby`` by block number and ``map_groups``; jets then go through the object
store. ``here`` is one process without Ray. Every way must give the same stream.

Each runs in a process of its own, which is watched with its children: wall time (Ray's start left
out), CPU seconds of all of them, resident memory of the driver, sum of the proportional memory of
all, and what the object store held at most and spilled to disk. Made-up jets of 1 to 8
constituents, kin features. Results are in ``shuffle.md``.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import scale

from jetscale.jets.shards import write_shards
from jetscale.mixtures import shuffle
from jetscale.mixtures.assemble import open_pools, prepare_in_process
from jetscale.mixtures.ragged import Ragged
from jetscale.mixtures.stream import (
    ROWS_PER_BLOCK,
    StreamPlan,
    _record_batch,
    concatenate,
    open_stream,
    write_block,
)

WAYS = ("files", "sort", "groups", "here")
CONSTITUENTS = 8
N_FEATURES = 7
INTERVAL = 0.1  # seconds between samples


def placed(reading: shuffle.Reading, table: pa.Table) -> pa.Table:
    """The drawn jets of a shard, standardised, with their positions and block numbers."""
    run = shuffle._Runs(share=reading.shares[0], schema=reading.manifest.schema)
    for start in range(0, table.num_rows, shuffle.PIECE):
        run.add(table.slice(start, shuffle.PIECE))
    positions = np.concatenate(run.positions)
    jets = pa.Table.from_batches([_record_batch(concatenate(run.parts))])
    jets = jets.append_column("position", pa.array(positions.astype(np.int64)))
    return jets.append_column("block", pa.array(positions.astype(np.int64) // ROWS_PER_BLOCK))


def write(folder: Path, table: pa.Table) -> pa.Table:
    """One block of the stream from its jets in any order."""
    order = np.argsort(table["position"].to_numpy())
    lists = table["constituents"].combine_chunks()
    jets = Ragged(
        values=lists.flatten().flatten().to_numpy().reshape(-1, N_FEATURES),
        offsets=(lists.offsets.to_numpy() - lists.offsets[0].as_py()).astype(np.int64),
        labels=table["label"].to_numpy(),
    )
    number = int(table["block"][0].as_py())
    block = write_block(folder / f"block-{number:05d}.arrow", jets.take(order))
    return pa.table({"number": [number], "rows": [block.rows], "sha256": [block.sha256]})


def by_ray_data(way: str, plan: StreamPlan, folder: Path) -> list[str]:
    """The SHA-256 of all blocks, shuffled by Ray Data itself."""
    import ray.data

    from jetscale.compute import streams

    folder.mkdir()
    readings = shuffle.readings_of([(plan, open_pools(plan), folder)])
    by_path = {str(reading): reading for reading in readings}
    with streams.settings(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # blocks of the usual size: the object store takes pieces, not shards
        ray.data.DataContext.get_current().target_max_block_size = 128 << 20
        jets = ray.data.read_parquet(
            list(by_path),
            columns=[*readings[0].columns, "path"],
            include_paths=True,
            partitioning=None,
            override_num_blocks=len(by_path),
        ).map_batches(partial(place, by_path), batch_size=None, batch_format="pyarrow")
        if way == "sort":
            edges = list(range(ROWS_PER_BLOCK, plan.rows, ROWS_PER_BLOCK))
            done = jets.sort("position", boundaries=edges).map_batches(
                partial(write, folder), batch_size=None, batch_format="pyarrow"
            )
        else:
            done = jets.groupby("block").map_groups(partial(write, folder), batch_format="pyarrow")
        rows = sorted((row["number"], row["rows"], row["sha256"]) for row in done.iter_rows())
    assert sum(n for _, n, _ in rows) == plan.rows
    return [sha256 for _, _, sha256 in rows]


def place(by_path: dict[str, shuffle.Reading], table: pa.Table) -> pa.Table:
    return placed(by_path[table["path"][0].as_py()], table)


def watch_store(found: dict[str, float], stop: threading.Event) -> None:
    """Note the most bytes in Ray's object store, and those spilled."""
    import ray
    from ray._private.internal_api import get_memory_info_reply, get_state_from_address

    state = get_state_from_address(ray.get_runtime_context().gcs_address)
    while not stop.wait(INTERVAL):
        stats = get_memory_info_reply(state).store_stats
        found["store"] = max(found["store"], stats.object_store_bytes_used)
        found["spilled"] = stats.spilled_bytes_total
        found["created"] = stats.cumulative_created_bytes


def do(way: str, rows: int, folder: Path) -> dict[str, Any]:
    """One way in this process: seconds, blocks, and what went through the object store."""
    plan = scale.plan_of(folder, rows)
    found: dict[str, float] = {"store": 0, "spilled": 0, "created": 0}
    stop = threading.Event()
    make: Callable[[], Any] = partial(prepare_in_process, [plan], folder / way)
    if way != "here":
        scale.start_ray()
        threading.Thread(target=watch_store, args=(found, stop), daemon=True).start()
        from jetscale.compute.streams import prepare

        make = partial(prepare, [plan], folder / way)
    if way in ("sort", "groups"):
        make = partial(by_ray_data, way, plan, folder / way)
    begin = time.perf_counter()
    made = make()
    seconds = time.perf_counter() - begin
    stop.set()
    if isinstance(made, dict):
        made = [block.sha256 for block in open_stream(made["long"]).blocks]
    return found | {"seconds": seconds, "blocks": made}


def cpu_seconds(process: int) -> float:
    """CPU time of a process and of its children that have ended."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def measured(way: str, rows: int, folder: Path) -> dict[str, Any]:
    """Run a way in a process of its own and watch it with all its children."""
    command = [sys.executable, __file__, str(folder), "--way", way, "--rows", str(rows)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    cpu, total, driver = 0.0, 0, 0
    while child.poll() is None:
        family = scale.tree(child.pid)
        cpu = max(cpu, sum(map(cpu_seconds, family)))
        total = max(total, sum(scale.memory(process)[0] for process in family))
        driver = max(driver, scale.memory(child.pid)[1])
        time.sleep(INTERVAL)
    if child.returncode or child.stdout is None:
        raise SystemExit(f"{way} of {rows} rows failed")
    found: dict[str, Any] = json.loads(child.stdout.read().splitlines()[-1])
    return found | {"cpu": cpu, "total": total, "driver": driver}


def main() -> None:
    """Print the table, or do one way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, help="where to work; a temporary folder")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 5_000_000])
    parser.add_argument("--repeats", type=int, default=2)
    options = parser.parse_args()
    if options.way:
        print(json.dumps(do(options.way, options.rows[0], options.folder)))
        return
    import ray

    print(f"{date.today()}, ray {ray.__version__}, pyarrow {pa.__version__}, numpy", end=" ")
    print(f"{np.__version__}, Python {platform.python_version()}, {os.cpu_count()} cores, ", end="")
    print(f"object store {scale.OBJECT_STORE / 1e9:.0f} GB, load {os.getloadavg()[0]:.1f}\n")
    print("| rows | way | wall s | CPU s | driver MB | all processes MB | ", end="")
    print("store peak MB | through store MB | spilled MB |\n|---|---|---|---|---|---|---|---|---|")
    for rows in options.rows:
        with tempfile.TemporaryDirectory(dir=options.folder) as name:
            tables = scale.tables(rows, CONSTITUENTS)
            write_shards(Path(name) / "shards", tables, corpus="jetclass", role="train")
            streams = set()
            for way in WAYS * options.repeats:
                found = measured(way, rows, Path(name))
                streams.add(tuple(found["blocks"]))
                numbers = [found["seconds"], found["cpu"]]
                numbers += [found[k] / 1e6 for k in ("driver", "total", "store", "created")]
                shown = " | ".join(f"{x:,.0f}" for x in [*numbers, found["spilled"] / 1e6])
                print(f"| {rows:,} | {way} | {shown} |", flush=True)
                subprocess.run(["rm", "-rf", str(Path(name) / way)], check=True)
            if len(streams) != 1:
                raise SystemExit("the ways gave different streams")


if __name__ == "__main__":
    main()
