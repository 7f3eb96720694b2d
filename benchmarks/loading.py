"""Loading speed on one core: ``python benchmarks/loading.py --data FILE [--weaver-python PATH]``.

From a prepared stream to what `jetscale.training.loop` hands to the model: kin features of the
jets of FILE (the 100 published JetClass-II jets, or a folder with ``JetClassII_example.parquet``;
default is JETSCALE_TEST_DATA) tiled to 200,000 rows. The first epoch opens the stream, reads and
hashes every block, draws a shuffled order and makes the packed PyTorch batches; a later epoch draws
a new order and makes its batches. With ``--weaver-python``, a Python that has weaver-core, its own
loader reads the same jets from uncompressed Parquet, the two taking turns on the same core: with
all inputs of its published configuration, and ``lean`` with no more than our batches hold. Rates
are jets per CPU-second, so that other load matters less; wall times are printed beside them.
Takes three minutes; results are in ``loading.md``.
"""

import argparse
import json
import os
import platform
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from jetscale.jets.schema import JETCLASS2
from jetscale.jets.shards import write_shards
from jetscale.jets.shards.columns import COLUMNS
from jetscale.mixtures.assemble import prepare_in_process
from jetscale.mixtures.ragged import Ragged
from jetscale.mixtures.standardise import columns_for
from jetscale.mixtures.stream import (
    Source,
    StreamPlan,
    concatenate,
    content_sha256,
    open_stream,
    read_block,
)
from jetscale.models.batch import make_batch
from jetscale.models.layout import arrange
from jetscale.training.order import Order

ROWS, BATCH = 200_000, 512
LIKE = torch.zeros(1)
Seconds = dict[str, float]
Round = dict[str, Seconds]
"""By epoch: ``first`` and ``later``."""


def timed(task: Callable[[], object]) -> Seconds:
    """Wall and CPU seconds of one call."""
    wall, cpu = time.perf_counter(), time.process_time()
    task()
    return {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}


def batches(data: Ragged, order: Order, epoch: int) -> None:
    """Make all batches of an epoch as training does."""
    starts, lengths = data.offsets[:-1], data.lengths
    for step in range(epoch * order.steps_per_epoch, (epoch + 1) * order.steps_per_epoch):
        rows = order.rows(step)
        make_batch(data, arrange(starts[rows], lengths[rows]), data.labels[rows], LIKE)


def our_round(folder: Path, batch: int = BATCH) -> Round:
    """One new data set: its first epoch, stream included, and its second."""
    held = []

    def first() -> None:
        held.append(open_stream(folder).read())
        batches(held[0], order, 0)

    order = Order(seed=1, jets=ROWS, batch_size=batch, epochs=2)
    return {"first": timed(first), "later": timed(lambda: batches(held[0], order, 1))}


def prepare(table: pa.Table, root: Path) -> tuple[Path, list[Path]]:
    """The tiled jets as a stream, and as the files that weaver-core reads fastest."""
    copies = -(-ROWS // table.num_rows)
    tiled = pa.concat_tables([table] * copies).slice(0, ROWS)
    names = [name for name in COLUMNS if name in table.column_names]
    pieces = (tiled.select(names).slice(i, 50_000) for i in range(0, ROWS, 50_000))
    write_shards(root / "shards", pieces, corpus="jetclass2", role="pretrain")
    plan = StreamPlan(
        name="jets",
        sources={"all": Source(folder=root / "shards", labels=JETCLASS2, weight=1.0)},
        rows=ROWS,
        labels=JETCLASS2,
        features="kin",
        constituents=128,
        seed=1,
    )
    files = [root / f"jets-{i}.parquet" for i in range(2)]
    needed = tiled.select([*columns_for("kin"), "part_pz"]).combine_chunks()
    for i, file in enumerate(files):
        half = needed.slice(i * ROWS // 2, ROWS // 2)
        pq.write_table(half, file, compression="none", use_dictionary=False)
    made: dict[str, Path] = {}
    seconds = timed(lambda: made.update(prepare_in_process([plan], root)))
    print(f"the stream was prepared at {ROWS / seconds['cpu']:,.0f} jets per CPU-second")
    return made["jets"], files


@contextmanager
def weaver(python: Path, files: list[Path]) -> Iterator[Callable[[], dict[str, Round]]]:
    """A function that runs one round of weaver-core in a process that stays."""
    script = Path(__file__).with_name("loading_weaver.py")
    command = [str(python), str(script), str(BATCH), str(ROWS), *map(str, files)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        if process.stdin is None or process.stdout is None:
            raise SystemExit("no pipe to weaver-core")
        print("compared with", ", ".join(f"{k} {v}" for k, v in answer(process).items()))

        def one_round() -> dict[str, Round]:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
            return answer(process)

        yield one_round
        process.stdin.close()


def answer(process: subprocess.Popen[str]) -> dict[str, Any]:
    """The next line of a process."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise SystemExit("weaver-core failed; run loading_weaver.py by hand to see why")
    found: dict[str, Any] = json.loads(line)
    return found


def spread(values: list[float], style: str = ",.0f") -> str:
    """Median, least and largest."""
    return f"{median(values):{style}} ({min(values):{style}}-{max(values):{style}})"


def rates(rounds: list[Round], what: str, clock: str) -> str:
    return spread([ROWS / found[what][clock] for found in rounds])


def race(loaders: dict[str, list[Round]]) -> None:
    """Print the rates of all loaders, and the ratios to the first one round by round."""
    print("\n| epoch | loader | jets per CPU-second | jets per second of wall time |", end="")
    print(" jetscale is faster by (CPU) | (wall) |\n|---|---|---|---|---|---|")
    ours = loaders["jetscale"]
    for what in ("first", "later"):
        for name, rounds in loaders.items():
            print(f"| {what} | {name} | {rates(rounds, what, 'cpu')} | ", end="")
            print(f"{rates(rounds, what, 'wall')} | ", end="")
            pairs = list(zip(ours, rounds, strict=True))
            ratios = (
                spread([theirs[what][clock] / mine[what][clock] for mine, theirs in pairs], ".1f")
                for clock in ("cpu", "wall")
            )
            print(" | ".join(ratios if name != "jetscale" else ("", "")), "|")


def profile(folder: Path, repeats: int) -> None:
    """Print where the time of the first epoch goes, and other batch sizes."""
    stream = open_stream(folder)
    blocks = [read_block(folder / block.file, 7) for block in stream.blocks]
    data = stream.read()
    starts, lengths = data.offsets[:-1], data.lengths
    order = Order(seed=1, jets=ROWS, batch_size=BATCH, epochs=1)
    rows = [order.rows(step) for step in range(order.steps)]
    layouts = [arrange(starts[r], lengths[r]) for r in rows]
    steps = {
        "SHA-256 of the blocks": lambda: [content_sha256(block) for block in blocks],
        "copy of the blocks to one array": lambda: concatenate(blocks),
        "shuffled order": lambda: np.random.default_rng(1).permutation(ROWS),
        "layout of the batches": lambda: [arrange(starts[r], lengths[r]) and None for r in rows],
        "gather and tensors": lambda: [
            make_batch(data, layout, data.labels[r], LIKE) and None
            for layout, r in zip(layouts, rows, strict=True)
        ],
    }
    print("\n| part of the first epoch | microseconds per jet |\n|---|---|")
    for name, step in steps.items():
        found = [timed(step)["cpu"] / ROWS * 1e6 for _ in range(repeats)]
        print(f"| {name} | {spread(found, '.2f')} |")
    print(
        f"\n{data.values.nbytes / ROWS:.0f} bytes and {lengths.mean():.1f} constituents per jet\n"
    )
    print("| batch size | first epoch | later |\n|---|---|---|")
    for batch in (128, 512, 1024):
        rounds = [our_round(folder, batch) for _ in range(repeats)]
        print(f"| {batch} | {rates(rounds, 'first', 'cpu')} | {rates(rounds, 'later', 'cpu')} |")


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=os.environ.get("JETSCALE_TEST_DATA"))
    parser.add_argument("--weaver-python", type=Path, metavar="PATH")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    if options.data is None:
        parser.error("give --data or set JETSCALE_TEST_DATA")
    file = options.data / "JetClassII_example.parquet" if options.data.is_dir() else options.data
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # children included
    torch.set_num_threads(1)
    pa.set_cpu_count(1)
    print(f"{date.today()}, torch {torch.__version__}, numpy {np.__version__}, pyarrow", end=" ")
    print(
        f"{pa.__version__}, Python {platform.python_version()}, one core, batch {BATCH},", end=" "
    )
    print(f"{options.repeats} rounds, median (range), load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as name:
        stream, files = prepare(pq.read_table(file), Path(name))
        compare(stream, files, options)
        profile(stream, min(3, options.repeats))


def compare(stream: Path, files: list[Path], options: argparse.Namespace) -> None:
    """Print the race, with weaver-core where there is one."""
    our_round(stream)  # warm
    if options.weaver_python is None:
        race({"jetscale": [our_round(stream) for _ in range(options.repeats)]})
        print("\nThe comparison with weaver-core was left out: no --weaver-python.")
        return
    ours, theirs = [], []
    with weaver(options.weaver_python, files) as their_round:
        for found in their_round().values():  # compiles its kernels, too
            check_totals(stream, found["totals"])
        print("the sums of all seven features agree to 1e-6")
        for _ in range(options.repeats):
            ours.append(our_round(stream))
            theirs.append(their_round())
    race(
        {
            "jetscale": ours,
            "weaver-core, lean": [found["lean"] for found in theirs],
            "weaver-core, published": [found["published"] for found in theirs],
        }
    )


def check_totals(stream: Path, found: Any) -> None:
    """Both must have the same numbers: the sums of the features over all constituents."""
    expected = open_stream(stream).read().values.sum(axis=0, dtype=np.float64)
    if not np.allclose(found, expected, rtol=1e-6):
        raise SystemExit(f"weaver-core sums to {found}, the stream to {expected}")


if __name__ == "__main__":
    main()
