"""The Ray Data jobs that turn shard folders into streams.

All missing streams are made in two jobs, one per step of `jetscale.mixtures.shuffle`. Jets go from
task to task through files in ``root``, which must be a folder all nodes see: neither the driver nor
Ray's object store ever holds them, so memory is that of the running tasks. (Ray's own sort shuffle
keeps a piece per input and output in the object store.) Tasks need no standing actors, so none can
wait for a CPU held by another. The blocks do not depend on the order in which tasks end.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import ray
import ray.data

from jetscale.compute import ray_data
from jetscale.errors import SweepError
from jetscale.mixtures.assemble import Progress, T, assemble
from jetscale.mixtures.shuffle import Row
from jetscale.mixtures.stream import StreamPlan


def prepare(
    plans: Sequence[StreamPlan], root: Path, progress: Progress | None = None
) -> dict[str, Path]:
    """Make the streams that are missing below ``root``; return stream name to folder.

    Parameters
    ----------
    plans
        Streams wanted; those whose folder exists already are not made again.
    root
        Folder of streams, visible to every node.
    progress
        Called with jets done and jets in all, each time a shard is read or a block written.

    Raises
    ------
    SweepError
        Ray is not initialised, or the job fails for a reason other than the data.
    DataError, StorageError
        As `jetscale.mixtures.assemble.assemble`.
    """
    if not ray.is_initialized():
        raise SweepError("streams cannot be prepared: Ray is not running; call ray.init() first")
    return assemble(plans, root, _run_on_ray, progress)


def _run_on_ray(function: Callable[[T], list[Row]], items: Sequence[T]) -> Iterator[Row]:
    with ray_data.job("streams cannot be prepared"):
        numbers = ray.data.range(len(items), override_num_blocks=len(items))
        for row in numbers.flat_map(partial(_call, function, items)).iter_rows():
            yield dict(row)


def _call(function: Callable[[T], list[Row]], items: Sequence[T], row: Row) -> list[Row]:
    return function(items[row["id"]])
