"""Streams made with Ray Data: it reads the shards and standardises their jets.

A task reads one shard and standardises it. The jets are put in order through files in the folder of
the stream, which all nodes must see, and not through Ray's object store (measured in
``benchmarks/shuffle.md``), so the driver holds no jets.
"""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import groupby
from operator import attrgetter
from pathlib import Path

import pyarrow as pa
import ray.data
from ray.data.context import DataContext
from ray.util.annotations import RayDeprecationWarning

from jetscale.compute.tasks import RayExecutor
from jetscale.executor import RETRIES
from jetscale.mixtures.assemble import Progress, assemble
from jetscale.mixtures.shuffle import Reading, write_runs, write_runs_from
from jetscale.mixtures.stream import StreamPlan


def prepare(
    plans: Sequence[StreamPlan], root: Path, progress: Progress | None = None
) -> dict[str, Path]:
    """Make the streams that are missing with Ray; return stream name to folder.

    Every node must see ``root``. Raises as `jetscale.mixtures.assemble.assemble`, and SweepError if
    Ray is not connected or workers die again and again.
    """
    return assemble(plans, root, RayExecutor(), progress, read=read_shards)


def read_shards(readings: Sequence[Reading]) -> Iterator[int]:
    """Read and standardise shards with Ray Data; gives the jets of each shard as it is done."""
    left = {str(reading): reading for reading in readings}
    retries = {"max_retries": RETRIES}  # Ray Data would try for ever where workers die
    columns = attrgetter("columns")
    try:
        with settings():
            # shards that give other columns are another data set
            for names, group in groupby(sorted(readings, key=columns), key=columns):
                some = {str(reading): reading for reading in group}
                jets = ray.data.read_parquet(
                    list(some),
                    columns=[*names, "path"],
                    include_paths=True,
                    partitioning=None,
                    override_num_blocks=len(some),
                    ray_remote_args=retries,
                )
                counts = jets.map_batches(
                    partial(_write_runs, some), batch_size=None, batch_format="pyarrow", **retries
                )
                for row in counts.iter_rows():
                    del left[row["path"]]
                    yield row["jets"]
    except Exception:
        # Ray Data tells neither which shard it was nor, in a value, why. Single tasks do.
        yield from RayExecutor().map(write_runs, list(left.values()))


def _write_runs(by_path: dict[str, Reading], table: pa.Table) -> pa.Table:
    path = table["path"][0].as_py()
    return pa.table({"path": [path], "jets": [write_runs_from(by_path[path], [table])]})


@contextmanager
def settings() -> Iterator[None]:
    """Ray Data as this job needs it: silent, and a shard in one piece in one task.

    Its second reader spreads the row groups of a file over tasks and does not say which rows a
    batch holds; the first one, with as many blocks as files and no limit to a block, reads file by
    file. `write_runs_from` refuses anything but the whole shard.
    """
    wanted = {
        "enable_progress_bars": False,
        "print_on_execution_start": False,
        "use_datasource_v2": False,
        "target_max_block_size": None,
    }
    context, logger = DataContext.get_current(), logging.getLogger("ray.data")
    before = {name: getattr(context, name) for name in wanted}
    # Ray's log files keep what the console does not show
    console = [h for h in logger.handlers if type(h) is not logging.FileHandler]
    levels = [handler.level for handler in console]
    try:
        for name, value in wanted.items():
            setattr(context, name, value)
        for handler in console:
            handler.setLevel(logging.CRITICAL + 1)
        with warnings.catch_warnings(category=RayDeprecationWarning, action="ignore"):
            yield  # retries have no other way until Ray 2.64
    finally:
        for name, value in before.items():
            setattr(context, name, value)
        for handler, level in zip(console, levels, strict=True):
            handler.setLevel(level)
